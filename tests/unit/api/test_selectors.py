import pytest

from k3py.api.selectors import SelectorError, parse_field_selector, parse_label_selector, selector_from_object


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("a=b", {"a": "b"}, True),
        ("a!=b", {}, True),
        ("a in (b,c),!d", {"a": "c"}, True),
        ("a notin (b)", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("a>1", {"a": "2"}, True),
        ("a>1", {"a": "x"}, False),
    ],
)
def test_a_label_selector_matches(text, labels, expected):
    assert parse_label_selector(text).matches(labels) is expected


@pytest.mark.parametrize("text", ["a=b,", "a in b", "=x", "a b", "a in (x", "a>x", "a=$"])
def test_a_bad_label_selector_is_refused(text):
    with pytest.raises(SelectorError):
        parse_label_selector(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
    ],
)
def test_a_bad_label_selector_is_explained_as_upstream_does(text, fault):
    with pytest.raises(SelectorError) as error:
        parse_label_selector(text)
    assert str(error.value) == fault


def test_empty_places_in_a_set_are_the_empty_value():
    assert parse_label_selector("a in (,b)").matches({"a": ""})
    assert parse_label_selector("a in ()").matches({"a": ""})
    assert not parse_label_selector("a in (b)").matches({"a": ""})


def test_a_field_selector_unescapes_and_pins():
    selector = parse_field_selector(r"metadata.name=a\,b,spec.nodeName!=n")
    assert selector.find_exact("metadata.name") == "a,b"
    assert selector.matches({"metadata.name": "a,b", "spec.nodeName": "m"})


def test_an_empty_selector_object_selects_everything_and_none_nothing():
    assert selector_from_object({}).matches({"a": "b"})
    assert not selector_from_object(None).matches({"a": "b"})
