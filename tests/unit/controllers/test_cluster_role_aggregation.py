"""Aggregated ClusterRoles hold the rules of those that they select (api-machinery §6.1)."""

from k3py.api.resource import CLUSTER_ROLES
from k3py.controllers.identity.cluster_role_aggregation import build, plan_rules
from tests.support.controllers import World


def rule(resource):
    return {"verbs": ["get"], "apiGroups": [""], "resources": [resource]}


def role(name, *rules, labels=None, selects=()):
    made = {"kind": "ClusterRole", "metadata": {"name": name, "labels": labels or {}}, "rules": list(rules)}
    if selects:
        made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": one} for one in selects]}
    return made


def test_rules_come_by_selector_then_name_and_once():
    gathering = role("z", selects=({"a": "1"}, {"b": "1"}))
    roles = [
        role("y", rule("pods"), rule("nodes"), labels={"b": "1"}),
        role("x", rule("pods"), labels={"a": "1"}),
        gathering,
    ]
    assert plan_rules(gathering, roles) == [rule("pods"), rule("nodes")]


def test_a_role_does_not_gather_itself():
    own = role("z", rule("pods"), labels={"a": "1"}, selects=({"a": "1"},))
    assert plan_rules(own, [own]) == []


async def test_nothing_is_written_when_the_rules_are_right():
    world = World()
    world.client.seed(CLUSTER_ROLES, role("x", rule("pods"), labels={"a": "1"}))
    world.client.seed(CLUSTER_ROLES, role("z", rule("pods"), selects=({"a": "1"},)))
    before = world.client.objects(CLUSTER_ROLES)
    async with world.running(build):
        await build(world.context).reconcile("z")
    assert world.client.objects(CLUSTER_ROLES) == before
