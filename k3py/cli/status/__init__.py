"""`k3py status`: the cluster on one screen: servers, nodes, pods, and what waits for what.

Exit code: 0 = the API server and all nodes are ready, 1 = not all of them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.resource import ENDPOINT_SLICES, EVENTS, NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from k3py.api.status import ApiError
from k3py.cli.admin_client import kubeconfig_path, load_admin_config, tell_failure
from k3py.cli.printing import print_document
from k3py.cli.server_values import CommandParser
from k3py.cli.status.screen import render
from k3py.cli.status.summary import count_pods, last_warnings, summarize_nodes, summarize_servers
from k3py.cli.status.waiting import find_waiting
from k3py.errors import K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.client.http import HttpClient
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.jsontypes import JsonObject

_PROG: Final = "k3py status"


def run(arguments: Sequence[str]) -> int:
    """Ask the server and print; returns 0, or 1 when a part is not ready.

    Raises:
        ConfigError: the command line cannot be used.
        K3pyError: the server does not answer.
    """
    parser = CommandParser(_PROG, __doc__ or "")
    parser.add_argument("--kubeconfig", metavar="FILE", help="instead of $KUBECONFIG")
    parser.add_argument("--output", "-o", choices=("text", "json", "yaml"), default="text")
    parsed = parser.parse_args(arguments)
    config = load_admin_config(Path(parsed.kubeconfig) if parsed.kubeconfig else kubeconfig_path())
    status = asyncio.run(_ask(config))
    if parsed.output == "text":
        print(render(status, clock.now()))
    else:
        print_document(status, parsed.output)
    return 0 if status["ready"] and all(one["state"] != "NotReady" for one in status["nodes"]) else 1


async def _ask(config: Kubeconfig) -> JsonObject:
    try:
        async with config.make_client(user_agent="k3py-status") as client:
            return await read_status(client, config.server)
    except ApiError as error:
        text = tell_failure(error, config).removeprefix("error: ")
        raise K3pyError(f"{text}; `k3py doctor` looks for the cause on this machine") from error


async def read_status(client: HttpClient, server: str) -> JsonObject:
    """Return the status as `-o json` shows it. Raises ApiError."""
    version = await client.request("GET", "/version")
    failing = await _failing_checks(client)
    nodes = (await client.list(NODES)).items
    pods = (await client.list(PODS)).items
    claims = (await client.list(PERSISTENT_VOLUME_CLAIMS)).items
    events = (await client.list(EVENTS, field_selector="type=Warning")).items
    selector = "kubernetes.io/service-name=kubernetes"
    slices = (await client.list(ENDPOINT_SLICES, namespace="default", label_selector=selector)).items
    return {
        "server": server,
        "version": version["gitVersion"],
        "ready": not failing,
        "failing": failing,
        "servers": summarize_servers(slices, nodes),
        "nodes": summarize_nodes(nodes, pods),
        "pods": count_pods(pods),
        "waiting": [one.as_object() for one in find_waiting(pods, claims, last_warnings(events))],
    }


async def _failing_checks(client: HttpClient) -> dict[str, str]:
    """Return what /readyz says is not ready; the reasons are in the server's log."""
    try:
        async with client.stream("/readyz", query={"verbose": "true"}) as content:
            text = (await content.read()).decode(errors="replace")
    except ApiError as error:
        if error.code != 500:
            raise
        text = error.message
    failed = [line for line in text.splitlines() if line.startswith("[-]")]
    return {line[3:].split()[0]: "the server's log says why" for line in failed}
