"""`expose`, `autoscale`, `set image`, `set env`: objects made of others, and images changed.

Source: kubectl v0.35 pkg/cmd/{expose,autoscale,set}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from k3py.cli.kubectl.output import add_output_flags, report
from k3py.client.interface import PatchType
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse

    from k3py.api.resource import Resource
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_WORKLOADS: Final = ("Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job")


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    expose = commands.add_parser(
        "expose", parents=[common], help="make a Service of a workload", allow_abbrev=False
    )
    expose.add_argument("words", nargs="+")
    for flag in (
        "--port",
        "--target-port",
        "--name",
        "--selector",
        "--cluster-ip",
        "--external-ip",
        "--load-balancer-ip",
        "--session-affinity",
    ):
        expose.add_argument(flag, default="")
    expose.add_argument("--protocol", default="")
    expose.add_argument("-l", "--labels", default="")
    expose.add_argument("--type", default="")
    add_output_flags(expose)
    expose.set_defaults(run=run_expose)
    autoscale = commands.add_parser(
        "autoscale", parents=[common], help="scale a workload by itself", allow_abbrev=False
    )
    autoscale.add_argument("words", nargs="+")
    autoscale.add_argument("--min", type=int, default=-1)
    autoscale.add_argument("--max", type=int, required=True)
    autoscale.add_argument("--cpu", "--cpu-percent", default="")
    autoscale.add_argument("--memory", default="")
    autoscale.add_argument("--name", default="")
    add_output_flags(autoscale)
    autoscale.set_defaults(run=run_autoscale)
    setting = commands.add_parser("set", parents=[common], help="set images or variables", allow_abbrev=False)
    fields = setting.add_subparsers(dest="field", required=True, parser_class=type(setting))
    for name, run in (("image", run_image), ("env", run_environment)):
        one = fields.add_parser(name, parents=[common], allow_abbrev=False)
        one.add_argument(
            "words",
            nargs="+",
            metavar="TYPE/NAME CONTAINER=IMAGE" if name == "image" else "TYPE/NAME NAME=VALUE NAME-",
        )
        one.add_argument("-l", "--selector", default="")
        one.add_argument("--all", action="store_true")
        one.add_argument("-c", "--containers", default="*")
        add_output_flags(one)
        one.set_defaults(run=run)


async def run_expose(session: Session, options: argparse.Namespace) -> int:
    """Create Services that lead to the pods of workloads, or to those of other Services."""
    async for resource, obj in session.objects(options.words):
        service = _make_service(options, resource, obj)
        made_resource, made = await session.create(options, service, manager="kubectl-expose")
        report(options, made_resource, made, "exposed")
    return 0


def _make_service(options: argparse.Namespace, resource: Resource, obj: JsonObject) -> JsonObject:
    name = options.name or obj["metadata"]["name"]
    selector = _selector(options, resource, obj)
    spec: JsonObject = {"selector": selector, "ports": _ports(options, resource, obj)}
    for flag, field in (
        ("type", "type"),
        ("cluster_ip", "clusterIP"),
        ("load_balancer_ip", "loadBalancerIP"),
        ("session_affinity", "sessionAffinity"),
    ):
        if value := getattr(options, flag):
            spec[field] = value
    if options.external_ip:
        spec["externalIPs"] = [options.external_ip]
    metadata: JsonObject = {"name": name}
    labels = (
        dict(one.split("=", 1) for one in options.labels.split(","))
        if options.labels
        else obj["metadata"].get("labels")
    )
    if labels:
        metadata["labels"] = labels
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _selector(options: argparse.Namespace, resource: Resource, obj: JsonObject) -> dict[str, str]:
    if options.selector:
        return dict(one.split("=", 1) for one in options.selector.split(","))
    spec = obj.get("spec") or {}
    if resource.kind == "Pod":
        found = obj["metadata"].get("labels")
    elif resource.kind in ("Service", "ReplicationController"):
        found = spec.get("selector")
    elif resource.kind in ("Deployment", "ReplicaSet"):
        found = (spec.get("selector") or {}).get("matchLabels")
    else:
        raise K3pyError(f"cannot expose a {resource.kind}" + (f".{resource.group}" if resource.group else ""))
    if not found:
        raise K3pyError(
            "couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be exposed"
        )
    return dict(found)


def _ports(options: argparse.Namespace, resource: Resource, obj: JsonObject) -> list[JsonObject]:
    found: list[JsonObject] = _known_ports(resource, obj)
    texts = options.port.split(",") if options.port else [str(one["number"]) for one in found]
    if not texts:
        raise K3pyError("couldn't find port via --port flag or introspection")
    ports = []
    for index, text in enumerate(texts, start=1):
        protocol = options.protocol or next(
            (one["protocol"] for one in found if str(one["number"]) == text), "TCP"
        )
        target = options.target_port or text
        port: JsonObject = {
            "port": int(text),
            "protocol": protocol,
            "targetPort": int(target) if target.isdecimal() else target,
        }
        if len(texts) > 1:
            port["name"] = f"port-{index}"
        ports.append(port)
    return ports


def _known_ports(resource: Resource, obj: JsonObject) -> list[JsonObject]:
    if resource.kind == "Service":
        return [
            {"number": one["port"], "protocol": one.get("protocol", "TCP")}
            for one in obj["spec"].get("ports") or ()
        ]
    spec = obj["spec"] if resource.kind == "Pod" else obj["spec"]["template"]["spec"]
    return [
        {"number": port["containerPort"], "protocol": port.get("protocol", "TCP")}
        for container in spec["containers"]
        for port in container.get("ports") or ()
    ]


async def run_autoscale(session: Session, options: argparse.Namespace) -> int:
    """Create a HorizontalPodAutoscaler."""
    if options.max < 1:
        raise K3pyError(f"--max=MAXPODS is required and must be at least 1, max: {options.max}")
    async for resource, obj in session.objects(options.words):
        name = obj["metadata"]["name"]
        metrics = [_metric(kind, text) for kind in ("cpu", "memory") if (text := getattr(options, kind))]
        target = {"apiVersion": resource.api_version, "kind": resource.kind, "name": name}
        spec: JsonObject = {"scaleTargetRef": target, "maxReplicas": options.max}
        if options.min >= 0:
            spec["minReplicas"] = options.min
        if metrics:
            spec["metrics"] = metrics
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": options.name or name},
            "spec": spec,
            "status": {"currentMetrics": None, "desiredReplicas": 0},
        }
        made_resource, made = await session.create(options, scaler, manager="kubectl-autoscale")
        report(options, made_resource, made, "autoscaled")
    return 0


def _metric(name: str, text: str) -> JsonObject:
    """Read `50%`: a share of what pods ask for, or an amount such as 500m or 1Gi."""
    if text.endswith("%"):
        target: JsonObject = {"type": "Utilization", "averageUtilization": int(text[:-1])}
    else:
        target = {
            "type": "AverageValue",
            "averageValue": f"{text}m" if name == "cpu" and text.isdecimal() else text,
        }
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def _split_words(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    changes = [one for one in options.words if "=" in one or (one.endswith("-") and "/" not in one)]
    return [one for one in options.words if one not in changes], changes


async def run_image(session: Session, options: argparse.Namespace) -> int:
    """Set images of containers."""
    words, changes = _split_words(options)
    images = dict(one.split("=", 1) for one in changes)
    if not images:
        raise ConfigError("at least one image update is required")
    async for resource, obj in session.objects(words, selector=options.selector, everything=options.all):
        found = {
            one["name"]
            for field in ("initContainers", "containers")
            for one in _pod_spec(resource, obj).get(field) or ()
        }
        if missing := [name for name in images if name != "*" and name not in found]:
            raise K3pyError(f'unable to find container named "{missing[0]}"')
        patch = {
            field: [
                {"name": one["name"], "image": image}
                for one in containers
                if (image := images.get(one["name"]) or images.get("*"))
            ]
            for field in ("initContainers", "containers")
            if (containers := _pod_spec(resource, obj).get(field))
        }
        await _patch_template(
            session,
            options,
            resource,
            obj,
            {key: value for key, value in patch.items() if value},
            "image updated",
        )
    return 0


async def run_environment(session: Session, options: argparse.Namespace) -> int:
    """Set and remove environment variables of containers."""
    words, changes = _split_words(options)
    new = dict(one.split("=", 1) for one in changes if "=" in one)
    gone = [one[:-1] for one in changes if "=" not in one]
    if not changes:
        raise ConfigError("at least one environment variable must be provided")
    async for resource, obj in session.objects(words, selector=options.selector, everything=options.all):
        variables: list[JsonObject] = [{"name": name, "value": value} for name, value in new.items()]
        variables += [{"name": name, "$patch": "delete"} for name in gone]
        containers = [
            {"name": one["name"], "env": variables}
            for one in _pod_spec(resource, obj)["containers"]
            if options.containers in ("*", one["name"])
        ]
        await _patch_template(session, options, resource, obj, {"containers": containers}, "env updated")
    return 0


def _pod_spec(resource: Resource, obj: JsonObject) -> JsonObject:
    spec: JsonObject = obj["spec"]
    if resource.kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if resource.kind != "Pod":
        if "template" not in spec:
            raise K3pyError(
                f"{resource.plural}/{obj['metadata']['name']} the object is not a pod or does not have a pod template"
            )
        spec = spec["template"]["spec"]
    return spec


async def _patch_template(
    session: Session,
    options: argparse.Namespace,
    resource: Resource,
    obj: JsonObject,
    spec: JsonObject,
    verb: str,
) -> None:
    patch: JsonObject = {"spec": spec}
    if resource.kind != "Pod":
        patch = {"spec": {"template": patch}}
    if resource.kind == "CronJob":
        patch = {"spec": {"jobTemplate": patch}}
    changed = await session.patch(
        options, resource, obj, patch, manager="kubectl-set", patch_type=PatchType.STRATEGIC
    )
    if options.output or _pod_spec(resource, changed) != _pod_spec(resource, obj):
        report(options, resource, changed, verb)
