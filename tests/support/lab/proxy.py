"""Run inside of a node: read service ports as JSON from standard input, a document a line, and apply each; answers "done"."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from k3py.network.interface import Endpoint, ServicePort
from k3py.network.kernel_settings import apply_kernel_settings
from k3py.network.proxy.nftables import NftablesProxy
from k3py.runtime.program import find_program, get_program


async def main(cluster_cidrs: list[str]) -> None:
    """Apply until the input ends."""
    apply_kernel_settings(Path("/proc/sys"))
    proxy = NftablesProxy(nft=get_program("nft"), conntrack=find_program("conntrack"), cluster_cidrs=cluster_cidrs)
    while line := await asyncio.to_thread(sys.stdin.readline):
        ports = []
        for document in json.loads(line):
            endpoints = tuple(Endpoint(**item) for item in document.pop("endpoints"))
            tuples: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
            ports.append(ServicePort(**tuples, endpoints=endpoints))
        await proxy.apply(tuple(ports))
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
