"""Where rules stand in schemas; what they say is `api.cel`'s, which is imported only when there are some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

RULES: Final = "x-kubernetes-validations"


def has_rules(schema: JsonObject) -> bool:
    """Say whether a schema, or one below it, has rules."""
    if schema.get(RULES):
        return True
    inner = [
        *(schema.get("properties") or {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    return any(has_rules(one) for one in inner if isinstance(one, dict))
