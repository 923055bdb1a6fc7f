"""Compiles a checked tree to closures; each adds to what the evaluation has cost so far.

Errors behave as CEL says: a logical operator of which one side decides does not care about an error of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3py.api.cel.errors import CostExceeded, EvaluationFault, no_such_overload
from k3py.api.cel.overload import Overload, constant
from k3py.api.cel.types import is_assignable
from k3py.api.cel.values import ABSENT, Optional, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from k3py.api.cel.overload import Size
    from k3py.api.cel.syntax import Node
    from k3py.jsontypes import JsonValue

    Step = Callable[["Frame"], Any]


class Frame:
    """One evaluation: variables and cost."""

    __slots__ = ("cost", "limit", "variables")

    def __init__(self, variables: dict[str, JsonValue], limit: int) -> None:
        self.variables = variables
        self.limit = limit
        self.cost = 0

    def charge(self, cost: int) -> None:
        """Add to the cost. Raises CostExceeded."""
        self.cost += cost
        if self.cost > self.limit:
            raise CostExceeded("operation cancelled: actual cost limit exceeded")


def compile_node(node: Node) -> Step:
    """Return a function that evaluates a checked node; it raises EvaluationFault or CostExceeded."""
    match node.kind:
        case "const":
            value = node.value
            return lambda _frame: value
        case "ident":
            return _compile_ident(node.name)
        case "select":
            return _compile_select(compile_node(_target(node)), str(node.value))
        case "test":
            return _compile_test(compile_node(_target(node)), str(node.value))
        case "list":
            return _compile_list(node.args)
        case "map":
            return _compile_map(node.args)
        case "comprehension":
            return _compile_comprehension(node)
    return _compile_call(node)


def _target(node: Node) -> Node:
    assert node.target is not None
    return node.target


def _compile_ident(name: str) -> Step:
    def step(frame: Frame) -> JsonValue:
        frame.charge(1)
        return frame.variables[name]

    return step


def _compile_select(target: Step, name: str) -> Step:
    def step(frame: Frame) -> JsonValue:
        value = target(frame)
        frame.charge(1)
        if isinstance(value, Optional):
            return _optional_field(value, name)
        if not isinstance(value, dict):
            raise no_such_overload()
        if name not in value:
            raise EvaluationFault(f"no such key: {name}")
        return value[name]

    return step


def _optional_field(value: JsonValue, name: str) -> Optional:
    inner = value
    if isinstance(value, Optional):
        if not value.present:
            return ABSENT
        inner = value.value
    if not isinstance(inner, dict):
        raise no_such_overload()
    return Optional(present=True, value=inner[name]) if name in inner else ABSENT


def _compile_test(target: Step, name: str) -> Step:
    def step(frame: Frame) -> bool:
        value = target(frame)
        if isinstance(value, Optional):
            return _optional_field(value, name).present
        if not isinstance(value, dict):
            raise no_such_overload()
        return name in value

    return step


def _compile_list(nodes: Sequence[Node]) -> Step:
    steps = [
        (compile_node(one.args[0]) if one.name == "?_" else compile_node(one), one.name == "?_")
        for one in nodes
    ]

    def step(frame: Frame) -> list[JsonValue]:
        frame.charge(10)
        values = []
        for one, is_optional in steps:
            value = one(frame)
            if not is_optional:
                values.append(value)
            elif value.present:
                values.append(value.value)
        return values

    return step


def _compile_map(nodes: Sequence[Node]) -> Step:
    pairs = [
        (compile_node(key), compile_node(value.args[0] if value.name == "?_" else value), value.name == "?_")
        for key, value in zip(nodes[::2], nodes[1::2], strict=True)
    ]

    def step(frame: Frame) -> dict[JsonValue, JsonValue]:
        frame.charge(30)
        found: dict[JsonValue, JsonValue] = {}
        for make_key, make_value, is_optional in pairs:
            key, value = make_key(frame), make_value(frame)
            if is_optional:
                if not value.present:
                    continue
                value = value.value
            if key in found:
                raise EvaluationFault(f"Failed with repeated key: {key}")
            found[key] = value
        return found

    return step


# --- calls -----------------------------------------------------------------------------------------------------------


def _compile_call(node: Node) -> Step:
    args = (_target(node), *node.args) if node.target is not None else node.args
    match node.name:
        case "_&&_":
            return _compile_logical(compile_node(args[0]), compile_node(args[1]), decisive=False)
        case "_||_":
            return _compile_logical(compile_node(args[0]), compile_node(args[1]), decisive=True)
        case "_?_:_":
            return _compile_conditional(*(compile_node(one) for one in args))
        case "_?._":
            name = str(node.value)
            operand = compile_node(args[0])

            def select(frame: Frame) -> Optional:
                value = operand(frame)
                frame.charge(1)
                return _optional_field(value, name)

            return select
        case "_[_]" | "_[?_]":
            return _compile_index(
                compile_node(args[0]), compile_node(args[1]), is_optional=node.name == "_[?_]"
            )
    overloads = [one for one in node.overloads if isinstance(one, Overload)]
    return _compile_function(overloads, [compile_node(one) for one in args], args)


def _compile_logical(left: Step, right: Step, *, decisive: bool) -> Step:
    def step(frame: Frame) -> bool:
        fault: EvaluationFault | None = None
        for side in (left, right):
            try:
                value = side(frame)
            except EvaluationFault as error:
                fault = fault or error
                continue
            if not isinstance(value, bool):
                fault = fault or no_such_overload()
            elif value is decisive:
                return decisive
        if fault is not None:
            raise fault
        return not decisive

    return step


def _compile_conditional(condition: Step, yes: Step, no: Step) -> Step:
    def step(frame: Frame) -> JsonValue:
        value = condition(frame)
        if not isinstance(value, bool):
            raise no_such_overload()
        return yes(frame) if value else no(frame)

    return step


def _compile_index(operand: Step, index: Step, *, is_optional: bool) -> Step:
    def step(frame: Frame) -> JsonValue:
        value, key = operand(frame), index(frame)
        frame.charge(1)
        optional = is_optional
        if isinstance(value, Optional):
            if not value.present:
                return ABSENT
            value, optional = value.value, True
        found, fault = _look_up(value, key)
        if optional:
            return ABSENT if fault else Optional(present=True, value=found)
        if fault:
            raise EvaluationFault(fault)
        return found

    return step


def _look_up(value: JsonValue, key: JsonValue) -> tuple[JsonValue, str]:
    """Return an entry, or what is wrong."""
    if isinstance(value, dict):
        return (value[key], "") if key in value else (None, f"no such key: {key}")
    if not isinstance(value, list | tuple):
        raise no_such_overload()
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    if isinstance(key, bool) or not isinstance(key, int):
        raise no_such_overload()
    return (value[key], "") if 0 <= key < len(value) else (None, f"index out of bounds: {key}")


def _compile_function(overloads: Sequence[Overload], steps: Sequence[Step], args: Sequence[Node]) -> Step:
    if len(overloads) == 1 and all(_is_sure(one) for one in args):
        return _compile_overload(overloads[0], steps)

    def step(frame: Frame) -> JsonValue:
        values = [one(frame) for one in steps]
        kinds = [type_of(one) for one in values]
        for one in overloads:
            if all(is_assignable(param, kind) for param, kind in zip(one.params, kinds, strict=True)):
                _charge(frame, one, values)
                return one.function(*values)
        raise no_such_overload()

    return step


def _is_sure(node: Node) -> bool:
    return node.type.name != "dyn"


def _compile_overload(overload: Overload, steps: Sequence[Step]) -> Step:
    function = overload.function
    if overload.cost is constant and len(steps) == 1:
        only = steps[0]

        def unary(frame: Frame) -> JsonValue:
            value = only(frame)
            frame.charge(1)
            return function(value)

        return unary

    def step(frame: Frame) -> JsonValue:
        values = [one(frame) for one in steps]
        _charge(frame, overload, values)
        return function(*values)

    return step


def _charge(frame: Frame, overload: Overload, values: Sequence[JsonValue]) -> None:
    if overload.cost is constant:
        frame.charge(1)
        return
    sizes = [_size(one) for one in values]
    frame.charge(overload.cost(sizes)[0][0])


def _size(value: JsonValue) -> Size:
    size = len(value) if isinstance(value, str | bytes | list | tuple | dict) else 1
    return size, size


# --- comprehensions --------------------------------------------------------------------------------------------------


def _compile_comprehension(node: Node) -> Step:
    target = compile_node(_target(node))
    names: tuple[str, ...] = node.value
    *conditions, last = [compile_node(one) for one in node.args]
    if node.name in ("optMap", "optFlatMap"):
        return _compile_optional_map(target, names[0], last, wraps=node.name == "optMap")
    loop = _Loop(names, last, conditions[0] if conditions else None)
    run: Callable[[_Loop, Frame, JsonValue], JsonValue] = getattr(_Loop, f"run_{node.name}")

    def step(frame: Frame) -> JsonValue:
        values = target(frame)
        outer = [(name, frame.variables[name]) for name in names if name in frame.variables]
        try:
            frame.charge(1)
            return run(loop, frame, values)
        finally:
            for name in names:
                frame.variables.pop(name, None)
            frame.variables.update(outer)

    return step


def _compile_optional_map(target: Step, name: str, body: Step, *, wraps: bool) -> Step:
    def step(frame: Frame) -> Optional:
        value = target(frame)
        frame.charge(1)
        if not isinstance(value, Optional):
            raise no_such_overload()
        if not value.present:
            return ABSENT
        shadowed = name in frame.variables
        outer = frame.variables.get(name)
        frame.variables[name] = value.value
        try:
            result = body(frame)
        finally:
            if shadowed:
                frame.variables[name] = outer
            else:
                del frame.variables[name]
        return Optional(present=True, value=result) if wraps else result

    return step


class _Loop:
    """Walks a list or map with its variables bound; one method a macro."""

    __slots__ = ("_body", "_condition", "_names")

    def __init__(self, names: tuple[str, ...], body: Step, condition: Step | None) -> None:
        self._names = names
        self._body = body
        self._condition = condition

    def _walk(self, frame: Frame, values: JsonValue) -> Iterable[tuple[JsonValue, JsonValue]]:
        """Bind the variables for each entry and yield (what a single variable holds, what the second one holds)."""
        if isinstance(values, dict):
            pairs: Iterable[tuple[JsonValue, JsonValue]] = values.items()
        elif isinstance(values, list | tuple):
            pairs = enumerate(values)
        else:
            raise no_such_overload()
        names, single = self._names, len(self._names) == 1
        is_map = isinstance(values, dict)
        for key, value in pairs:
            frame.charge(2)
            if single:
                frame.variables[names[0]] = key if is_map else value
            else:
                frame.variables[names[0]], frame.variables[names[1]] = key, value
            if self._condition is None or _truth(self._condition(frame)):
                yield (key if is_map else value) if single else key, value

    def _decide(self, frame: Frame, values: JsonValue, *, decisive: bool) -> bool:
        fault: EvaluationFault | None = None
        for _ in self._walk(frame, values):
            try:
                value = _truth(self._body(frame))
            except EvaluationFault as error:
                fault = fault or error
                continue
            if value is decisive:
                return decisive
        if fault is not None:
            raise fault
        return not decisive

    def run_all(self, frame: Frame, values: JsonValue) -> bool:
        return self._decide(frame, values, decisive=False)

    def run_exists(self, frame: Frame, values: JsonValue) -> bool:
        return self._decide(frame, values, decisive=True)

    def run_existsOne(self, frame: Frame, values: JsonValue) -> bool:  # noqa: N802 - the macro's name
        return sum(_truth(self._body(frame)) for _ in self._walk(frame, values)) == 1

    def run_filter(self, frame: Frame, values: JsonValue) -> list[JsonValue]:
        return [entry for entry, _ in self._walk(frame, values) if _truth(self._body(frame))]

    def run_map(self, frame: Frame, values: JsonValue) -> list[JsonValue]:
        return [self._body(frame) for _ in self._walk(frame, values)]

    run_transformList = run_map  # noqa: N815 - the macro's name

    def run_transformMap(self, frame: Frame, values: JsonValue) -> dict[JsonValue, JsonValue]:  # noqa: N802
        return {key: self._body(frame) for key, _ in self._walk(frame, values)}

    def run_transformMapEntry(self, frame: Frame, values: JsonValue) -> dict[JsonValue, JsonValue]:  # noqa: N802
        found: dict[JsonValue, JsonValue] = {}
        for _ in self._walk(frame, values):
            for key, value in self._body(frame).items():
                if key in found:
                    raise EvaluationFault(f"insert failed: key {key} already exists")
                found[key] = value
        return found


def _truth(value: JsonValue) -> bool:
    if not isinstance(value, bool):
        raise no_such_overload()
    return value
