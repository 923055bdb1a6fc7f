"""Run inside of a node: read service ports as JSON from standard input, a document a line, and apply each; answers "done"."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from k3py.network.interface import Endpoint, ServiceKey, ServicePort
from k3py.network.kernel_settings import apply_kernel_settings
from k3py.network.proxy.nftables import NftablesProxy
from k3py.runtime.program import find_program, get_program


class Warnings(logging.Handler):
    """Remembers whether there was a warning: a change was refused, and the whole table written."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take one."""
        self.seen = True


async def main(cluster_cidrs: list[str]) -> None:
    """Apply until the input ends."""
    apply_kernel_settings(Path("/proc/sys"))
    proxy = NftablesProxy(nft=get_program("nft"), conntrack=find_program("conntrack"), cluster_cidrs=cluster_cidrs)
    warnings = Warnings()
    logging.getLogger("k3py.network.nftables").addHandler(warnings)
    before: dict[ServiceKey, tuple[ServicePort, ...]] = {}
    while line := await asyncio.to_thread(sys.stdin.readline):
        services: dict[ServiceKey, tuple[ServicePort, ...]] = {}
        for document in json.loads(line):
            endpoints = tuple(Endpoint(**item) for item in document.pop("endpoints"))
            tuples: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
            port = ServicePort(**tuples, endpoints=endpoints)
            key = (port.namespace, port.service)
            services[key] = (*services.get(key, ()), port)
        await proxy.change(dict.fromkeys(before, ()) | services)
        before = services
        print("written anew" if warnings.seen else "done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
