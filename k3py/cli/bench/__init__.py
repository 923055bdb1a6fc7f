"""`k3py bench idle|wear|start|api|storm`: measures this or another Kubernetes, so that anybody can check what k3py claims.

  idle   memory, CPU, wake-ups and writes of the Kubernetes on this machine while it does nothing
  wear   what it writes to the disk in a day, idle and with one change a second
  start  restarts a service and times the way to a ready API, ready nodes and a running pod
  api    requests a second and latencies: create, get, update, list, watch, delete
  storm  pods one after another and many at once, until they run

idle, wear and start look at this machine: k3py, K3s, k0s, kubeadm or what --process and --service name. api, storm and wear's changes
go to the cluster of the kubeconfig, into a namespace of their own that is removed at the end.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.cli.admin_client import kubeconfig_path, load_admin_config, tell_failure
from k3py.cli.printing import print_document
from k3py.cli.server_values import CommandParser
from k3py.errors import K3pyError
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.cli.bench.figure import Figure
    from k3py.client.kubeconfig import Kubeconfig

_PROG: Final = "k3py bench"
_NAMES: Final = ("idle", "wear", "start", "api", "storm")


def run(arguments: Sequence[str]) -> int:
    """Measure and print; returns 0.

    Raises:
        ConfigError: the command line cannot be used.
        K3pyError: it cannot be measured.
    """
    options = _read(arguments)
    figures = asyncio.run(_measure(options))
    if options.output == "text":
        for one in figures:
            print(one)
    else:
        shown = [
            {"name": one.name, "value": one.value, "unit": one.unit, "note": one.note} for one in figures
        ]
        print_document({"benchmark": options.benchmark, "figures": shown}, options.output)
    return 0


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser(_PROG, __doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("benchmark", choices=_NAMES)
    parser.add_argument("--kubeconfig", metavar="FILE", help="instead of $KUBECONFIG")
    parser.add_argument("--output", "-o", choices=("text", "json", "yaml"), default="text")
    parser.add_argument(
        "--seconds", type=int, default=60, help="idle, wear: how long (default 60; an hour tells most)"
    )
    parser.add_argument(
        "--process",
        action="append",
        default=[],
        metavar="NAME",
        help="idle, wear: processes with this name or in whose command line it is",
    )
    parser.add_argument(
        "--folder", default="/var/lib", help="wear: the disk below this folder (default /var/lib)"
    )
    parser.add_argument(
        "--endurance-tb",
        type=float,
        default=0.0,
        metavar="TB",
        help="wear: terabytes that the disk's maker promises",
    )
    parser.add_argument("--service", default="k3py", help="start: the systemd service (default k3py)")
    parser.add_argument(
        "--stop",
        default="",
        metavar="COMMAND",
        help="start: how it is stopped, where it is no systemd service",
    )
    parser.add_argument("--start", default="", metavar="COMMAND", help="start: how it is started")
    parser.add_argument("--clients", type=int, default=16, help="api: connections (default 16)")
    parser.add_argument(
        "--requests", type=int, default=2000, help="api: requests of each kind (default 2000)"
    )
    parser.add_argument("--pods", type=int, default=50, help="storm: pods at once (default 50)")
    parser.add_argument(
        "--one-by-one", type=int, default=10, help="storm: pods before, one after another (default 10)"
    )
    parser.add_argument(
        "--image",
        default="",
        help="start, storm: an image that the nodes have (default: that of pod sandboxes)",
    )
    options = parser.parse_args(arguments)
    for name in ("seconds", "clients", "requests", "pods"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: {getattr(options, name)}: must be 1 or more")
    return options


async def _measure(options: argparse.Namespace) -> list[Figure]:
    from k3py.cli.bench.idle import measure_idle, measure_wear  # noqa: PLC0415 - one benchmark at a time

    if options.benchmark == "idle":
        return await measure_idle(options)
    path = Path(options.kubeconfig) if options.kubeconfig else kubeconfig_path()
    if options.benchmark == "wear" and not options.kubeconfig and not await offload(path.exists):
        return await measure_wear(options, None)
    config = load_admin_config(path)
    try:
        return await _measure_cluster(options, config)
    except* (ApiError, K3pyError) as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        text = (
            tell_failure(first, config).removeprefix("error: ") if isinstance(first, ApiError) else str(first)
        )
        raise K3pyError(text) from first


async def _measure_cluster(options: argparse.Namespace, config: Kubeconfig) -> list[Figure]:
    from k3py.cli.bench.namespace import workspace  # noqa: PLC0415 - see above

    if options.benchmark == "start":
        from k3py.cli.bench.start import measure_start  # noqa: PLC0415

        return await measure_start(options, config)
    async with workspace(config) as space:
        if options.benchmark == "wear":
            from k3py.cli.bench.idle import measure_wear  # noqa: PLC0415

            return await measure_wear(options, space)
        if options.benchmark == "api":
            from k3py.cli.bench.api import measure_api  # noqa: PLC0415

            return await measure_api(options, space)
        from k3py.cli.bench.storm import measure_storm  # noqa: PLC0415

        return await measure_storm(options, space)
