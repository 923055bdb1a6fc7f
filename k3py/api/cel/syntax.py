"""From text to a tree: lexer, parser, macros.

Source: the CEL specification's grammar; macros of cel-go and its extensions for optionals and two-variable comprehensions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import CompilationFault
from k3py.api.cel.values import INT_RANGE, UINT_RANGE, UInt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.api.cel.types import CelType, Declaration
    from k3py.jsontypes import JsonValue

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<bytes_or_text>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|\"(?:\\.|[^\\\"\n\r])*\"|'(?:\\.|[^\\'\n\r])*'))
    |(?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)
    |(?P<ident>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<sign><=|>=|==|!=|&&|\|\||[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_RAW: Final = re.compile(r"[rRbB]*")
_ESCAPE: Final = re.compile(
    r"""\\(?:([abfnrtv\\?"'`])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.?))""",
    re.DOTALL,
)
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_RESERVED: Final = frozenset(
    ("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
     "namespace", "null", "package", "return", "true", "var", "void", "while")
)  # fmt: skip
_BINARY: Final = (
    ("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"),
)  # fmt: skip
_DEEPEST: Final = 250


class Node:
    """A node of the tree; the checker adds the type, the declaration and what was resolved.

    kind: const, ident, select, test (has), call, list, map, comprehension.
    """

    __slots__ = (
        "args",
        "declaration",
        "kind",
        "name",
        "overloads",
        "position",
        "size",
        "target",
        "type",
        "value",
    )

    def __init__(
        self,
        kind: str,
        position: int,
        *,
        name: str = "",
        value: JsonValue = None,
        target: Node | None = None,
        args: tuple[Node, ...] = (),
    ) -> None:
        self.kind = kind
        self.position = position
        self.name = name
        self.value = value
        self.target = target
        self.args = args
        self.type: CelType
        self.declaration: Declaration | None = None
        self.overloads: tuple[object, ...] = ()
        self.size: tuple[int, int] | None = None


def parse(text: str) -> Node:
    """Return the tree of an expression.

    Raises:
        CompilationFault: not an expression.
    """
    if len(text) > _LONGEST_TEXT:
        raise CompilationFault(
            f"ERROR: <input>:-1:0: expression code point size exceeds limit: size: {len(text)}, limit {_LONGEST_TEXT}"
        )
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_scan(text))
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._expression()
        if self._peek() != "":
            raise self._unexpected()
        return node

    # --- tokens ------------------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        kind, text, _ = self._tokens[self._at]
        return text if kind in ("sign", "ident", "end") else f"\0{kind}"

    def _position(self) -> int:
        return self._tokens[self._at][2]

    def _take(self) -> tuple[str, str, int]:
        token = self._tokens[self._at]
        if token[0] != "end":
            self._at += 1
        return token

    def _accept(self, sign: str) -> bool:
        kind, text, _ = self._tokens[self._at]
        if text == sign and kind in ("sign", "ident"):
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            raise self._unexpected(f", expecting '{sign}'")

    def _unexpected(self, more: str = "") -> CompilationFault:
        _, text, position = self._tokens[self._at]
        return CompilationFault(
            f"ERROR: <input>:1:{position + 1}: Syntax error: mismatched input '{text or '<EOF>'}'{more}"
        )

    # --- grammar -----------------------------------------------------------------------------------------------------

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise CompilationFault(f"expression recursion limit exceeded: {_DEEPEST}")
        node = self._binary(0)
        position = self._position()
        if self._accept("?"):
            yes = self._binary(0)
            self._expect(":")
            no = self._expression()
            node = Node("call", position, name="_?_:_", args=(node, yes, no))
        self._depth -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        node = self._binary(level + 1)
        while self._peek() in _BINARY[level]:
            _, sign, position = self._take()
            right = self._binary(level + 1)
            name = "@in" if sign == "in" else f"_{sign}_"
            node = Node("call", position, name=name, args=(node, right))
        return node

    def _unary(self) -> Node:
        position = self._position()
        if self._accept("!"):
            return Node("call", position, name="!_", args=(self._unary(),))
        if self._accept("-"):
            kind, text, _ = self._tokens[self._at]
            if kind in ("int", "double"):
                self._tokens[self._at] = (kind, f"-{text}", position)
                return self._member()
            return Node("call", position, name="-_", args=(self._unary(),))
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        while True:
            position = self._position()
            if self._accept("."):
                node = self._after_dot(node, position)
            elif self._accept("["):
                optional = self._accept("?")
                index = self._expression()
                self._expect("]")
                node = Node("call", position, name="_[?_]" if optional else "_[_]", args=(node, index))
            else:
                return node

    def _after_dot(self, node: Node, position: int) -> Node:
        if self._accept("?"):
            field = Node("const", position, value=self._identifier())
            return Node("call", position, name="_?._", args=(node, field))
        name = self._identifier()
        if self._accept("("):
            return self._call(name, node, self._arguments(")"), position)
        return Node("select", position, name=name, target=node)

    def _identifier(self) -> str:
        kind, text, _ = self._tokens[self._at]
        if kind != "ident":
            raise self._unexpected()
        self._at += 1
        return text

    def _arguments(self, end: str) -> tuple[Node, ...]:
        args: list[Node] = []
        while not self._accept(end):
            if args:
                self._expect(",")
                if end != ")" and self._accept(end):
                    break
            position = self._position()
            if end == "]" and self._accept("?"):
                args.append(Node("call", position, name="?_", args=(self._expression(),)))
            else:
                args.append(self._expression())
        return tuple(args)

    def _primary(self) -> Node:
        kind, text, position = self._take()
        if kind == "ident":
            return self._named(text, position)
        if kind in ("int", "double", "bytes_or_text"):
            return Node("const", position, value=_literal(kind, text))
        match text:
            case "(":
                self._depth += 1
                node = self._expression()
                self._depth -= 1
                self._expect(")")
                return node
            case "[":
                return Node("list", position, args=self._arguments("]"))
            case "{":
                return self._map(position)
            case ".":
                return self._named(self._identifier(), position)
        self._at -= kind != "end"
        raise self._unexpected()

    def _named(self, text: str, position: int) -> Node:
        if text in ("true", "false"):
            return Node("const", position, value=text == "true")
        if text == "null":
            return Node("const", position, value=None)
        if text in _RESERVED:
            self._at -= 1
            raise self._unexpected()
        if self._accept("("):
            return self._call(text, None, self._arguments(")"), position)
        return Node("ident", position, name=text)

    def _map(self, position: int) -> Node:
        entries: list[Node] = []
        while not self._accept("}"):
            if entries:
                self._expect(",")
                if self._accept("}"):
                    break
            place = self._position()
            optional = self._accept("?")
            key = self._expression()
            self._expect(":")
            value = self._expression()
            entries += (key, Node("call", place, name="?_", args=(value,)) if optional else value)
        return Node("map", position, args=tuple(entries))

    def _call(self, name: str, target: Node | None, args: tuple[Node, ...], position: int) -> Node:
        if target is None:
            if name == "has" and len(args) == 1:
                field = args[0]
                if field.kind != "select":
                    raise CompilationFault(
                        f"ERROR: <input>:1:{field.position + 1}: invalid argument to has() macro"
                    )
                return Node("test", position, name=field.name, target=field.target)
        elif (name, len(args)) in _MACROS:
            return _expand(name, target, args, position)
        return Node("call", position, name=name, target=target, args=args)


_MACROS: Final = frozenset((
    ("all", 2), ("exists", 2), ("exists_one", 2), ("existsOne", 2), ("filter", 2), ("map", 2), ("map", 3),
    ("all", 3), ("exists", 3), ("existsOne", 3), ("transformList", 3), ("transformList", 4), ("transformMap", 3),
    ("transformMap", 4), ("transformMapEntry", 3), ("transformMapEntry", 4), ("optMap", 2), ("optFlatMap", 2),
))  # fmt: skip


def _expand(name: str, target: Node, args: tuple[Node, ...], position: int) -> Node:
    """Return a comprehension: `value` holds its variables, `args` its expressions (predicate before transformation)."""
    two = len(args) > 2 and name != "map"
    names = args[: 2 if two else 1]
    for one in names:
        if one.kind != "ident":
            raise CompilationFault(f"ERROR: <input>:1:{one.position + 1}: argument must be a simple name")
    variables = tuple(one.name for one in names)
    if len(set(variables)) < len(variables):
        raise CompilationFault(f"ERROR: <input>:1:{position + 1}: duplicate variable name")
    return Node(
        "comprehension",
        position,
        name="existsOne" if name == "exists_one" else name,
        value=variables,
        target=target,
        args=args[len(names) :],
    )


def _scan(text: str) -> Iterator[tuple[str, str, int]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise CompilationFault(
                f"ERROR: <input>:1:{at + 1}: Syntax error: token recognition error at: '{text[at]}'"
            )
        kind = str(found.lastgroup)
        if kind != "space":
            yield kind, found[0], at
        at = found.end()
    yield "end", "", at


def _literal(kind: str, text: str) -> JsonValue:
    if kind == "double":
        return float(text)
    if kind == "int":
        return _integer(text)
    prefix = _RAW.match(text)
    flags = prefix[0].lower() if prefix else ""
    body = text[len(flags) :]
    quotes = 3 if body.startswith(('"""', "'''")) and len(body) >= 6 else 1
    body = body[quotes:-quotes]
    if "r" in flags:
        return body.encode() if "b" in flags else body
    if "b" in flags:
        return _unescape_bytes(body)
    return _ESCAPE.sub(_unescape, body)


_LONGEST_TEXT: Final = 100_000  # code points, as cel-go
_LONGEST_INTEGER: Final = 1000  # more digits cost more than they say


def _integer(text: str) -> int:
    unsigned = text[-1] in "uU"
    digits = text[:-1] if unsigned else text
    if len(digits) > _LONGEST_INTEGER:
        raise CompilationFault(
            f"invalid {'uint' if unsigned else 'int'} literal: {digits[:_LONGEST_INTEGER]}…"
        )
    value = int(digits, 16) if "x" in digits.lower() else int(digits)
    low, high = UINT_RANGE if unsigned else INT_RANGE
    if not low <= value <= high:
        raise CompilationFault(f"invalid {'uint' if unsigned else 'int'} literal: {text}")
    return UInt(value) if unsigned else value


def _unescape(found: re.Match[str]) -> str:
    simple, two, four, eight, octal, other = found.groups()
    if simple is not None:
        return _SIMPLE.get(simple, simple)
    if octal is not None:
        return chr(int(octal, 8))
    code = two or four or eight
    if other is not None or code is None:
        raise CompilationFault(f"unable to unescape {found[0]!r}")
    value = int(code, 16)
    if value > 0x10FFFF or 0xD800 <= value < 0xE000:
        raise CompilationFault(f"invalid code point {found[0]!r}")
    return chr(value)


def _unescape_bytes(body: str) -> bytes:
    out = bytearray()
    at = 0
    for found in _ESCAPE.finditer(body):
        out += body[at : found.start()].encode()
        text = _unescape(found)
        is_byte = found[2] is not None or found[5] is not None
        out += text.encode("latin-1") if is_byte else text.encode()
        at = found.end()
    return bytes(out + body[at:].encode())
