"""Expressions have the values that cel-go gives them, and are refused where it refuses them."""

from __future__ import annotations

import pytest

from k3py.api.cel.declarations import declare
from k3py.api.cel.errors import CompilationFault, CostExceeded, EvaluationFault
from k3py.api.cel.program import compile_expression
from k3py.api.cel.types import BOOL

SCHEMA = {
    "type": "object",
    "properties": {
        "s": {"type": "string", "maxLength": 20},
        "i": {"type": "integer"},
        "n": {"type": "number"},
        "l": {"type": "array", "items": {"type": "string"}},
        "m": {"type": "object", "additionalProperties": {"type": "integer"}},
        "o": {
            "type": "array",
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}},
        },
        "p": {"x-kubernetes-int-or-string": True},
        "when": {"type": "string", "format": "date-time"},
        "a-b": {"type": "string"},
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    },
}
VALUE = {
    "s": "abc", "i": 3, "n": 2, "l": ["x", "y"], "m": {"a": 1, "b": 2}, "o": [{"k": "p", "v": 1}, {"k": "q", "v": 2}], "p": "50%",
    "when": "2020-05-01T10:00:00Z", "a-b": "dash", "set": ["b", "a"],
}  # fmt: skip


def compile_it(text, result=None):
    return compile_expression(text, {"self": declare(SCHEMA)}, result=result)


def evaluate(text, limit=1_000_000):
    convert = declare(SCHEMA).convert
    return compile_it(text).run({"self": convert(VALUE)}, limit=limit)[0]


@pytest.mark.parametrize(
    "text",
    [
        "self.s == 'abc' && self.i > 2", "self.n == 2.0", "self.n > 1", "self.i / 2 == 1 && -7 / 2 == -3 && -7 % 2 == -1",
        "1 + 2 * 3 == 7", "(1 + 2) * 3 == 9", "self.i in [1, 3]", "!('z' in self.m)", "self.m['a'] == 1", "self.m.a == 1",
        "self.l.size() == 2 && size(self.l) == 2", "self.l.all(x, x != 'z')", "self.l.exists(x, x == 'y')",
        "self.l.exists_one(x, x == 'y')", "self.o.filter(e, e.v > 1).map(e, e.k) == ['q']", "self.o.map(e, e.v > 1, e.k) == ['q']",
        "self.m.all(k, self.m[k] > 0)", "self.m.all(k, v, v > 0 && k != '')", "self.l.exists(i, x, i == 1 && x == 'y')",
        "[1, 2].transformList(i, v, v * 2) == [2, 4]", "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
        "has(self.s) && !has(self.m.zz)", "self.?s.hasValue()", "self.m[?'zz'].orValue(7) == 7", "[?self.m[?'zz'], 1] == [1]",
        "self.?s.optMap(x, x + '!').value() == 'abc!'", "optional.none().or(optional.of(1)).value() == 1",
        "type(self.p) == string && self.p == '50%'", "type(1) == int && type([]) == list", "self.i == 3 ? true : false",
        "true || self.l[9] == ''", "self.l[9] == '' || true", "!(false && self.l[9] == '')", "self.a__dash__b == 'dash'",
        "self.set == ['a', 'b']", "(self.set + ['a', 'c']).size() == 3", "self.when.getFullYear() == 2020",
        "self.when - timestamp('2020-05-01T09:30:00Z') == duration('30m')", "duration('1h30m').getMinutes() == 90",
        "timestamp('2020-05-01T00:30:00Z').getHours('+02:00') == 2", "string(duration('90s')) == '90s'",
        "int('5') == 5 && uint('5') == 5u && double('5') == 5.0", "string(1.5) == '1.5' && string(true) == 'true'",
        "string(b'\\x61') == 'a' && bytes('a') == b'a'", r"r'\d' == '\\d' && '\u00fc' == 'ü' && '''a'b''' == 'a\'b'",
        "0x1F == 31 && 1e3 == 1000.0", "'abc'.charAt(1) == 'b' && 'abc'.indexOf('c') == 2 && 'abca'.lastIndexOf('a') == 3",
        "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'", "'aBc'.upperAscii() == 'ABC' && ' x '.trim() == 'x'",
        "'abab'.replace('a', 'x', 1) == 'xbab' && 'abc'.substring(1, 2) == 'b'", "strings.quote('q') == '\"q\"'",
        "'%s %d %.2f %x'.format(['a', 1, 1.5, 255]) == 'a 1 1.50 ff'", "'abc'.matches('^a.c$') && 'a1b2'.findAll('[0-9]') == ['1', '2']",
        "[3, 1].min() == 1 && [1, 2].sum() == 3 && [1, 2].isSorted() && [2, 1].sort() == [1, 2]", "[1, 1].distinct() == [1]",
        "sets.equivalent(['a', 'b', 'a'], ['b', 'a']) && sets.contains([1, 2], [2])", "url('https://u:p@a.example:80/x?k=1&k=2').getHost() == 'a.example:80'",
        "url('https://[::1]:8/').getHostname() == '::1'", "isURL('/x') && !isURL('a b')", "ip('::1').family() == 6 && ip('127.0.0.1').isLoopback()",
        "!ip.isCanonical('::0') && isIP('1.2.3.4') && !isIP('01.2.3.4')", "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.0.0.0/8').containsIP('10.2.3.4')", "quantity('1.5Gi').isGreaterThan(quantity('1Gi'))",
        "quantity('1k').compareTo(quantity('1000')) == 0 && quantity('500m').asApproximateFloat() == 0.5", "semver('1.9.0').isLessThan(semver('1.10.0'))",
        "semver('v1.2', true) == semver('1.2.0') && semver('1.0.0-a').isLessThan(semver('1.0.0'))", "!format.dns1123Label().validate('abc').hasValue()",
        "format.named('uuid').value().validate('x').hasValue()", "self.l == ['x', 'y']",
    ],
)  # fmt: skip
def test_is_true(text):
    assert evaluate(text) is True


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("self.l[9] == ''", "index out of bounds: 9"),
        ("self.m.zz == 1", "no such key: zz"),
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "modulus by zero"),
        ("9223372036854775807 + self.i > 0", "integer overflow"),
        ("int('x') == 1", "invalid syntax"),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("self.p < 5", "no such overload"),
        ("false || self.l[9] == ''", "index out of bounds: 9"),
        ("'abc'.substring(2, 1) == ''", "invalid substring range"),
    ],
)
def test_has_no_value(text, fault):
    with pytest.raises(EvaluationFault, match=fault.replace("(", r"\(").replace(")", r"\)")):
        evaluate(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("self.(", "Syntax error"), ("", "Syntax error"), ("a.b", "undeclared reference to 'a'"), ("self.zz == 1", "undefined field 'zz'"),
        ("self.s == 1", "found no matching overload for '_==_' applied to '(string, int)'"), ("self.n == 1", "no matching overload"),
        ("self.s + 1 == ''", "no matching overload"), ("self.s.reverse() == ''", "no matching overload"), ("[1, 'a'] == []", "expected type"),
        ("self.i.x == 1", "does not support field selection"), ("self.i.all(x, true)", "cannot be range"), ("has(self)", "invalid argument to has"),
        ("cel.bind(x, 1, x == 1)", "undeclared reference"), ("1u + 1 == 2u", "no matching overload"), ("self.l.all(1, true)", "must be a simple name"),
        ("9223372036854775808 > 0", "invalid int literal"), ("self.s.matches('a') && 1", "expected type 'bool'"), ("if", "Syntax error"),
    ],
)  # fmt: skip
def test_is_refused(text, fault):
    with pytest.raises(CompilationFault) as caught:
        compile_it(text)
    assert fault in str(caught.value)


