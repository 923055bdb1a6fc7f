"""Go's regular expressions: what RE2 has works as there, what it has not is refused."""

from __future__ import annotations

import pytest

from k3py.api.go_regex import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        ("b", "abc", True),
        (r"^\d+$", "٣", False),
        ("^[[:alpha:]]+$", "abC", True),
        ("^[[:digit:]_]+$", "1_2", True),
        ("(?i)^abc$", "ABC", True),
        (r"^\Qa.b\E$", "a.b", True),
        (r"^\Qa.b\E$", "axb", False),
        ("^a{2}$", "aa", True),
        ("a{,2}", "a{,2}", True),
        (r"\pL", "é", True),
        (r"^a\z", "a", True),
        ("[]a]", "]", True),
    ],
)
def test_fits(pattern, text, fits):
    assert (compile_pattern(pattern).search(text) is not None) is fits


@pytest.mark.parametrize(
    "pattern", ["([", "^(?=x)", "(?<!x)y", r"(a)\1", "a**", "a{1001}", "[a", "\\", "a++"]
)
def test_is_refused(pattern):
    with pytest.raises(PatternError):
        compile_pattern(pattern)


def test_no_pattern_takes_long_over_a_text():
    text = "a" * 50_000 + "!"
    for pattern in ("^(a+)+$", "^(a|a)*$", "^(a*)*b$", "(.*)*(.*)*c$"):
        assert compile_pattern(pattern).search(text) is None


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(", "missing closing ): `(`"),
        ("[a", "missing closing ]: `[a`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("(?=x)", "invalid or unsupported Perl syntax: `(?=`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        ("[b-a]", "invalid character class range: `b-a`"),
    ],
)
def test_faults_are_named_as_go_names_them(pattern, text):
    with pytest.raises(PatternError) as fault:
        compile_pattern(pattern)
    assert str(fault.value) == f"error parsing regexp: {text}"


def test_long_patterns_of_schemas_are_taken():
    assert compile_pattern(r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.){0,10}[a-z]{2,63}$").search("a.b.example.com")
