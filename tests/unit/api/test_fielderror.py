"""How findings are told."""

from k3py.api.fielderror import invalid_value, not_supported


def test_values_are_shown_as_compact_json():
    found = invalid_value("spec.selector", {"matchLabels": {"a": "ä"}}, "field is immutable")
    assert str(found) == 'spec.selector: Invalid value: {"matchLabels":{"a":"ä"}}: field is immutable'


def test_allowed_values_are_listed_in_the_given_order():
    assert str(not_supported("x", "c", ("b", "a"))) == 'x: Unsupported value: "c": supported values: "b", "a"'
