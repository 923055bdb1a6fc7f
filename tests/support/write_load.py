"""Clients that write without a pause at whichever server answers, and remember what was acknowledged; then, whether the store has it.

As a program (`python -m tests.support.write_load --ca FILE --certificate FILE --key FILE --out FILE URL…`) it runs until SIGTERM and then writes what it
remembers as JSON: for loads that come from inside a lab.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.datastore.interface import Event

_PATH: Final = "/api/v1/namespaces/default/configmaps"
_PREFIX: Final = b"/registry/configmaps/default/"
_TIMEOUT_S: Final = 5

Acknowledged = list[Any]
"""[name, data, revision] of a write that a server said it had done."""


class Api:
    """A user with a client certificate at one server; a request that fails for want of a server raises OSError."""

    def __init__(self, url: str, *, ca: Path, certificate: Path, key: Path) -> None:
        self._host, _, self._port = url.removeprefix("https://").partition(":")
        self._files = (ca, certificate, key)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and document."""
        ca, certificate, key = self._files
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(certificate, key)
        connection = http.client.HTTPSConnection(self._host, int(self._port), timeout=_TIMEOUT_S, context=context)
        try:
            text = json.dumps(body) if body else None
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (http.client.HTTPException, json.JSONDecodeError) as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()


class Writer(threading.Thread):
    """Creates ConfigMaps until `over` is set, each time at the next server.

    Attributes:
        acknowledged: see `Acknowledged`.
        longest_s: between two acknowledged writes.
    """

    def __init__(self, name: str, servers: Sequence[Api], over: threading.Event) -> None:
        super().__init__(name=name)
        self.acknowledged: list[Acknowledged] = []
        self.longest_s = 0.0
        self._servers, self._over = servers, over

    def run(self) -> None:
        """Write."""
        number, last_s = 0, time.monotonic()
        while not self._over.is_set():
            number += 1
            name, data = f"{self.name}-{number}", {"n": str(number)}
            body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": data}
            try:
                status, answer = self._servers[number % len(self._servers)].ask("POST", _PATH, body)
            except OSError:
                self._over.wait(0.02)
                continue
            if status == 201:
                self.acknowledged.append([name, data, int(answer["metadata"]["resourceVersion"])])
                self.longest_s = max(self.longest_s, time.monotonic() - last_s)
                last_s = time.monotonic()


def find_lost(acknowledged: Iterable[Acknowledged], log: Iterable[Event]) -> list[str]:
    """Return the names of acknowledged writes that the store's log does not have at their revision with their content."""
    written = {
        (event.kv.key, event.kv.mod_revision): event.kv.value for event in log if event.kv.key.startswith(_PREFIX)
    }
    return [
        name
        for name, data, revision in acknowledged
        if orjson.loads(written.get((_PREFIX + name.encode(), revision), b"{}")).get("data") != data
    ]


def main() -> None:
    """Run as a program; see the module's docstring."""
    parser = argparse.ArgumentParser()
    for name in ("ca", "certificate", "key", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("urls", nargs="+")
    given = parser.parse_args()
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    servers = [Api(url, ca=given.ca, certificate=given.certificate, key=given.key) for url in given.urls]
    writers = [Writer(f"w{number}", servers, over) for number in range(given.clients)]
    for writer in writers:
        writer.start()
    while not over.wait(0.5):  # a signal is seen between two waits
        pass
    for writer in writers:
        writer.join()
    found = {
        "acknowledged": [one for writer in writers for one in writer.acknowledged],
        "longest_s": max(writer.longest_s for writer in writers),
    }
    given.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