def test_the_result_must_be_of_the_wanted_type():
    with pytest.raises(CompilationFault):
        compile_it("self.i", result=BOOL)


def test_nesting_is_bounded():
    with pytest.raises(CompilationFault):
        compile_it("(" * 5000 + "1" + ")" * 5000)


def test_an_evaluation_ends_at_its_limit():
    text = "self.l.all(x, self.l.all(y, self.l.all(z, x != '' && y != '' && z != '')))"
    assert evaluate(text) is True
    with pytest.raises(CostExceeded):
        evaluate(text, limit=20)


def test_variables_of_macros_do_not_stay():
    assert evaluate("self.l.exists(s, s == 'x') && self.s == 'abc'") is True


@pytest.mark.parametrize(
    ("text", "is_cheap"),
    [
        ("self.s.contains('x')", True),
        ("self.l.all(x, x != '')", True),
        ("self.l.all(x, self.l.all(y, x == y))", False),
        ("self.s.matches('^a+$')", True),
        ("self.m.all(k, self.m[k] > 0)", True),
    ],
)
def test_the_estimate_tells_cheap_from_expensive(text, is_cheap):
    assert (compile_it(text).cost[1] < 10_000_000) is is_cheap


def test_the_estimate_is_not_below_what_an_evaluation_costs():
    program = compile_it(
        "self.l.exists(x, x == 'y') && self.s.matches('^a.*') && self.o.map(e, e.v).sum() > 1"
    )
    _, cost = program.run({"self": declare(SCHEMA).convert(VALUE)}, limit=10**6)
    assert cost <= program.cost[1]


@pytest.mark.parametrize("text", ["1" * 90_000, "0x" + "f" * 90_000, "1" * 90_000 + "u"])
def test_numbers_of_many_digits_are_refused_at_once(text):
    with pytest.raises(CompilationFault, match="literal"):
        compile_expression(text, {})


def test_long_texts_are_refused_unread():
    with pytest.raises(CompilationFault, match="size: 100001, limit 100000"):
        compile_expression(" " * 99_997 + "true", {})
