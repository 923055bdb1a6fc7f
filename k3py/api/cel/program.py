"""The door: an expression, compiled against variables."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from k3py.api.cel.checker import Checker
from k3py.api.cel.errors import CompilationFault, EvaluationFault
from k3py.api.cel.estimate import estimate
from k3py.api.cel.evaluation import Frame, compile_node
from k3py.api.cel.libraries import index_overloads
from k3py.api.cel.syntax import parse
from k3py.api.cel.types import CelType, Declaration, is_assignable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from k3py.api.cel.overload import Overload, Size
    from k3py.jsontypes import JsonValue


class Program:
    """A compiled expression.

    Attributes:
        type: of its value.
        cost: the least and the most that it can cost.
        used: the variables that it refers to.
    """

    __slots__ = ("_step", "cost", "type", "used")

    def __init__(self, step: Callable[[Frame], Any], kind: CelType, cost: Size, used: frozenset[str]) -> None:
        self._step = step
        self.type = kind
        self.cost = cost
        self.used = used

    def run(self, variables: dict[str, JsonValue], *, limit: int) -> tuple[JsonValue, int]:
        """Return the value and what it cost.

        Raises:
            EvaluationFault: there is no value.
            CostExceeded: it would cost more than `limit`.
        """
        frame = Frame(dict(variables), limit)
        try:
            return self._step(frame), frame.cost
        except (TypeError, AttributeError, ValueError, OverflowError) as error:
            # types that were only known at run time
            raise EvaluationFault(f"no such overload: {error}") from error
        except RecursionError as error:
            raise EvaluationFault("the expression is nested too deeply") from error


def compile_expression(
    text: str, variables: Mapping[str, Declaration], *, result: CelType | None = None
) -> Program:
    """Compile an expression whose value is of type `result` (None: any).

    Raises:
        CompilationFault: it cannot be parsed, or types do not fit.
    """
    try:
        tree = parse(text)
        checker = Checker(variables, _overloads())
        kind = checker.check(tree)
        if result is not None and not is_assignable(result, kind):
            raise CompilationFault(f"must evaluate to {result}")
        cost = estimate(tree)
        return Program(compile_node(tree), kind, cost, frozenset(checker.used))
    except RecursionError as error:
        raise CompilationFault("the expression is nested too deeply") from error


@lru_cache(maxsize=1)
def _overloads() -> dict[tuple[str, bool], tuple[Overload, ...]]:
    return index_overloads()
