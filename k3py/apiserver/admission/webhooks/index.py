"""The webhooks of all configurations of a kind, in the order in which they are asked: by configuration, then as listed there.

Source: k8s.io/apiserver/pkg/admission/configuration v0.35.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from k3py.api.webhook_client import url_of
from k3py.apiserver.admission.matching import parse_criteria

if TYPE_CHECKING:
    import ssl

    from k3py.api.cel.program import Program
    from k3py.jsontypes import JsonObject

_KNOWN_REVIEWS: Final = ("v1", "v1beta1")


class Webhook:
    """One webhook, made ready.

    Attributes:
        uid: tells it from all others.
        criteria: what it is about.
        fails: a request that it cannot be asked about is refused.
        review_version: "v1" or "v1beta1".
        tls: made at the first call.
    """

    def __init__(self, configuration: str, index: int, definition: JsonObject) -> None:
        self.configuration = configuration
        self.name: str = definition["name"]
        self.uid = f"{configuration}/{self.name}/{index}"
        self.criteria = parse_criteria(definition, rules="rules")
        self.fails = (definition.get("failurePolicy") or "Fail") == "Fail"
        self.is_reinvoked = definition.get("reinvocationPolicy") == "IfNeeded"
        self.has_side_effects = definition.get("sideEffects") not in ("None", "NoneOnDryRun")
        self.timeout_s: int = definition.get("timeoutSeconds") or 10
        versions = definition.get("admissionReviewVersions") or ()
        self.review_version: str = next((one for one in versions if one in _KNOWN_REVIEWS), "v1")
        client = definition.get("clientConfig") or {}
        self.url = f"{url_of(client)}?timeout={self.timeout_s}s"
        self.bundle: str = client.get("caBundle") or ""
        self.tls: ssl.SSLContext | None = None
        self._conditions = definition.get("matchConditions") or ()

    @property
    def has_conditions(self) -> bool:
        """Say whether expressions decide, too."""
        return bool(self._conditions)

    @cached_property
    def conditions(self) -> tuple[tuple[str, Program], ...]:
        """(name, expression) of what must hold. Raises CompilationFault."""
        from k3py.api.cel.admission import Environment  # noqa: PLC0415 - few webhooks have conditions

        environment = Environment()
        return tuple(
            (one["name"], environment.compile_condition(one["expression"])) for one in self._conditions
        )


class WebhookIndex:
    """Attributes: `hooks`, in order."""

    def __init__(self) -> None:
        self.hooks: tuple[Webhook, ...] = ()
        self._by_configuration: dict[str, tuple[Webhook, ...]] = {}

    def handle(self, key: tuple[str, str], obj: JsonObject | None) -> None:
        """Take over a configuration that is new or changed, or (None) gone."""
        name = key[1]
        if obj is None:
            self._by_configuration.pop(name, None)
        else:
            self._by_configuration[name] = tuple(
                Webhook(name, index, one) for index, one in enumerate(obj.get("webhooks") or ())
            )
        self.hooks = tuple(hook for _, hooks in sorted(self._by_configuration.items()) for hook in hooks)
