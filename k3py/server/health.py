"""The health checks of a whole server: upstream's names over what runs here.

/livez says whether a restart would help (loop, datastore, what ends the process anyway), /readyz whether every part works: a
controller that fails and is started again makes the server unready, not dead.
Source: k8s.io/apiserver/pkg/server/healthz v0.35; data/http.tsv "checks common".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.apiserver.health import HealthChecks
    from k3py.datastore.interface import Backend
    from k3py.util.supervisor import Supervisor

_ANSWER_S: Final = 2.0
_KEY: Final = b"/registry/health"
_READY: Final = ("readyz", "healthz")
# Upstream's names of checks, and the component whose start they tell of here.
_HOOKS: Final = {
    "poststarthook/start-apiextensions-informers": "apiserver-indexes",
    "poststarthook/start-apiextensions-controllers": "apiserver-indexes",
    "poststarthook/crd-informer-synced": "apiserver-indexes",
    "poststarthook/rbac/bootstrap-roles": "bootstrap-objects",
    "poststarthook/scheduling/bootstrap-system-priority-classes": "bootstrap-objects",
    "poststarthook/start-system-namespaces-controller": "bootstrap-objects",
    "poststarthook/start-cluster-authentication-info-controller": "bootstrap-objects",
    "poststarthook/bootstrap-controller": "bootstrap-objects",
    "poststarthook/start-kube-aggregator-informers": "apiserver-indexes",
    "poststarthook/apiservice-registration-controller": "apiserver-indexes",
    "poststarthook/apiservice-discovery-controller": "apiserver-indexes",
    "poststarthook/apiservice-status-local-available-controller": "apiserver-indexes",
    "poststarthook/apiservice-status-remote-available-controller": "apiserver-indexes",
    "poststarthook/kube-apiserver-autoregistration": "apiserver-indexes",
    "autoregister-completion": "apiserver-indexes",
}


def add_checks(health: HealthChecks, supervisor: Supervisor, backend: Backend) -> None:
    """Add the checks of a server."""

    async def read_datastore() -> str:
        try:
            async with asyncio.timeout(_ANSWER_S):
                await backend.range(_KEY, count_only=True)
        except (DatastoreError, TimeoutError) as error:
            return str(error) or "the datastore does not answer"
        return ""

    def find_problem(component: str) -> str:
        return supervisor.health().get(component) or ""

    def hooks() -> Mapping[str, str | None]:
        problems = supervisor.health()
        return {name: problems.get(component) for name, component in _HOOKS.items()}

    health.add("log", lambda: "")
    health.add("etcd", read_datastore)
    health.add("etcd-readiness", read_datastore, endpoints=("readyz",))
    health.add("informer-sync", lambda: find_problem("apiserver-indexes"), endpoints=("readyz",))
    health.add_source(hooks)
    health.add_source(supervisor.health, endpoints=_READY)
    health.add(
        "shutdown",
        lambda: "process is shutting down" if supervisor.is_stopping else "",
        endpoints=("readyz",),
    )
