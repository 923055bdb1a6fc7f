"""CEL over a token's claims and over the user that was made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from k3py.api.cel.program import Program
    from k3py.jsontypes import JsonObject, JsonValue

_COST_LIMIT: Final = 1_000_000
_TEXTS: Final[JsonObject] = {"type": "array", "items": {"type": "string"}}
_USER: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "username": {"type": "string"},
        "uid": {"type": "string"},
        "groups": _TEXTS,
        "extra": {"type": "object", "additionalProperties": _TEXTS},
    },
}
_RESULTS: Final = {"bool": ("bool",), "string": ("string",), "texts": ("string", "list")}


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; `variable` is "claims" or "user"."""

    text: str
    variable: str
    program: Program

    def run(self, value: JsonObject) -> JsonValue:
        """Return its value. Raises EvaluationFault, CostExceeded."""
        return self.program.run({self.variable: value}, limit=_COST_LIMIT)[0]


def compile_claims(text: str, where: str, result: str) -> Expression:
    """Compile an expression over `claims`; result: "bool", "string" or "texts" (a string, or strings).

    Raises:
        ConfigError: it does not compile, or to another type.
    """
    return _compile(text, where, "claims", result)


def compile_user(text: str, where: str) -> Expression:
    """Compile a rule over `user`. Raises ConfigError."""
    return _compile(text, where, "user", "bool")


def _compile(text: str, where: str, variable: str, result: str) -> Expression:
    # CEL is loaded only where somebody wrote an expression.
    from k3py.api.cel.declarations import declare  # noqa: PLC0415
    from k3py.api.cel.errors import CompilationFault  # noqa: PLC0415
    from k3py.api.cel.program import compile_expression  # noqa: PLC0415
    from k3py.api.cel.types import DYN, DYNAMIC, STRING, Declaration, map_of  # noqa: PLC0415

    if variable == "claims":
        declaration = Declaration(map_of(STRING, DYN), element=DYNAMIC, key=Declaration(STRING))
    else:
        declaration = declare(_USER, path="object.user") or DYNAMIC
    try:
        program = compile_expression(text, {variable: declaration})
    except CompilationFault as error:
        raise ConfigError(f"{where}: {text!r}: {error}") from error
    if program.type.name not in (*_RESULTS[result], "dyn"):
        raise ConfigError(f"{where}: {text!r}: must evaluate to {' or '.join(_RESULTS[result])}")
    return Expression(text, variable, program)
