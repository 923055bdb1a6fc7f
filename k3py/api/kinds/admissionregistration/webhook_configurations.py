"""What both kinds of webhook configurations have in common.

Source: kubernetes/pkg/registry/admissionregistration/{mutating,validating}webhookconfiguration v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.kind import BaseStrategy

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class WebhookConfigurationStrategy(BaseStrategy):
    """A configuration's generation goes up with its webhooks."""

    has_generation = True
    unconditional_update = False

    def __init__(self, *, is_mutating: bool) -> None:
        self._is_mutating = is_mutating

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check all webhooks."""
        return self._validate(obj, None)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check all webhooks; expressions that have not changed are let through."""
        return self._validate(new, old)

    def _validate(self, obj: JsonObject, old: JsonObject | None) -> list[FieldError]:
        from k3py.api.validation.webhook import validate_webhooks  # noqa: PLC0415 - brings the expression language

        return validate_webhooks(obj, old, is_mutating=self._is_mutating)


def count_webhooks(obj: JsonObject) -> int:
    """Return the cell of the column Webhooks."""
    return len(obj.get("webhooks") or ())
