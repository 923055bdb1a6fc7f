"""Names are accepted unless another definition of the group has them (api-machinery.md §5.1)."""

from __future__ import annotations

from k3py.apiserver.crd.names import plan_status

NOW = "2026-01-01T00:00:00Z"


def definition(uid, *, status=None, group="example.com", **names):
    full = {"plural": "ws", "singular": "w", "kind": "W", "listKind": "WList"} | names
    return {
        "metadata": {"uid": uid, "name": f"{full['plural']}.{group}"},
        "spec": {"group": group, "names": full},
        "status": status or {},
    }


def conditions_of(status):
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


def test_a_lone_definition_is_established():
    one = definition("1", shortNames=["z"], categories=["all"])
    status = plan_status(one, [one], now=NOW)
    assert status["acceptedNames"] == one["spec"]["names"]
    assert conditions_of(status) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }


def test_planning_again_changes_nothing():
    one = definition("1")
    one["status"] = plan_status(one, [one], now=NOW)
    assert plan_status(one, [one], now="2027-01-01T00:00:00Z") == one["status"]


def test_a_name_in_use_is_not_accepted_and_the_others_are():
    first = definition("1", shortNames=["z"])
    first["status"] = plan_status(first, [], now=NOW)
    second = definition("2", plural="vs", singular="v", kind="W", listKind="VList")
    status = plan_status(second, [first, second], now=NOW)
    assert status["acceptedNames"] == {"plural": "vs", "singular": "v", "listKind": "VList"}
    assert conditions_of(status) == {
        "NamesAccepted": ("False", "KindConflict"),
        "Established": ("False", "NotAccepted"),
    }


def test_other_groups_do_not_matter():
    first = definition("1")
    first["status"] = plan_status(first, [], now=NOW)
    second = definition("2", group="example.org")
    assert conditions_of(plan_status(second, [first], now=NOW))["NamesAccepted"] == ("True", "NoConflicts")


def test_what_is_established_stays_so_when_a_new_short_name_conflicts():
    first = definition("1", shortNames=["z"])
    first["status"] = plan_status(first, [], now=NOW)
    second = definition("2", plural="vs", singular="v", kind="V", listKind="VList")
    second["status"] = plan_status(second, [first], now=NOW)
    second["spec"]["names"]["shortNames"] = ["z"]
    status = plan_status(second, [first, second], now=NOW)
    assert conditions_of(status) == {
        "NamesAccepted": ("False", "ShortNamesConflict"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert "shortNames" not in status["acceptedNames"]
