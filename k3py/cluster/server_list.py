"""Where the cluster's API servers are: what the agent was told when it joined, and what it has learned since, kept on its disk.

The address to join is kept for ever, as the last resort: it may be a name that leads elsewhere tomorrow.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import orjson

from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from k3py.jsontypes import JsonObject

_LOG: Final = logging.getLogger(__name__)
_DEFAULT_PORT: Final = 443
_SERVICE_LABEL: Final = "kubernetes.io/service-name"
KUBERNETES_SLICES: Final = f"{_SERVICE_LABEL}=kubernetes"


class ServerList:
    """Addresses as "host:port".

    Args:
        file: where what was learned is kept; read when made (blocking).
        join: URL that the agent was told.
    """

    def __init__(self, file: Path, join: str) -> None:
        self._file = file
        parts = urlsplit(join)
        self.join = format_address(parts.hostname or "", parts.port or _DEFAULT_PORT)
        self.learned = _read(file)
        self._handlers: list[Callable[[], None]] = []

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return all addresses, the one to join last."""
        return (*(one for one in self.learned if one != self.join), self.join)

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` whenever `learned` has changed."""
        self._handlers.append(handler)

    async def learn(self, addresses: Iterable[str]) -> None:
        """Take in what the cluster says; nothing at all is no news. A disk that is full is told, not raised."""
        found = tuple(sorted(set(addresses)))
        if not found or found == self.learned:
            return
        self.learned = found
        _LOG.info("learned where the servers are", extra={"servers": ",".join(found)})
        for handler in self._handlers:
            handler()
        await asyncio.to_thread(self._keep, found)

    def _keep(self, addresses: tuple[str, ...]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, orjson.dumps({"servers": addresses}), mode=0o600)
        except OSError as error:
            _LOG.warning("the list of servers cannot be kept", extra={"why": str(error)})


def server_addresses(slices: Iterable[JsonObject]) -> tuple[str, ...]:
    """Return the addresses of the API servers that EndpointSlices of the Service `kubernetes` name; other slices are skipped."""
    found = {
        format_address(address, int(port["port"]))
        for one in slices
        if _is_kubernetes(one["metadata"])
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or ()
        for port in one.get("ports") or ()
        if port.get("name") == "https" and port.get("port")
    }
    return tuple(sorted(found))


def _is_kubernetes(metadata: JsonObject) -> bool:
    labels = metadata.get("labels") or {}
    return metadata.get("namespace") == "default" and labels.get(_SERVICE_LABEL) == "kubernetes"


def format_address(host: str, port: int) -> str:
    """Return "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of an address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _read(file: Path) -> tuple[str, ...]:
    """Return what is kept; a file that is damaged is as good as none."""
    try:
        found = orjson.loads(file.read_bytes())["servers"]
        for one in found:
            split_address(one)
        return tuple(found)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _LOG.warning("the list of servers cannot be read, beginning a new one", extra={"why": str(error)})
        return ()
