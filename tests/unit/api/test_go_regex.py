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
