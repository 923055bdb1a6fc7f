"""Finds the type of every part of an expression and the overloads that may be meant, or says what does not fit.

Source: github.com/google/cel-go/checker v0.26, with homogeneous literals and cross-type numeric comparisons, as Kubernetes sets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import CompilationFault
from k3py.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    DYNAMIC,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    CelType,
    Declaration,
    is_assignable,
    is_dynamic,
    list_of,
    map_of,
    optional_of,
    substitute,
    unify,
)  # fmt: skip
from k3py.api.cel.values import type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.cel.overload import Overload
    from k3py.api.cel.syntax import Node

_TYPE_NAMES: Final[dict[str, CelType]] = {
    "int": INT, "uint": UINT, "double": DOUBLE, "bool": BOOL, "string": STRING, "bytes": BYTES, "null_type": NULL,
    "type": TYPE, "list": list_of(DYN), "map": map_of(DYN, DYN), "optional_type": optional_of(DYN),
    "google.protobuf.Timestamp": TIMESTAMP, "google.protobuf.Duration": DURATION,
}  # fmt: skip
_SYMBOLS: Final = {"@in": "in"}


class Checker:
    """Checks one expression.

    Args:
        variables: what the expression may refer to.
        overloads: functions by (name, is a member).
    """

    def __init__(
        self,
        variables: Mapping[str, Declaration],
        overloads: Mapping[tuple[str, bool], tuple[Overload, ...]],
    ) -> None:
        self._scopes: list[Mapping[str, Declaration]] = [variables]
        self._overloads = overloads
        self.used: set[str] = set()
        self._mixes = False  # inside format(), whose list may hold anything

    def check(self, node: Node) -> CelType:
        """Annotate a node and those below; return its type.

        Raises:
            CompilationFault: something does not fit.
        """
        node.type = getattr(self, f"_check_{node.kind}")(node)
        return node.type

    def _fault(self, node: Node, text: str) -> CompilationFault:
        return CompilationFault(f"ERROR: <input>:1:{node.position + 1}: {text}")

    def _check_const(self, node: Node) -> CelType:
        return type_of(node.value)

    def _check_ident(self, node: Node) -> CelType:
        for depth, scope in enumerate(reversed(self._scopes)):
            found = scope.get(node.name)
            if found is not None:
                if depth == len(self._scopes) - 1:
                    self.used.add(node.name)
                node.declaration = found
                return found.type
        named = _TYPE_NAMES.get(node.name)
        if named is None:
            raise self._fault(node, f"undeclared reference to '{node.name}' (in container '')")
        node.kind, node.value = "const", named
        return TYPE

    def _check_select(self, node: Node) -> CelType:
        target = node.target
        assert target is not None
        qualified = _qualified(node) or ""
        named = _TYPE_NAMES.get(qualified)
        if named is not None:
            node.kind, node.value = "const", named
            return TYPE
        if qualified in self._scopes[0]:  # a variable with a dot in its name
            node.kind, node.name, node.target = "ident", qualified, None
            return self._check_ident(node)
        self.check(target)
        found = self._field(node, target, node.name)
        if target.type.name == "optional_type":
            return optional_of(found.type)
        node.declaration = found
        return found.type

    def _check_test(self, node: Node) -> CelType:
        assert node.target is not None
        self.check(node.target)
        _ = self._field(node, node.target, node.name)
        return BOOL

    def _field(self, node: Node, target: Node, name: str) -> Declaration:
        """Return the declaration of a field of `target` (or of what is in it, when it is optional)."""
        kind, declaration = target.type, target.declaration
        if kind.name == "optional_type":
            kind = kind.params[0]
        if kind.name.startswith("object"):
            if declaration is None or declaration.type != kind:
                declaration = find_object(kind, self._scopes)
            found = declaration.fields.get(name) if declaration is not None else None
            if found is None:
                raise self._fault(node, f"undefined field '{name}'")
            node.value = declaration.names.get(name, name) if declaration is not None else name
            return found
        node.value = name
        if kind.name == "map":
            if declaration is not None and declaration.element is not None and declaration.type == kind:
                return declaration.element
            return Declaration(kind.params[1])
        if is_dynamic(kind):
            return DYNAMIC
        raise self._fault(node, f"type '{kind}' does not support field selection")

    def _check_list(self, node: Node) -> CelType:
        element: CelType | None = None
        for one in node.args:
            kind = self._entry(one)
            if element is None:
                element = kind
            elif self._mixes and element != kind:
                element = DYN
            elif not is_assignable(element, kind):
                raise self._fault(one, f"expected type '{element}' but found '{kind}'")
            elif is_dynamic(element):
                element = kind
        return list_of(element or DYN)

    def _entry(self, node: Node) -> CelType:
        """Check an entry of a literal; an optional one (?x) counts as what it holds."""
        if node.name != "?_":
            return self.check(node)
        inner = self.check(node.args[0])
        node.type = inner
        if inner.name == "optional_type":
            return inner.params[0]
        if is_dynamic(inner):
            return DYN
        raise self._fault(node, f"expected type 'optional_type' but found '{inner}'")

    def _check_map(self, node: Node) -> CelType:
        key: CelType | None = None
        value: CelType | None = None
        for at, one in enumerate(node.args):
            kind = self._entry(one)
            known = value if at % 2 else key
            if known is not None and not is_assignable(known, kind):
                raise self._fault(one, f"expected type '{known}' but found '{kind}'")
            if at % 2:
                value = known or kind
            else:
                key = known or kind
        return map_of(key or DYN, value or DYN)

    # --- calls -------------------------------------------------------------------------------------------------------

    def _check_call(self, node: Node) -> CelType:
        match node.name:
            case "_&&_" | "_||_":
                for one in node.args:
                    self._need(one, BOOL)
                return BOOL
            case "_?_:_":
                return self._check_conditional(node)
            case "_?._":
                self.check(node.args[0])
                found = self._field(node, node.args[0], node.args[1].value)
                node.args[1].type = STRING
                return optional_of(found.type)
            case "_[_]" | "_[?_]":
                return self._check_index(node)
        return self._check_function(node)

    def _need(self, node: Node, wanted: CelType) -> None:
        kind = self.check(node)
        if not is_assignable(wanted, kind):
            raise self._fault(node, f"expected type '{wanted}' but found '{kind}'")

    def _check_conditional(self, node: Node) -> CelType:
        self._need(node.args[0], BOOL)
        yes, no = self.check(node.args[1]), self.check(node.args[2])
        bound: dict[str, CelType] = {}
        if not unify(CelType("A"), yes, bound) or not unify(CelType("A"), no, bound):
            raise self._fault(
                node, f"found no matching overload for '_?_:_' applied to '(bool, {yes}, {no})'"
            )
        return DYN if is_dynamic(yes) or is_dynamic(no) else _wider(yes, no)

    def _check_index(self, node: Node) -> CelType:
        operand = node.args[0]
        kind = self.check(operand)
        index = self.check(node.args[1])
        is_optional = kind.name == "optional_type"
        inner = kind.params[0] if is_optional else kind
        if is_dynamic(inner):
            result = DYN
        elif inner.name == "list" and is_assignable(INT, index):
            result = inner.params[0]
        elif inner.name == "map" and is_assignable(inner.params[0], index):
            result = inner.params[1]
        else:
            raise self._fault(
                node, f"found no matching overload for '{node.name}' applied to '({kind}, {index})'"
            )
        declaration = operand.declaration
        if declaration is not None and declaration.element is not None and declaration.type == inner:
            node.declaration = declaration.element
        return optional_of(result) if is_optional or node.name == "_[?_]" else result

    def _check_function(self, node: Node) -> CelType:
        args = node.args
        if node.target is not None:
            qualified = _qualified(node)
            if (
                qualified is not None
                and (qualified, False) in self._overloads
                and not self._is_variable(qualified.partition(".")[0])
            ):
                node.name, node.target = qualified, None
            else:
                args = (node.target, *args)
        candidates = self._overloads.get((node.name, node.target is not None), ())
        mixed, self._mixes = self._mixes, node.name == "format"
        for one in args:
            self.check(one)
        self._mixes = mixed
        if not candidates:
            raise self._fault(node, f"undeclared reference to '{node.name}' (in container '')")
        fitting: list[Overload] = []
        result: CelType | None = None
        for overload in candidates:
            bound: dict[str, CelType] = {}
            if len(overload.params) != len(args) or not all(
                unify(param, arg.type, bound) for param, arg in zip(overload.params, args, strict=True)
            ):
                continue
            fitting.append(overload)
            kind = substitute(overload.result, bound)
            result = kind if result is None or result == kind else DYN
        if result is None:
            shown = f"{args[0].type}.({', '.join(str(one.type) for one in args[1:])})" if node.target else (
                f"({', '.join(str(one.type) for one in args)})"
            )  # fmt: skip
            name = _SYMBOLS.get(node.name, node.name)
            raise self._fault(node, f"found no matching overload for '{name}' applied to '{shown}'")
        node.overloads = tuple(fitting)
        if node.name in ("value", "orValue", "or") and args[0].declaration is not None:
            node.declaration = args[0].declaration
        return result

    def _is_variable(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)

    # --- comprehensions ----------------------------------------------------------------------------------------------

    def _check_comprehension(self, node: Node) -> CelType:
        target = node.target
        assert target is not None
        kind = self.check(target)
        names = node.value
        variables = self._variables(node, kind, target.declaration, len(names))
        self._scopes.append(dict(zip(names, variables, strict=True)))
        try:
            return self._check_body(node, kind, variables)
        finally:
            self._scopes.pop()

    def _variables(
        self, node: Node, kind: CelType, declaration: Declaration | None, count: int
    ) -> list[Declaration]:
        if node.name in ("optMap", "optFlatMap"):
            if kind.name != "optional_type" and not is_dynamic(kind):
                raise self._fault(
                    node, f"found no matching overload for '{node.name}' applied to '{kind}.()'"
                )
            inner = kind.params[0] if kind.params else DYN
            known = find_object(inner, self._scopes) if inner.name.startswith("object") else None
            return [known or Declaration(inner)]
        if is_dynamic(kind):
            return [DYNAMIC] * count
        same = declaration if declaration is not None and declaration.type == kind else None
        element = same.element if same is not None else None
        if kind.name == "list":
            entry = element or self._declare(kind.params[0])
            return [entry] if count == 1 else [Declaration(INT, most=0), entry]
        if kind.name == "map":
            key = (same.key if same is not None else None) or Declaration(kind.params[0])
            return [key] if count == 1 else [key, element or self._declare(kind.params[1])]
        raise self._fault(
            node,
            f"expression of type '{kind}' cannot be range of a comprehension (must be list, map, or dynamic)",
        )

    def _declare(self, kind: CelType) -> Declaration:
        found = find_object(kind, self._scopes) if kind.name.startswith("object") else None
        return found or Declaration(kind)

    def _check_body(self, node: Node, kind: CelType, variables: list[Declaration]) -> CelType:
        *conditions, last = node.args
        name = node.name
        if name in ("all", "exists", "existsOne", "filter"):
            self._need(last, BOOL)
            if name != "filter":
                return BOOL
            if node.target is not None and kind.name == "list":
                node.declaration = node.target.declaration
            return list_of(variables[0].type)
        for one in conditions:
            self._need(one, BOOL)
        result = self.check(last)
        match name:
            case "optMap":
                return optional_of(result)
            case "optFlatMap":
                return result
            case "transformMap":
                return map_of(variables[0].type, result)
            case "transformMapEntry":
                if result.name != "map" and not is_dynamic(result):
                    raise self._fault(last, f"expected type 'map' but found '{result}'")
                return result
        return list_of(result)


def _wider(one: CelType, other: CelType) -> CelType:
    return other if one == NULL or any(map(is_dynamic, one.params)) else one


def _qualified(node: Node) -> str | None:
    """Return the dotted name of a chain of selections, None when it starts with something else."""
    parts = [node.name]
    place = node.target
    while place is not None:
        if place.kind not in ("ident", "select"):
            return None
        parts.append(place.name)
        place = place.target
    return ".".join(reversed(parts))


def find_object(kind: CelType, scopes: list[Mapping[str, Declaration]]) -> Declaration | None:
    """Return the declaration of an object type that some variable reaches."""
    for scope in scopes:
        for one in scope.values():
            found = _search(one, kind)
            if found is not None:
                return found
    return None


def _search(place: Declaration, kind: CelType) -> Declaration | None:
    if place.type == kind:
        return place
    inner = [*place.fields.values(), *(one for one in (place.element,) if one is not None)]
    return next((found for one in inner if (found := _search(one, kind)) is not None), None)
