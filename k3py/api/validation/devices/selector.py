"""How devices are selected, and opaque parameters for their drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.fielderror import forbidden_field, invalid_value, required, too_long
from k3py.api.validation.devices.names import check_driver

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_LONGEST_EXPRESSION: Final = 10 * 1024
_LONGEST_PARAMETERS: Final = 10 * 1024
_MOST_COST: Final = 1_000_000


def check_selector(selector: JsonObject, path: str) -> list[FieldError]:
    """A selector is an expression about the device."""
    cel = selector.get("cel")
    if cel is None:
        return [required(f"{path}.cel")]
    text, path = cel.get("expression", ""), f"{path}.cel.expression"
    if len(text.encode()) > _LONGEST_EXPRESSION:
        return [too_long(path, _LONGEST_EXPRESSION)]
    from k3py.api.cel.devices import compile_selector  # noqa: PLC0415 - the language is imported when met
    from k3py.api.cel.errors import CompilationFault  # noqa: PLC0415

    try:
        program = compile_selector(text)
    except CompilationFault as fault:
        return [invalid_value(path, text, f"compilation failed: {fault}")]
    if program.cost[1] > _MOST_COST:
        return [forbidden_field(path, "too complex, exceeds cost limit")]
    return []


def check_configuration(configuration: JsonObject, path: str, *, is_stored: bool) -> list[FieldError]:
    """A configuration is for one driver; what is stored already may be long."""
    opaque = configuration.get("opaque")
    path = f"{path}.opaque"
    if opaque is None:
        return [required(path)]
    return [
        *check_driver(opaque.get("driver", ""), f"{path}.driver"),
        *check_parameters(opaque.get("parameters"), f"{path}.parameters", is_stored=is_stored),
    ]


def check_parameters(parameters: JsonValue, path: str, *, is_stored: bool) -> list[FieldError]:
    """Parameters are a JSON object."""
    if parameters is None:
        return [required(path)]
    if not is_stored and len(orjson.dumps(parameters)) > _LONGEST_PARAMETERS:
        return [too_long(path, _LONGEST_PARAMETERS)]
    if not isinstance(parameters, dict):
        return [invalid_value(path, "<value omitted>", "parameters must be a valid JSON object")]
    return []
