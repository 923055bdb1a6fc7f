"""What can go wrong with an expression."""

from __future__ import annotations

from k3py.errors import K3pyError


class CompilationFault(K3pyError):
    """The expression cannot be parsed, or its types do not fit."""


class EvaluationFault(K3pyError):
    """The expression has no value for its input: a missing key, a division by zero, …."""


class CostExceeded(K3pyError):
    """The expression did more than its budget allows."""


def no_such_overload() -> EvaluationFault:
    """Values of types that only turned out to be wrong at run time."""
    return EvaluationFault("no such overload")
