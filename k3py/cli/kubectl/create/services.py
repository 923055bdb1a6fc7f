"""`create service clusterip|nodeport|loadbalancer|externalname` and `create ingress`. Source: kubectl v0.35 pkg/cmd/create."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_TYPES: Final = {
    "clusterip": "ClusterIP",
    "nodeport": "NodePort",
    "loadbalancer": "LoadBalancer",
    "externalname": "ExternalName",
}
_RULE: Final = re.compile(
    r"(?P<host>[^/]*)(?P<path>/[^=]*)=(?P<service>[^:,]+):(?P<port>[^,]+)(?:,(?P<tls>tls(?:=(?P<secret>[^,]*))?))?"
)


def add_to(kinds: argparse._SubParsersAction[Any], parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add the generators."""
    from k3py.cli.kubectl.create import run_generator  # noqa: PLC0415 - the package imports this module

    service = kinds.add_parser("service", aliases=["svc"], parents=[parents[0]], allow_abbrev=False)
    types = service.add_subparsers(dest="service_type", required=True, parser_class=type(service))
    for name in _TYPES:
        one = types.add_parser(name, parents=list(parents), allow_abbrev=False)
        one.add_argument("name")
        one.add_argument("--tcp", action="append", default=[], metavar="PORT[:TARGET]")
        if name == "clusterip":
            one.add_argument("--clusterip", default="")
        if name == "nodeport":
            one.add_argument("--node-port", type=int, default=0)
        if name == "externalname":
            one.add_argument("--external-name", required=True)
        one.set_defaults(generate=make_service, told=f"{_TYPES[name]} service:", run=run_generator)
    ingress = kinds.add_parser("ingress", aliases=["ing"], parents=list(parents), allow_abbrev=False)
    ingress.add_argument("name")
    ingress.add_argument(
        "--rule", action="append", default=[], metavar="HOST/PATH=SERVICE:PORT[,tls[=SECRET]]"
    )
    ingress.add_argument("--class", dest="ingress_class", default="")
    ingress.add_argument("--annotation", action="append", default=[])
    ingress.add_argument("--default-backend", default="", metavar="SERVICE:PORT")
    ingress.set_defaults(generate=make_ingress, told="ingress:")


async def make_service(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001 - generators are called alike
    """Return a Service of one of the types."""
    kind = _TYPES[options.service_type]
    labels = {"app": options.name}
    spec: JsonObject = {"selector": labels, "type": kind}
    ports = [_port(text) for one in options.tcp for text in one.split(",")]
    headless = kind == "ClusterIP" and options.clusterip == "None"
    if not ports and kind != "ExternalName" and not headless:
        raise ConfigError("at least one tcp port specifier must be provided")
    if ports:
        spec["ports"] = ports
    if kind == "ClusterIP" and options.clusterip:
        spec["clusterIP"] = options.clusterip
    if kind == "NodePort" and options.node_port:
        for one in ports:
            one["nodePort"] = options.node_port
    if kind == "ExternalName":
        spec["externalName"] = options.external_name
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": options.name, "labels": labels},
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _port(text: str) -> JsonObject:
    port, _, target = text.partition(":")
    try:
        number = int(port)
        shown: int | str = int(target) if target.isdecimal() else target or number
    except ValueError:
        raise ConfigError(f"invalid port: {text}: must be PORT or PORT:TARGET") from None
    return {"name": text.replace(":", "-"), "port": number, "protocol": "TCP", "targetPort": shown}


async def make_ingress(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return an Ingress of rules such as `shop.example/*=web:80,tls`."""
    if not options.rule and not options.default_backend:
        raise ConfigError(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)"
        )
    spec: JsonObject = {}
    if options.ingress_class:
        spec["ingressClassName"] = options.ingress_class
    if options.default_backend:
        name, _, port = options.default_backend.partition(":")
        spec["defaultBackend"] = _backend(name, port)
    hosts: dict[str, list[JsonObject]] = {}
    encrypted: dict[str, list[str]] = {}
    for text in options.rule:
        match = _RULE.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"rule {text} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
            )
        path, prefix = match["path"].removesuffix("*"), match["path"].endswith("*")
        one = {
            "path": path,
            "pathType": "Prefix" if prefix else "Exact",
            "backend": _backend(match["service"], match["port"]),
        }
        hosts.setdefault(match["host"], []).append(one)
        if match["tls"]:
            encrypted.setdefault(match["secret"] or "", []).append(match["host"])
    if hosts:
        spec["rules"] = [
            ({"host": host} if host else {}) | {"http": {"paths": paths}} for host, paths in hosts.items()
        ]
    if encrypted:
        spec["tls"] = [
            ({"hosts": names} if any(names) else {}) | ({"secretName": secret} if secret else {})
            for secret, names in encrypted.items()
        ]
    metadata: JsonObject = {"name": options.name}
    if options.annotation:
        metadata["annotations"] = dict(one.split("=", 1) for one in options.annotation)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _backend(name: str, port: str) -> JsonObject:
    return {"service": {"name": name, "port": {"number": int(port)} if port.isdecimal() else {"name": port}}}
