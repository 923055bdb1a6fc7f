"""/livez, /readyz and /healthz: named checks, all of them or one.

Source: k8s.io/apiserver/pkg/server/healthz v0.35: "ok", or with ?verbose a line a check; failures are 500 and withhold reasons.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    Probe = Callable[[], str | Awaitable[str]]

_LOG: Final = logging.getLogger(__name__)
_MOST_LOGGED: Final = 5
ENDPOINTS: Final = ("healthz", "livez", "readyz")


class HealthChecks:
    """The checks of a server, in order of addition; a probe returns what is wrong, "" = nothing.

    `sources` give further checks when asked (`Supervisor.health`: name → fault or None).
    """

    def __init__(self) -> None:
        self._probes: dict[str, tuple[Probe, frozenset[str]]] = {}
        self._sources: list[tuple[Callable[[], Mapping[str, str | None]], frozenset[str]]] = []
        self._counts: dict[tuple[str, str, str], int] = {}
        self.add("ping", lambda: "")

    def add(self, name: str, probe: Probe, *, endpoints: Iterable[str] = ENDPOINTS) -> None:
        """Add a check."""
        self._probes[name] = (probe, frozenset(endpoints))

    def add_source(
        self, source: Callable[[], Mapping[str, str | None]], *, endpoints: Iterable[str] = ENDPOINTS
    ) -> None:
        """Add checks that come and go."""
        self._sources.append((source, frozenset(endpoints)))

    def names(self, endpoint: str) -> list[str]:
        """Return the names of the checks of an endpoint."""
        found = [name for name, (_, where) in self._probes.items() if endpoint in where]
        return [*found, *(name for source, where in self._sources if endpoint in where for name in source())]

    async def run(self, endpoint: str) -> dict[str, str]:
        """Return name → fault of all checks of an endpoint."""
        found: dict[str, str] = {}
        for name, (probe, where) in tuple(self._probes.items()):
            if endpoint in where:
                result = probe()
                found[name] = result if isinstance(result, str) else await result
        for source, where in self._sources:
            if endpoint in where:
                found.update((name, fault or "") for name, fault in source().items())
        for name, fault in found.items():
            key = (name, "error" if fault else "success", endpoint)
            self._counts[key] = self._counts.get(key, 0) + 1
        return found

    def iter_counts(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield (name, status, endpoint) and how often that came out."""
        yield from self._counts.items()

    async def answer(
        self, endpoint: str, *, check: str = "", verbose: bool = False, exclude: Sequence[str] = ()
    ) -> tuple[int, str]:
        """Return status and text for an endpoint or one check of it; 404 for a check that does not exist."""
        results = await self.run(endpoint)
        if check:
            if check not in results:
                return 404, "404 page not found\n"
            fault = results[check]
            return (500, f"internal server error: {fault}\n") if fault else (200, "ok")
        lines: list[str] = []
        failed: list[str] = []
        for name, fault in results.items():
            if name in exclude:
                lines.append(f"[+]{name} excluded: ok")
            elif fault:
                failed.append(f"{name}: {fault}")
                lines.append(f"[-]{name} failed: reason withheld")
            else:
                lines.append(f"[+]{name} ok")
        if unknown := [name for name in exclude if name not in results]:
            listed = ", ".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {listed}")
        if failed:
            more = f"; and {len(failed) - _MOST_LOGGED} more" if len(failed) > _MOST_LOGGED else ""
            _LOG.info("%s check failed: %s%s", endpoint, "; ".join(failed[:_MOST_LOGGED]), more)
            return 500, "\n".join((*lines, f"{endpoint} check failed", ""))
        if verbose:
            return 200, "\n".join((*lines, f"{endpoint} check passed", ""))
        return 200, "ok"
