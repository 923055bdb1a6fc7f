"""The dashboard's accounts: what each may do, and that a token is good only as long as was asked."""

from __future__ import annotations

import pytest

from k3py.addons.dashboard.accounts import ADMINISTRATOR, VIEWER, issue_token


class Recorder:
    """Takes what is applied, and answers token requests."""

    def __init__(self):
        self.applied = {}
        self.asked = None

    async def patch(self, resource, name, patch, **options):
        assert options["force"]
        self.applied[resource.plural, name] = patch

    async def create(self, resource, obj, *, namespace, name, subresource):
        self.asked = (resource.plural, namespace, name, subresource, obj["spec"])
        return {"status": {"token": "t"}}


@pytest.mark.parametrize(
    ("account", "roles"), [(ADMINISTRATOR, {"cluster-admin"}), (VIEWER, {"view", VIEWER})]
)
async def test_an_account_is_bound_to_its_roles_and_its_token_to_the_time(account, roles):
    client = Recorder()
    assert await issue_token(client, account, 900) == "t"
    assert client.asked == ("serviceaccounts", "kube-system", account, "token", {"expirationSeconds": 900})
    bindings = [obj for (kind, _), obj in client.applied.items() if kind == "clusterrolebindings"]
    assert {one["roleRef"]["name"] for one in bindings} == roles
    assert all(one["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}] for one in bindings)


async def test_a_viewer_may_only_read_and_no_secrets():
    client = Recorder()
    await issue_token(client, VIEWER, 900)
    for rule in client.applied["clusterroles", VIEWER]["rules"]:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert not {"secrets", "*"} & {*rule.get("resources", ()), *rule.get("apiGroups", ())}
