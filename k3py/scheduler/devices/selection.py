"""Whether a device is what a selector asks for. Source: k8s.io/dynamic-resource-allocation/cel v0.35."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from k3py.api.cel.devices import compile_selector
from k3py.api.cel.errors import CompilationFault, CostExceeded, EvaluationFault
from k3py.api.cel.libraries.quantities import Quantity
from k3py.api.quantity import parse_quantity

if TYPE_CHECKING:
    from k3py.api.cel.program import Program
    from k3py.scheduler.devices.pools import Device

_COST_LIMIT: Final = 1_000_000


@lru_cache(maxsize=256)
def _compile(text: str) -> Program | None:
    try:
        return compile_selector(text)
    except CompilationFault:
        return None


def is_selected(device: Device, expression: str) -> bool:
    """Say whether the expression is true for a device; one that has no value is not."""
    program = _compile(expression)
    if program is None:
        return False
    try:
        value, _ = program.run({"device": _describe(device)}, limit=_COST_LIMIT)
    except (EvaluationFault, CostExceeded):
        return False
    return value is True


def _describe(device: Device) -> dict[str, Any]:
    attributes: dict[str, dict[str, Any]] = {}
    for name, value in (device.spec.get("attributes") or {}).items():
        domain, key = _split(name, device.id.driver)
        attributes.setdefault(domain, {})[key] = next(iter(value.values()), None)
    capacity: dict[str, dict[str, Any]] = {}
    for name, value in (device.spec.get("capacity") or {}).items():
        domain, key = _split(name, device.id.driver)
        capacity.setdefault(domain, {})[key] = Quantity(parse_quantity(value["value"]))
    return {"driver": device.id.driver, "attributes": attributes, "capacity": capacity}


def _split(name: str, driver: str) -> tuple[str, str]:
    domain, slash, rest = name.partition("/")
    return (domain, rest) if slash else (driver, name)
