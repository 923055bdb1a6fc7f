"""`run NAME --image=IMAGE`: a pod, and with -it and --rm a shell for a moment. Source: kubectl v0.35 pkg/cmd/run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from k3py.api.resource import PODS
from k3py.cli.kubectl.containers import attach
from k3py.cli.kubectl.output import add_output_flags, print_document, report
from k3py.cli.kubectl.wait import follow
from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_START_S = 60.0


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("run", parents=[common], help="run an image in a pod", allow_abbrev=False)
    parser.add_argument("name")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--image", required=True)
    parser.add_argument("--image-pull-policy", default="")
    parser.add_argument("--restart", default="Always", choices=("Always", "OnFailure", "Never"))
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("-l", "--labels", default="")
    parser.add_argument("--annotations", action="append", default=[])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--expose", action="store_true")
    parser.add_argument(
        "--command",
        dest="as_command",
        action="store_true",
        help="what follows is the command, not its arguments",
    )
    parser.add_argument("--privileged", action="store_true")
    parser.add_argument("-i", "--stdin", action="store_true")
    parser.add_argument("-t", "--tty", action="store_true")
    parser.add_argument("--attach", action="store_true")
    parser.add_argument("--rm", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    add_output_flags(parser)
    parser.set_defaults(run=run)


async def run(session: Session, options: argparse.Namespace) -> int:
    """Create the pod; with -i attach to it, and with --rm delete it at the end."""
    attached = options.attach or options.stdin
    if options.rm and not attached:
        raise ConfigError("--rm should only be used for attached containers")
    if options.expose and not options.port:
        raise ConfigError("--port must be set when exposing a service")
    pod = _make_pod(options)
    if options.expose:
        await _expose(session, options, pod["metadata"]["labels"])
    resource, made = await session.create(options, pod, manager="kubectl-run")
    if not attached or options.dry_run != "none":
        report(options, resource, made, "created")
        return 0
    try:
        return await _attach(session, options)
    finally:
        if options.rm:
            await session.client.delete(PODS, options.name, namespace=session.namespace, grace_period_s=1)
            if not options.quiet:
                print(f'pod "{options.name}" deleted from {session.namespace} namespace')


async def _attach(session: Session, options: argparse.Namespace) -> int:
    def begun(pod: JsonObject | None) -> bool:
        if pod is None:
            return True
        states = [one.get("state") or {} for one in pod["status"].get("containerStatuses") or ()]
        return pod["status"].get("phase") in ("Succeeded", "Failed") or any(
            "running" in one for one in states
        )

    await follow(session.client, PODS, session.namespace, options.name, begun, _START_S)
    pod = await session.client.get(PODS, options.name, namespace=session.namespace)
    if pod["status"].get("phase") == "Running":
        if options.stdin and not options.quiet:
            print("If you don't see a command prompt, try pressing enter.", file=sys.stderr)
        await attach(session, options.name, options.name, stdin=options.stdin, tty=options.tty)
    else:
        path = PODS.path(session.namespace, options.name, "log")
        async with session.client.stream(path) as content:
            print((await content.read()).decode(errors="replace"), end="")
    if options.restart == "Always":
        return 0
    done = ("Succeeded", "Failed")
    ends = lambda one: one is None or one["status"].get("phase") in done  # noqa: E731 - as short as that
    await follow(session.client, PODS, session.namespace, options.name, ends, _START_S)
    pod = await session.client.get(PODS, options.name, namespace=session.namespace)
    ended = [
        (one.get("state") or {}).get("terminated") or {}
        for one in pod["status"].get("containerStatuses") or ()
    ]
    return next((int(one.get("exitCode") or 0) for one in ended), 0)


def _make_pod(options: argparse.Namespace) -> JsonObject:
    labels = (
        dict(one.split("=", 1) for one in options.labels.split(","))
        if options.labels
        else {"run": options.name}
    )
    container: JsonObject = {"name": options.name, "image": options.image, "resources": {}}
    words = [*options.words, *options.after]
    if words:
        container["command" if options.as_command else "args"] = words
    if options.env:
        container["env"] = [
            {"name": name, "value": value} for name, _, value in (one.partition("=") for one in options.env)
        ]
    if options.port:
        container["ports"] = [{"containerPort": options.port}]
    if options.image_pull_policy:
        container["imagePullPolicy"] = options.image_pull_policy
    if options.privileged:
        container["securityContext"] = {"privileged": True}
    if options.stdin:
        container |= {"stdin": True, "stdinOnce": True}
    if options.tty:
        container["tty"] = True
    metadata: JsonObject = {"name": options.name, "labels": labels}
    if options.annotations:
        metadata["annotations"] = dict(one.split("=", 1) for one in options.annotations)
    spec = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": options.restart}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}


async def _expose(session: Session, options: argparse.Namespace, labels: dict[str, str]) -> None:
    port = {"port": options.port, "protocol": "TCP", "targetPort": options.port}
    spec = {"ports": [port], "selector": labels}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": options.name},
        "spec": spec,
        "status": {"loadBalancer": {}},
    }
    resource, made = await session.create(options, service, manager="kubectl-run")
    if options.output in ("json", "yaml"):
        print_document(made, options.output)
        print("---\n---" if options.output == "yaml" else "", end="\n" if options.output == "yaml" else "")
    else:
        report(options, resource, made, "created")
