import pytest

from k3py.api.user import User
from k3py.apiserver.authz.rule import Rule, find_uncovered
from k3py.apiserver.interface import Attributes

USER = User(name="eve")


def asks(verb, resource="", *, group="", sub="", name="", path=""):
    return Attributes(
        user=USER, verb=verb, group=group, resource=resource, subresource=sub, name=name, path=path
    )


@pytest.mark.parametrize(
    ("resources", "resource", "sub", "allowed"),
    [
        (("pods",), "pods", "", True),
        (("pods",), "pods", "log", False),
        (("pods/log",), "pods", "log", True),
        (("pods/log",), "pods", "", False),
        (("*/scale",), "deployments", "scale", True),
        (("pods/*",), "pods", "log", False),
        (("*",), "pods", "log", True),
    ],
)
def test_a_rule_names_resources_and_subresources_literally_or_by_star(resources, resource, sub, allowed):
    rule = Rule(verbs=("get",), groups=("",), resources=resources)
    assert rule.allows(asks("get", resource, sub=sub)) is allowed


def test_a_rule_with_names_covers_no_request_without_one():
    rule = Rule(verbs=("get", "create"), groups=("",), resources=("pods",), names=("a",))
    assert rule.allows(asks("get", "pods", name="a"))
    assert not rule.allows(asks("get", "pods", name="b"))
    assert not rule.allows(asks("create", "pods"))


@pytest.mark.parametrize(
    ("url", "path", "allowed"),
    [
        ("/healthz", "/healthz", True),
        ("/api/*", "/api/v1", True),
        ("/api", "/api/v1", False),
        ("*", "/x", True),
    ],
)
def test_paths_match_whole_or_by_a_star_at_the_end(url, path, allowed):
    assert Rule(verbs=("get",), urls=(url,)).allows(asks("get", path=path)) is allowed


def test_the_group_must_match():
    rule = Rule(verbs=("*",), groups=("apps",), resources=("*",))
    assert rule.allows(asks("delete", "deployments", group="apps"))
    assert not rule.allows(asks("delete", "pods"))


def test_several_rules_may_cover_one_together():
    held = [
        Rule(verbs=("get",), groups=("",), resources=("pods",)),
        Rule(verbs=("list",), groups=("",), resources=("pods",)),
    ]
    wanted = Rule(verbs=("get", "list"), groups=("",), resources=("pods",))
    assert find_uncovered(held, [wanted]) == []
    assert [str(one) for one in find_uncovered(held[:1], [wanted])] == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}'
    ]


def test_a_rule_for_some_names_covers_none_for_all():
    held = [Rule(verbs=("get",), groups=("",), resources=("pods",), names=("a",))]
    assert find_uncovered(held, [Rule(verbs=("get",), groups=("",), resources=("pods",))])
    assert not find_uncovered(held, held)
