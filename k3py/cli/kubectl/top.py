"""`top node|pod`: what is used now, from the metrics API. Source: kubectl v0.35 pkg/cmd/top, pkg/metricsutil."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from k3py.api.quantity import parse_quantity
from k3py.api.resource import NODES
from k3py.api.status import ApiError
from k3py.cli.kubectl.table import print_columns
from k3py.errors import K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_API: Final = "/apis/metrics.k8s.io/v1beta1"
_MIB: Final = 1 << 20


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the commands below `top`."""
    parser = commands.add_parser(
        "top", parents=[common], help="show what nodes and pods use", allow_abbrev=False
    )
    kinds = parser.add_subparsers(dest="kind", required=True, parser_class=type(parser))
    for name, aliases, run in (("node", ["nodes", "no"], run_nodes), ("pod", ["pods", "po"], run_pods)):
        one = kinds.add_parser(name, aliases=aliases, parents=[common], allow_abbrev=False)
        one.add_argument("name", nargs="?", default="")
        one.add_argument("-l", "--selector", default="")
        one.add_argument("--sort-by", default="", choices=("", "cpu", "memory"))
        one.add_argument("--no-headers", action="store_true")
        if name == "pod":
            one.add_argument("-A", "--all-namespaces", action="store_true")
            one.add_argument("--containers", action="store_true")
        one.set_defaults(run=run)


async def _metrics(session: Session, options: argparse.Namespace, path: str) -> list[JsonObject]:
    query = {"labelSelector": options.selector} if options.selector else None
    try:
        answer = await session.client.request(
            "GET", f"{path}/{options.name}" if options.name else path, query=query
        )
    except ApiError as error:
        if error.code in (404, 503) and not options.name:
            raise K3pyError("Metrics API not available") from error
        raise
    found: list[JsonObject] = [answer] if options.name else list(answer["items"])
    if not found:
        raise K3pyError("metrics not available yet")
    return found


async def run_nodes(session: Session, options: argparse.Namespace) -> int:
    """Show processors and memory in use by nodes, and which share of what is there."""
    nodes = {
        one["metadata"]["name"]: one["status"].get("allocatable") or {}
        for one in (await session.client.list(NODES)).items
    }
    rows = []
    for one in _sorted(options, await _metrics(session, options, f"{_API}/nodes")):
        name = one["metadata"]["name"]
        there = nodes.get(name, {})
        row = [name]
        for resource, unit in (("cpu", "m"), ("memory", "Mi")):
            used = _amount(one["usage"], resource)
            whole = _amount(there, resource)
            row += [
                f"{used}{unit}" if resource == "cpu" else f"{used // _MIB}{unit}",
                f"{used * 100 // whole}%" if whole else "<unknown>",
            ]
        rows.append(row)
    print_columns(
        ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"], rows, headers=not options.no_headers
    )
    return 0


async def run_pods(session: Session, options: argparse.Namespace) -> int:
    """Show processors and memory in use by pods or their containers."""
    path = f"{_API}/pods" if options.all_namespaces else f"{_API}/namespaces/{session.namespace}/pods"
    rows = []
    for pod in _sorted(options, await _metrics(session, options, path)):
        place = [pod["metadata"]["namespace"]] if options.all_namespaces else []
        name = pod["metadata"]["name"]
        if options.containers:
            rows += [[*place, name, one["name"], *_usage([one])] for one in pod["containers"]]
        else:
            rows.append([*place, name, *_usage(pod["containers"])])
    titles = ["NAMESPACE"] if options.all_namespaces else []
    titles += ["POD", "NAME"] if options.containers else ["NAME"]
    print_columns([*titles, "CPU(cores)", "MEMORY(bytes)"], rows, headers=not options.no_headers)
    return 0


def _usage(containers: Sequence[JsonObject]) -> list[str]:
    cpu = sum(_amount(one["usage"], "cpu") for one in containers)
    memory = sum(_amount(one["usage"], "memory") for one in containers)
    return [f"{cpu}m", f"{memory // _MIB}Mi"]


def _amount(usage: JsonObject, resource: str) -> int:
    """Return thousandths of a processor, rounded up, or bytes."""
    value = parse_quantity(str(usage.get(resource, "0")))
    return int(-(-value * 1000 // 1)) if resource == "cpu" else int(value)


def _sorted(options: argparse.Namespace, found: list[JsonObject]) -> list[JsonObject]:
    def used(one: JsonObject) -> int:
        return sum(_amount(part["usage"], options.sort_by) for part in one.get("containers") or [one])

    if options.sort_by:
        return sorted(found, key=used, reverse=True)
    return sorted(found, key=lambda one: (one["metadata"].get("namespace", ""), one["metadata"]["name"]))
