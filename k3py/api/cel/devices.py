"""Expressions that select devices. Source: k8s.io/dynamic-resource-allocation/cel v0.35."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from k3py.api.cel.program import compile_expression
from k3py.api.cel.types import BOOL, DYN, QUANTITY, STRING, CelType, Declaration, map_of

if TYPE_CHECKING:
    from k3py.api.cel.program import Program

# Of one device: attributes and capacities, characters of a domain, of a name and of an attribute's value.
_MOST_ENTRIES: Final = 32
_LONGEST_DOMAIN: Final = 63
_LONGEST_NAME: Final = 32
_LONGEST_VALUE: Final = 64


def compile_selector(text: str) -> Program:
    """Compile a selector, which is about `device`. Raises CompilationFault."""
    return compile_expression(text, {"device": _device()}, result=BOOL)


@lru_cache(maxsize=1)
def _device() -> Declaration:
    domain = Declaration(STRING, most=_LONGEST_DOMAIN)

    def by_domain(value: Declaration) -> Declaration:
        name = Declaration(STRING, most=_LONGEST_NAME)
        inner = Declaration(map_of(STRING, value.type), most=_MOST_ENTRIES, element=value, key=name)
        return Declaration(map_of(STRING, inner.type), most=_MOST_ENTRIES, element=inner, key=domain)

    fields = {
        "driver": domain,
        "attributes": by_domain(Declaration(DYN, most=_LONGEST_VALUE)),
        "capacity": by_domain(Declaration(QUANTITY, most=1)),
    }
    return Declaration(CelType("object.kubernetes.DRADevice"), fields=fields)
