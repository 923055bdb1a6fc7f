"""How much an expression may cost at worst, given how large its input can be.

Source: github.com/google/cel-go/checker/cost.go v0.26.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.overload import ONE, UNKNOWN, Overload, Size, add, multiply, union
from k3py.api.cel.types import CIDR, FORMAT, IP, QUANTITY, SCALARS, SEMVER, TYPE

if TYPE_CHECKING:
    from k3py.api.cel.syntax import Node

_ZERO: Final[Size] = (0, 0)
_FIXED: Final = SCALARS | {TYPE, IP, CIDR, QUANTITY, SEMVER, FORMAT}
_LIST: Final[Size] = (10, 10)
_MAP: Final[Size] = (30, 30)
_LOOPS: Final[dict[str, Size]] = {"all": (2, 2), "exists": (3, 3)}
_STEPS: Final[dict[str, Size]] = {
    "all": (1, 1), "exists": (1, 1), "existsOne": (1, 2), "filter": (1, 12), "map": (12, 12), "transformList": (12, 12),
    "transformMap": (32, 32), "transformMapEntry": (2, 2),
}  # fmt: skip


def estimate(node: Node) -> Size:
    """Return the least and the most that evaluating a checked tree costs; sets the sizes of its nodes."""
    match node.kind:
        case "const":
            return _ZERO
        case "ident":
            return ONE
        case "select":
            return add(estimate(_target(node)), ONE)
        case "test":
            return estimate(_target(node))
        case "list":
            count = len(node.args)
            fixed = sum(one.name != "?_" for one in node.args)
            node.size = (fixed, count)
            return _sum((estimate(one) for one in node.args), _LIST)
        case "map":
            node.size = (len(node.args) // 2,) * 2
            return _sum((estimate(one) for one in node.args), _MAP)
        case "comprehension":
            return _comprehension(node)
    return _call(node)


def _target(node: Node) -> Node:
    assert node.target is not None
    return node.target


def _sum(costs: object, start: Size) -> Size:
    total = start
    for one in costs:  # type: ignore[attr-defined]
        total = add(total, one)
    return total


def _call(node: Node) -> Size:
    if node.name == "?_":
        return estimate(node.args[0])
    args = (node.target, *node.args) if node.target is not None else node.args
    costs = [estimate(one) for one in args]
    match node.name:
        case "_&&_" | "_||_":
            return costs[0][0], add(costs[0], costs[1])[1]
        case "_?_:_":
            node.size = union(size_of(args[1]), size_of(args[2]))
            return add(costs[0], union(costs[1], costs[2]))
        case "_?._" | "_[_]" | "_[?_]":
            return _sum(costs, ONE)
    sizes = [size_of(one) for one in args]
    total: Size | None = None
    for one in node.overloads:
        assert isinstance(one, Overload)
        cost, size = one.cost(sizes)
        total = cost if total is None else union(total, cost)
        if size is not None:
            node.size = size if node.size is None else union(node.size, size)
    return _sum(costs, total or ONE)


def _comprehension(node: Node) -> Size:
    target = _target(node)
    cost = estimate(target)
    body = _ZERO
    for one in node.args:
        body = add(body, estimate(one))
    if node.name in ("optMap", "optFlatMap"):
        return add(cost, (1, add(body, (4, 4))[1]))
    count = size_of(target)
    if node.name in ("map", "filter", "transformList", "transformMap"):
        node.size = (0 if len(node.args) > 1 or node.name == "filter" else count[0], count[1])
    once = add(add(body, _STEPS[node.name]), _LOOPS.get(node.name, _ZERO))
    return add(add(cost, multiply(count, once)), ONE)


def size_of(node: Node) -> Size:
    """Return how large the value of a node can be."""
    if node.size is not None:
        return node.size
    if node.kind == "const":
        size = len(node.value) if isinstance(node.value, str | bytes) else 1
        return size, size
    if node.declaration is not None and node.declaration.type == node.type:
        return 0, node.declaration.most
    return ONE if node.type in _FIXED else UNKNOWN
