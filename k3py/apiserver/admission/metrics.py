"""How long admission takes, and what policies say. Source: k8s.io/apiserver/pkg/admission/{metrics,plugin/policy/validating/metrics} v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.util import clock
from k3py.util.metrics import Counter, Histogram

if TYPE_CHECKING:
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.util.metrics import Registry

_SECONDS: Final = (0.005, 0.025, 0.1, 0.5, 1, 2.5)


_WEBHOOK_SECONDS: Final = (*_SECONDS, 10, 25)
_POLICY_SECONDS: Final = (0.0000005, 0.001, 0.01, 0.1, 1)


class AdmissionMetrics:
    """Durations by plugin, by step (admit or validate), by webhook and by policy."""

    def __init__(self, registry: Registry) -> None:
        self._plugins = Histogram(
            "apiserver_admission_controller_admission_duration_seconds",
            "Duration of one admission plugin.",
            ("name", "operation", "rejected", "type"),
            buckets=_SECONDS,
        )
        self._steps = Histogram(
            "apiserver_admission_step_admission_duration_seconds",
            "Duration of all admission plugins of one step.",
            ("operation", "rejected", "type"),
            buckets=_SECONDS,
        )
        self._webhooks = Histogram(
            "apiserver_admission_webhook_admission_duration_seconds",
            "Duration of one admission webhook.",
            ("name", "operation", "rejected", "type"),
            buckets=_WEBHOOK_SECONDS,
        )
        labels = ("enforcement_action", "error_type", "policy", "policy_binding")
        self._checks = Counter(
            "apiserver_validating_admission_policy_check_total", "Evaluations of admission policies.", labels
        )
        self._check_seconds = Histogram(
            "apiserver_validating_admission_policy_check_duration_seconds",
            "Duration of one evaluation of an admission policy.",
            labels,
            buckets=_POLICY_SECONDS,
        )
        registry.add(self._plugins, self._steps, self._webhooks, self._checks, self._check_seconds)

    def observe_plugin(
        self, request: AdmissionRequest, name: str, step: str, since_s: float, *, rejected: bool
    ) -> None:
        """Note that a plugin has had its say."""
        seconds = clock.monotonic_s() - since_s
        self._plugins.observe(seconds, name, request.operation, "true" if rejected else "false", step)

    def observe_step(self, request: AdmissionRequest, step: str, since_s: float, *, rejected: bool) -> None:
        """Note that all plugins have had their say, or one has refused."""
        seconds = clock.monotonic_s() - since_s
        self._steps.observe(seconds, request.operation, "true" if rejected else "false", step)

    def observe_webhook(
        self, request: AdmissionRequest, name: str, kind: str, since_s: float, *, rejected: bool
    ) -> None:
        """Note that a webhook has answered, or could not be asked; kind: "admit" or "validating"."""
        seconds = clock.monotonic_s() - since_s
        self._webhooks.observe(seconds, name, request.operation, "true" if rejected else "false", kind)

    def observe_policy(self, policy: str, binding: str, action: str, since_s: float, *, failed: bool) -> None:
        """Note what a policy said: action is "allow", "deny", "warn" or "audit"; failed: it could not be evaluated."""
        labels = (action, "other_error" if failed else "no_error", policy, binding)
        self._checks.add(*labels)
        self._check_seconds.observe(clock.monotonic_s() - since_s, *labels)
