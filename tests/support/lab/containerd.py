"""Run inside of a node: k3py's containerd with its pod network, until SIGTERM; prints "ready" when it is usable.

    python -m tests.support.lab.containerd DATA_DIR RUN_DIR POD_CIDR
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from k3py.network.cni import BridgeNetwork
from k3py.runtime.containerd import Containerd
from k3py.runtime.containerd_config import ContainerdConfig


async def main(data_dir: Path, run_dir: Path, pod_cidr: str) -> None:
    """Configure and run until cancelled by SIGTERM."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    config = ContainerdConfig.for_data_dir(data_dir, run_dir=run_dir)
    await BridgeNetwork().configure(pod_cidr=pod_cidr, cni_conf_dir=config.cni_conf_dir)
    await Containerd(config).run(lambda: print("ready", flush=True))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
    except asyncio.CancelledError:
        sys.exit(0)
