"""x-kubernetes-validations over objects and in definitions (api-machinery.md §5.2)."""

from __future__ import annotations

import pytest

from k3py.api.cel.definitions import validate_rules
from k3py.api.cel.rules import RuleSet


def spec(rules, **properties):
    return {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": properties, "x-kubernetes-validations": rules}
        },
    }


def run(schema, new, old=None):
    wrap = None if old is None else {"spec": old}
    return RuleSet(schema, is_root=True).run({"spec": new}, wrap)


def causes(errors):
    return [(error.reason.removeprefix("FieldValue"), error.path) for error in errors]


INTEGER = {"type": "integer"}
STRING = {"type": "string"}


def test_a_failure_carries_message_reason_and_place():
    schema = spec(
        [
            {"rule": "self.a > 1", "message": " too small "},
            {
                "rule": "self.a > 1",
                "messageExpression": "'got ' + string(self.a)",
                "reason": "FieldValueForbidden",
            },
            {"rule": "self.a > 1", "fieldPath": ".a"},
            {"rule": "self.a > 0"},
        ],
        a=INTEGER,
    )
    found = run(schema, {"a": 0})
    assert [(one.reason, one.path, one.message()) for one in found] == [
        ("FieldValueInvalid", "spec", "Invalid value: too small"),
        ("FieldValueForbidden", "spec", "Forbidden: got 0"),
        ("FieldValueInvalid", "spec.a", "Invalid value: failed rule: self.a > 1"),
        ("FieldValueInvalid", "spec", "Invalid value: failed rule: self.a > 0"),
    ]


def test_what_cannot_be_evaluated_fails():
    (found,) = run(spec([{"rule": "self.a > 1"}], a=INTEGER), {})
    assert found.message() == 'Invalid value: "object": no such key: a evaluating rule: self.a > 1'


def test_transition_rules_need_an_old_value():
    schema = spec([{"rule": "self.a == oldSelf.a"}], a=STRING)
    assert run(schema, {"a": "x"}) == []
    assert run(schema, {"a": "x"}, {"a": "x"}) == []
    assert causes(run(schema, {"a": "y"}, {"a": "x"})) == [("Invalid", "spec")]


def test_an_optional_old_value_may_be_missing():
    schema = spec([{"rule": "oldSelf.hasValue() || self.a == 'first'", "optionalOldSelf": True}], a=STRING)
    assert causes(run(schema, {"a": "x"})) == [("Invalid", "spec")]
    assert run(schema, {"a": "x"}, {"a": "y"}) == []


def test_entries_of_keyed_lists_know_their_twins():
    item = {
        "type": "object",
        "properties": {"k": STRING, "v": INTEGER},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}],
    }
    keyed = {
        "type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
    }  # fmt: skip
    schema = spec([], l=keyed)
    old = {"l": [{"k": "a", "v": 5}, {"k": "b", "v": 5}]}
    new = {"l": [{"k": "b", "v": 6}, {"k": "a", "v": 4}, {"k": "c", "v": 0}]}
    assert causes(run(schema, new, old)) == [("Invalid", "spec.l[1]")]


def test_what_did_not_change_may_stay_wrong_unless_the_rule_is_about_change():
    schema = spec([{"rule": "self.a > 5"}, {"rule": "self.a > oldSelf.a"}], a=INTEGER)
    found = run(schema, {"a": 1}, {"a": 1})
    assert [one.detail for one in found] == ["failed rule: self.a > oldSelf.a"]


def test_rules_at_the_root_see_the_name_and_have_no_path():
    schema = {"type": "object", "x-kubernetes-validations": [{"rule": "self.metadata.name.startsWith('w-')"}]}
    found = RuleSet(schema, is_root=True).run({"metadata": {"name": "x"}}, None)
    assert causes(found) == [("Invalid", "<nil>")]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "self.a > 1"}, []),
        ({"rule": "self.zz > 1"}, [("Invalid", "rule")]),
        ({"rule": "self.a"}, [("Invalid", "rule")]),
        ({"rule": " "}, [("Required", "rule")]),
        ({"rule": "true", "message": "a\nb"}, [("Invalid", "message")]),
        ({"rule": "true", "reason": "Bogus"}, [("NotSupported", "reason")]),
        ({"rule": "true", "fieldPath": ".none"}, [("Invalid", "fieldPath")]),
        ({"rule": "true", "fieldPath": ".m['k']"}, []),
        ({"rule": "true", "optionalOldSelf": True}, [("Invalid", "optionalOldSelf")]),
        ({"rule": "true", "messageExpression": "self.a"}, [("Invalid", "messageExpression")]),
    ],
)
def test_parts_of_rules(rule, expected):
    schema = spec([rule], a=INTEGER, m={"type": "object", "additionalProperties": STRING})
    head = "S.properties[spec].x-kubernetes-validations[0]."
    found = [(reason, path.removeprefix(head)) for reason, path in causes(validate_rules(schema, "S"))]
    assert found == expected


def test_rules_that_may_cost_too_much_are_refused_until_sizes_are_bounded():
    inner = {"type": "array", "items": STRING}
    rule = {"rule": "self.l.all(x, self.l.all(y, x == y))"}
    assert causes(validate_rules(spec([rule], l=inner), "S")) == [
        ("Forbidden", "S.properties[spec].x-kubernetes-validations[0].rule"),
        ("Forbidden", "S"),
    ]
    bounded = inner | {"maxItems": 10, "items": STRING | {"maxLength": 10}}
    assert validate_rules(spec([rule], l=bounded), "S") == []


def test_old_values_cannot_be_had_in_lists_without_keys():
    item = STRING | {"maxLength": 5, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}
    found = validate_rules(spec([], l={"type": "array", "maxItems": 5, "items": item}), "S")
    assert causes(found) == [
        ("Invalid", "S.properties[spec].properties[l].items.x-kubernetes-validations[0].rule")
    ]
