import pytest

from k3py.api.user import User
from k3py.apiserver.authz.node import NodeAuthorizer
from k3py.apiserver.authz.node_graph import NodeGraph
from k3py.apiserver.authz.policy import Policy
from k3py.apiserver.interface import Attributes

KUBELET = User(name="system:node:n", groups=("system:nodes",))


def pod(name="p", node="n", **spec):
    return {
        "metadata": {"name": name, "namespace": "d"},
        "spec": {"nodeName": node, "containers": [{"name": "c", **spec.pop("container", {})}], **spec},
    }


@pytest.fixture
def graph():
    return NodeGraph()


@pytest.fixture
def may(graph):
    policy = Policy()
    policy.set_cluster_role(
        ("", "system:node"),
        {
            "metadata": {"name": "system:node"},
            "rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}],
        },
    )
    authorizer = NodeAuthorizer(graph, policy)

    async def may(verb, resource, name="", *, group="", sub="", namespace="d", fields="", user=KUBELET):
        decision = await authorizer.authorize(
            Attributes(
                user=user,
                verb=verb,
                group=group,
                resource=resource,
                subresource=sub,
                namespace=namespace,
                name=name,
                field_selector=fields,
            )
        )
        return decision.allowed

    return may


@pytest.mark.parametrize(
    ("plural", "spec"),
    [
        ("secrets", {"volumes": [{"name": "v", "secret": {"secretName": "x"}}]}),
        ("secrets", {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "x"}}]}}]}),
        ("secrets", {"imagePullSecrets": [{"name": "x"}]}),
        ("secrets", {"container": {"envFrom": [{"secretRef": {"name": "x"}}]}}),
        ("secrets", {"container": {"env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "x"}}}]}}),
        ("configmaps", {"volumes": [{"name": "v", "configMap": {"name": "x"}}]}),
        ("configmaps", {"container": {"envFrom": [{"configMapRef": {"name": "x"}}]}}),
        ("persistentvolumeclaims", {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]}),
    ],
)
async def test_a_kubelet_gets_what_its_pods_refer_to_while_they_are_there(graph, may, plural, spec):
    assert not await may("get", plural, "x")
    graph.set_pod(("d", "p"), pod(**spec))
    assert await may("get", plural, "x")
    assert not await may("get", plural, "y")
    assert not await may("delete", plural, "x")
    graph.set_pod(("d", "p"), None)
    assert not await may("get", plural, "x")


async def test_another_nodes_pods_give_nothing(graph, may):
    graph.set_pod(("d", "p"), pod(node="other", imagePullSecrets=[{"name": "x"}]))
    assert not await may("get", "secrets", "x")


async def test_two_pods_hold_a_reference_until_both_are_gone(graph, may):
    for name in ("p", "q"):
        graph.set_pod(("d", name), pod(name, imagePullSecrets=[{"name": "x"}]))
    graph.set_pod(("d", "p"), None)
    assert await may("get", "secrets", "x")
    graph.set_pod(("d", "q"), None)
    assert not await may("get", "secrets", "x")


async def test_tokens_are_made_for_accounts_of_own_pods(graph, may):
    graph.set_pod(("d", "p"), pod(serviceAccountName="a"))
    assert await may("create", "serviceaccounts", "a", sub="token")
    assert not await may("create", "serviceaccounts", "b", sub="token")


async def test_pods_are_listed_by_node_only(may):
    assert await may("list", "pods", fields="spec.nodeName=n", namespace="")
    assert not await may("list", "pods", fields="spec.nodeName=other", namespace="")
    assert not await may("list", "pods", namespace="")


async def test_node_and_lease_are_its_own(may):
    assert await may("get", "nodes", "n", namespace="")
    assert not await may("get", "nodes", "other", namespace="")
    lease = {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}
    assert await may("update", "leases", "n", **lease)
    assert not await may("update", "leases", "other", **lease)
    assert not await may("update", "leases", "n", group="coordination.k8s.io", namespace="kube-system")


async def test_the_rest_is_what_the_role_says_and_nothing_for_others(may):
    assert await may("list", "services", namespace="")
    assert not await may("delete", "services", "s")
    assert not await may("list", "services", namespace="", user=User(name="system:node:n"))


async def test_a_node_sees_resource_slices_of_its_own():
    graph = NodeGraph()
    authorizer = NodeAuthorizer(graph, Policy())
    graph.set_resource_slice(("", "x"), {"spec": {"nodeName": "a"}})

    async def allows(node, verb, **more):
        user = User(name=f"system:node:{node}", groups=("system:nodes",))
        where = {"group": "resource.k8s.io", "resource": "resourceslices"}
        return (await authorizer.authorize(Attributes(user=user, verb=verb, **where, **more))).allowed

    assert await allows("a", "get", name="x")
    assert not await allows("b", "get", name="x")
    assert await allows("b", "list", field_selector="spec.nodeName=b")
    assert not await allows("b", "list", field_selector="spec.nodeName=a")
    graph.set_resource_slice(("", "x"), None)
    assert not await allows("a", "delete", name="x")
