"""How long admission takes. Source: k8s.io/apiserver/pkg/admission/metrics v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.util import clock
from k3py.util.metrics import Histogram

if TYPE_CHECKING:
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.util.metrics import Registry

_SECONDS: Final = (0.005, 0.025, 0.1, 0.5, 1, 2.5)


class AdmissionMetrics:
    """Two histograms: by plugin, and by step (admit or validate)."""

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
        registry.add(self._plugins, self._steps)

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
