"""The role is made once, and left as it is."""

from k3py.api.resource import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from k3py.server.network_policy_role import NAME, ensure_network_policy_role
from tests.support.fake_client import FakeClient


async def test_role_and_binding_are_made_once():
    client = FakeClient()
    await ensure_network_policy_role(client)
    role = await client.get(CLUSTER_ROLES, NAME)
    assert {one for rule in role["rules"] for one in rule["resources"]} == {"namespaces", "pods", "networkpolicies"}
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    binding = await client.get(CLUSTER_ROLE_BINDINGS, NAME)
    assert binding["subjects"][0]["name"] == "system:kube-proxy"
    await ensure_network_policy_role(client)
    assert (await client.get(CLUSTER_ROLES, NAME))["metadata"]["resourceVersion"] == role["metadata"]["resourceVersion"]
