"""JSONPath templates as kubectl's `-o jsonpath=`: texts, `{.path}`, `{range …}{end}`, filters, slices, unions, `..`.

Source: k8s.io/client-go/util/jsonpath v0.35.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from k3py.jsontypes import JsonValue

_PIECE: Final = re.compile(r"\{((?:[^{}\"']|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')*)\}")
_NAME: Final = re.compile(r"(?:\\.|[^.\[\]\\\s])+")
_FILTER: Final = re.compile(
    r"\s*(?P<left>@[^=!<>]*?|[^=!<>]*?)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>.*?))?\s*"
)
_SLICE: Final = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d*))?")


class JsonPath:
    """A parsed template.

    Raises:
        K3pyError: it is misspelt.
    """

    def __init__(self, template: str) -> None:
        self._nodes = _parse(template)

    def render(self, document: JsonValue, *, allow_missing: bool = True) -> str:
        """Return the text for a document. Raises K3pyError: a part is missing, and that is not allowed."""
        return "".join(_render(self._nodes, document, document, allow_missing=allow_missing))

    def find(self, document: JsonValue) -> list[JsonValue]:
        """Return the values that the template's first path selects."""
        for node in self._nodes:
            if isinstance(node, _Path):
                return node.select([document], document, allow_missing=True)
        return []


class _Path:
    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self._steps = list(_steps(self.text))

    def select(self, values: list[JsonValue], root: JsonValue, *, allow_missing: bool) -> list[JsonValue]:
        for kind, argument in self._steps:
            if kind == "root":
                values = [root]
            elif kind == "key":
                values = list(_keys(values, argument, allow_missing=allow_missing))
            elif kind == "deep":
                values = [one for value in values for one in _descend(value)]
            else:
                values = [one for value in values for one in _bracket(value, argument, root)]
        return values


class _Range:
    def __init__(self, path: _Path, inner: list[_Node]) -> None:
        self.path = path
        self.inner = inner


_Node = str | _Path | _Range


def _parse(template: str) -> list[_Node]:
    stack: list[tuple[_Path | None, list[_Node]]] = [(None, [])]
    at = 0
    for match in _PIECE.finditer(template):
        if match.start() > at:
            stack[-1][1].append(template[at : match.start()])
        at = match.end()
        inner = match[1].strip()
        if inner.startswith("range"):
            stack.append((_Path(inner.removeprefix("range")), []))
        elif inner == "end":
            path, nodes = stack.pop()
            if path is None:
                raise K3pyError("error parsing jsonpath: not in range, nothing to end")
            stack[-1][1].append(_Range(path, nodes))
        elif inner[:1] in ("'", '"'):
            stack[-1][1].append(_unquote(inner))
        else:
            stack[-1][1].append(_Path(inner))
    rest = template[at:]
    if "{" in rest or len(stack) > 1:
        raise K3pyError(f"error parsing jsonpath {template}, unclosed action")
    if rest:
        stack[0][1].append(rest)
    return stack[0][1]


def _unquote(text: str) -> str:
    if text[0] == "'":
        return text[1:-1].replace("\\'", "'")
    try:
        return str(json.loads(text))
    except json.JSONDecodeError as error:
        raise K3pyError(f"error parsing jsonpath: {text}: not a text in quotes") from error


