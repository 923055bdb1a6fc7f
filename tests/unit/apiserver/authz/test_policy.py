from k3py.api.user import User
from k3py.apiserver.authz.policy import Policy
from k3py.apiserver.authz.rbac import RbacAuthorizer
from k3py.apiserver.interface import Attributes

GET_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
ACCOUNT = User(name="system:serviceaccount:n:a", groups=("system:serviceaccounts",))


def role(name, *rules, **labels):
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules)}


def binding(role_name, *subjects, kind="ClusterRole"):
    return {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role_name},
        "subjects": list(subjects),
    }


def user(name):
    return {"kind": "User", "name": name}


def get_pod(user, namespace="n"):
    return Attributes(user=user, verb="get", resource="pods", namespace=namespace, name="p")


async def test_a_cluster_binding_gives_rights_everywhere_a_role_binding_in_its_namespace():
    policy = Policy()
    authorizer = RbacAuthorizer(policy)
    policy.set_cluster_role(("", "r"), role("r", GET_PODS))
    policy.set_binding(("", "b"), binding("r", user("everywhere")))
    policy.set_binding(("n", "b"), binding("r", user("here")))
    assert (await authorizer.authorize(get_pod(User(name="everywhere"), "other"))).allowed
    assert (await authorizer.authorize(get_pod(User(name="here")))).allowed
    assert not (await authorizer.authorize(get_pod(User(name="here"), "other"))).allowed


async def test_the_reason_names_binding_and_role():
    policy = Policy()
    policy.set_cluster_role(("", "r"), role("r", GET_PODS))
    policy.set_binding(("n", "b"), binding("r", user("here")))
    decision = await RbacAuthorizer(policy).authorize(get_pod(User(name="here")))
    assert decision.reason == 'RBAC: allowed by RoleBinding "b/n" of ClusterRole "r" to User "here"'


async def test_a_missing_role_is_named():
    policy = Policy()
    policy.set_binding(("n", "b"), binding("none", user("here"), kind="Role"))
    decision = await RbacAuthorizer(policy).authorize(get_pod(User(name="here")))
    assert decision.reason == 'RBAC: roles.rbac.authorization.k8s.io "none" not found'


async def test_service_accounts_and_groups_are_subjects():
    policy = Policy()
    policy.set_role(("n", "r"), role("r", GET_PODS))
    policy.set_binding(("n", "b"), binding("r", {"kind": "ServiceAccount", "name": "a"}, kind="Role"))
    assert (await RbacAuthorizer(policy).authorize(get_pod(ACCOUNT))).allowed
    policy.set_binding(
        ("n", "b"), binding("r", {"kind": "Group", "name": "system:serviceaccounts"}, kind="Role")
    )
    assert (await RbacAuthorizer(policy).authorize(get_pod(ACCOUNT))).allowed


async def test_what_is_taken_away_is_gone():
    policy = Policy()
    authorizer = RbacAuthorizer(policy)
    policy.set_cluster_role(("", "r"), role("r", GET_PODS))
    policy.set_binding(("", "b"), binding("r", user("eve"), user("bob")))
    policy.set_binding(("", "b"), binding("r", user("bob")))
    assert not (await authorizer.authorize(get_pod(User(name="eve")))).allowed
    assert (await authorizer.authorize(get_pod(User(name="bob")))).allowed
    policy.set_cluster_role(("", "r"), None)
    assert not (await authorizer.authorize(get_pod(User(name="bob")))).allowed
    policy.set_binding(("", "b"), None)
    assert list(policy.iter_grants(User(name="bob"), "n")) == []


async def test_an_aggregating_role_follows_the_roles_that_it_selects():
    policy = Policy()
    authorizer = RbacAuthorizer(policy)
    total = role("total")
    total["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {"to": "total"}}]}
    policy.set_cluster_role(("", "total"), total)
    policy.set_binding(("", "b"), binding("total", user("eve")))
    assert not (await authorizer.authorize(get_pod(User(name="eve")))).allowed
    policy.set_cluster_role(("", "part"), role("part", GET_PODS, to="total"))
    assert (await authorizer.authorize(get_pod(User(name="eve")))).allowed
    policy.set_cluster_role(("", "part"), role("part", GET_PODS))
    assert not (await authorizer.authorize(get_pod(User(name="eve")))).allowed
