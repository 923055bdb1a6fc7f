"""What goes into the bundle: of the machine, of k3py, of the cluster. Each part is a name and a text or a document, not yet redacted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.resource import Resource
from k3py.api.status import ApiError
from k3py.cli.check_config import Report
from k3py.cli.doctor.examination import examine
from k3py.cli.kernel_config import KernelConfig
from k3py.cli.status import read_status
from k3py.pki.errors import PkiError
from k3py.pki.inventory import list_certificates
from k3py.version import GIT_VERSION, VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from k3py.cli.machine import Machine
    from k3py.cli.support_bundle.redaction import Redactor
    from k3py.client.http import HttpClient
    from k3py.jsontypes import JsonValue

_LOG_BYTES: Final = 2 << 20
_FILES: Final = (
    "/etc/os-release",
    "/proc/version",
    "/proc/cmdline",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/self/mountinfo",
    "/proc/cgroups",
    "/proc/net/dev",
    "/proc/net/route",
    "/proc/diskstats",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/etc/hosts",
    "/etc/resolv.conf",
)
_PROGRAMS: Final = (
    ("ip", "-d", "address"),
    ("ip", "route", "show", "table", "all"),
    ("nft", "list", "ruleset"),
    ("dmesg", "--ctime"),
    ("df", "-kP"),
    ("df", "-iP"),
    ("journalctl", "--no-pager", "-n", "20000", "-u", "k3py", "-u", "k3py-agent"),
    ("systemctl", "status", "--no-pager", "k3py", "k3py-agent"),
    ("timedatectl",),
)
_DETAILS: Final = (
    "nodes",
    "pods",
    "events",
    "services",
    "endpointslices",
    "deployments",
    "replicasets",
    "daemonsets",
    "statefulsets",
)
_NAMES_ONLY: Final = frozenset(("secrets", "configmaps"))


def parts_of_machine(machine: Machine) -> Iterator[tuple[str, JsonValue]]:
    """Yield what the machine tells, without asking the server."""
    yield "version.txt", f"k3py v{VERSION} (Kubernetes {GIT_VERSION})\n"
    yield "doctor.json", [one.as_object() for one in examine(machine)]
    lines: list[str] = []
    Report(machine, KernelConfig.of(machine), lines.append).write()
    yield "check-config.txt", "\n".join(lines)
    yield "settings.json", {key: str(value) for key, value in machine.values.items()}
    yield "certificates.txt", _certificates(machine)
    yield "files.txt", "\n".join(_listing(machine.data_dir))
    yield (
        "processes.txt",
        "\n".join(f"{pid}\t{' '.join(words)}" for pid, words in sorted(machine.processes())),
    )
    for name in _FILES:
        if text := machine.read(name):
            yield f"system{name}.txt", text
    for program, *arguments in _PROGRAMS:
        if text := machine.ask(program, *arguments):
            yield f"system/{'-'.join((program, *arguments[:2])).replace('/', '_')}.txt", text[-_LOG_BYTES:]
    for path in _logs(machine):
        yield f"logs/{path.name}", _tail(path)


def _certificates(machine: Machine) -> str:
    try:
        found = list_certificates(machine.data_dir)
    except PkiError as error:
        return str(error)
    return "\n".join(f"{one.file}\t{one.subject}\t{one.usages}\t{one.starts}\t{one.ends}" for one in found)


def _listing(folder: Path) -> Iterator[str]:
    """Yield mode, size, time and name of all files below a folder but those of images and containers."""
    for where, folders, files in os.walk(folder):
        if Path(where).name == "containerd" or Path(where).parent.name == "data":
            folders.clear()
            continue
        for name in sorted((*files, *folders)):
            path = Path(where) / name
            try:
                found = path.lstat()
            except OSError:
                continue
            yield f"{found.st_mode:06o} {found.st_uid}:{found.st_gid} {found.st_size:>12} {int(found.st_mtime)} {path}"


def _logs(machine: Machine) -> Iterator[Path]:
    folders = (machine.path("/var/log"), machine.data_dir / "agent" / "containerd")
    for folder in folders:
        yield from sorted(
            one
            for one in folder.glob("*.log*")
            if one.is_file() and ("k3py" in one.name or "containerd" in one.name)
        )
    if machine.values.get("log"):
        named = machine.path(str(machine.values["log"]))
        if named.is_file():
            yield named


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return file.read().decode(errors="replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}"


async def parts_of_cluster(
    client: HttpClient, server: str, redactor: Redactor
) -> AsyncIterator[tuple[str, JsonValue]]:
    """Yield what the API server tells; what it refuses is said in the part's place."""
    yield "cluster/status.json", await read_status(client, server)
    for path in ("/readyz", "/livez", "/metrics"):
        try:
            async with client.stream(path, query={"verbose": "true"}) as content:
                yield f"cluster{path}.txt", (await content.read()).decode(errors="replace")
        except ApiError as error:
            yield f"cluster{path}.txt", str(error)
    for resource in await _resources(client):
        name = f"cluster/{resource.plural}{'.' + resource.group if resource.group else ''}.json"
        try:
            found = (await client.list(resource)).items
        except ApiError as error:
            yield name, str(error)
            continue
        if found:
            yield name, [redactor.object(one) for one in found]


async def _resources(client: HttpClient) -> list[Resource]:
    """Return the built-in resources to list. Those of others may hold anything, so only their definitions' names come along."""
    wanted = {
        *_DETAILS,
        *_NAMES_ONLY,
        "namespaces",
        "jobs",
        "cronjobs",
        "persistentvolumes",
        "persistentvolumeclaims",
        "storageclasses",
    }
    wanted |= {
        "leases",
        "poddisruptionbudgets",
        "resourcequotas",
        "limitranges",
        "networkpolicies",
        "apiservices",
        "horizontalpodautoscalers",
    }
    wanted |= {
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "priorityclasses",
        "ingresses",
        "csinodes",
        "csidrivers",
    }
    found = []
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    for path in ("/api", "/apis"):
        for group in (await client.request("GET", path, accept=accept))["items"]:
            version = group["versions"][0]
            found += [
                Resource(
                    group["metadata"].get("name", ""),
                    version["version"],
                    one["resource"],
                    one["responseKind"]["kind"],
                    one["scope"] == "Namespaced",
                )
                for one in version.get("resources") or ()
                if one["resource"] in wanted
                and "list" in one["verbs"]
                and group["metadata"].get("name") not in ("metrics.k8s.io", "events.k8s.io")
            ]
    return found


async def secrets_of_cluster(client: HttpClient) -> list[str]:
    """Return all values of Secrets, decoded, so that they can be taken out of everything else. Raises ApiError."""
    import base64  # noqa: PLC0415 - beside its use
    import binascii  # noqa: PLC0415

    values: list[str] = []
    for one in (await client.list(Resource("", "v1", "secrets", "Secret"))).items:
        for value in (one.get("data") or {}).values():
            try:
                text = base64.b64decode(value).decode(errors="strict").strip()
            except (binascii.Error, UnicodeDecodeError):
                values.append(value)
                continue
            values += [text, *text.splitlines()]
    return values