def _steps(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        if text[at] == "$":
            yield "root", ""
            at += 1
        elif text[at] == "@":
            at += 1
        elif text.startswith("..", at):
            yield "deep", ""
            at += 2
            if match := _NAME.match(text, at):
                yield "key", match[0]
                at = match.end()
        elif text[at] == ".":
            at += 1
            if match := _NAME.match(text, at):
                yield "key", re.sub(r"\\(.)", r"\1", match[0])
                at = match.end()
        elif text[at] == "[":
            end = _closing(text, at)
            yield "bracket", text[at + 1 : end]
            at = end + 1
        elif match := _NAME.match(text, at):
            yield "key", re.sub(r"\\(.)", r"\1", match[0])
            at = match.end()
        else:
            raise K3pyError(f"error parsing jsonpath: unrecognized character in action: {text[at]!r}")


def _closing(text: str, at: int) -> int:
    depth, quote = 0, ""
    for index in range(at, len(text)):
        letter = text[index]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "[":
            depth += 1
        elif letter == "]":
            depth -= 1
            if not depth:
                return index
    raise K3pyError("error parsing jsonpath: unterminated array")


def _keys(values: Iterable[JsonValue], name: str, *, allow_missing: bool) -> Iterator[JsonValue]:
    for value in values:
        if name == "*":
            yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        elif isinstance(value, dict) and name in value:
            yield value[name]
        elif not allow_missing:
            raise K3pyError(f"error executing jsonpath: {name} is not found")


def _descend(value: JsonValue) -> Iterator[JsonValue]:
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in children:
        yield from _descend(one)


def _bracket(value: JsonValue, argument: str, root: JsonValue) -> Iterator[JsonValue]:
    argument = argument.strip()
    if argument.startswith("?"):
        yield from (one for one in _items(value) if _matches(one, argument[1:].strip()[1:-1], root))
    elif argument == "*":
        yield from _items(value)
    elif argument[:1] in ("'", '"'):
        for name in re.findall(r"'([^']*)'|\"([^\"]*)\"", argument):
            yield from _keys([value], re.sub(r"\\(.)", r"\1", name[0] or name[1]), allow_missing=True)
    else:
        for part in argument.split(","):
            yield from _index(value, part.strip())


def _items(value: JsonValue) -> Sequence[JsonValue]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()


def _index(value: JsonValue, part: str) -> Iterator[JsonValue]:
    if not isinstance(value, list):
        return
    if match := _SLICE.fullmatch(part):
        start, end, step = (int(one) if one else None for one in match.groups())
        yield from value[slice(start, end, step)]
        return
    if not re.fullmatch(r"-?\d+", part):
        raise K3pyError(f"error parsing jsonpath: invalid array index {part}")
    number = int(part)
    if not -len(value) <= number < len(value):
        raise K3pyError(
            f"error executing jsonpath: array index out of bounds: index {number}, length {len(value)}"
        )
    yield value[number]


def _matches(value: JsonValue, condition: str, root: JsonValue) -> bool:
    match = _FILTER.fullmatch(condition)
    if match is None:
        raise K3pyError(f"error parsing jsonpath: filter {condition!r}")
    left = _operand(match["left"], value, root)
    if not match["operator"]:
        return bool(left)
    right = _operand(match["right"], value, root)
    if not left or not right:
        return False
    return _compare(left[0], match["operator"], right[0])


def _operand(text: str, value: JsonValue, root: JsonValue) -> list[JsonValue]:
    text = text.strip()
    if text.startswith(("@", "$")):
        return _Path(text).select([value], root, allow_missing=True)
    if text[:1] in ("'", '"'):
        return [text[1:-1]]
    try:
        number: JsonValue = json.loads(text)
    except json.JSONDecodeError:
        return [text]
    return [number]


def _compare(left: JsonValue, operator: str, right: JsonValue) -> bool:
    if operator in ("==", "!="):
        return bool(left == right) == (operator == "==")
    if isinstance(left, str) and isinstance(right, str):
        order = (left > right) - (left < right)
    elif isinstance(left, (int, float)) and isinstance(right, (int, float)):
        order = (float(left) > float(right)) - (float(left) < float(right))
    else:
        raise K3pyError("error executing jsonpath: incompatible types for comparison")
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def _render(
    nodes: Sequence[_Node], value: JsonValue, root: JsonValue, *, allow_missing: bool
) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, _Path):
            found = node.select([value], root, allow_missing=allow_missing)
            yield " ".join(show(one) for one in found)
        else:
            for one in node.path.select([value], root, allow_missing=allow_missing):
                yield from _render(node.inner, one, root, allow_missing=allow_missing)


def show(value: JsonValue) -> str:
    """Return a value as jsonpath and columns print it: texts as they are, the rest as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
