"""Make k3py/wire/cri.tsv (CRI, containerd), etcd.tsv and plugins.tsv (what plugins of the kubelet speak), compact tables of messages, from a table of gRPC definitions.

    python packaging/generate_grpc.py grpc.json

Input: a JSON list of {"message", "fields": [[number, name, type, …]]}, {"enum", "values"} and {"method", "request", "response", "stream"}.
Output, one definition a line, fields separated by tabs; only what the methods below reach:
    M  name  "number field type" … (*type: repeated, ?type: a scalar whose presence means something)        E  name  "NAME=number" …        R  path  request  response  stream
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CRI = (
    "/runtime.v1.RuntimeService/",
    "/runtime.v1.ImageService/",
    "/containerd.services.events.v1.Events/Subscribe",
    "/containerd.services.events.v1.Events/Publish",
    "/containerd.services.images.v1.Images/",
    "/containerd.services.version.v1.Version/",
)
ETCD = ("/etcdserverpb.",)
PLUGINS = (
    "/csi.v1.Node/",
    "/csi.v1.Identity/",
    "/pluginregistration.Registration/",
    "/v1beta1.Registration/",
    "/v1beta1.DevicePlugin/",
    "/v1.PodResourcesLister/",
    "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/",
)
# Messages that come inside google.protobuf.Any, so that no method names them.
CARRIED = ("TaskStart", "TaskExit", "TaskOOM", "TaskDelete", "ContainerCreate", "ContainerDelete")
WELL_KNOWN = {
    "google.protobuf.Empty": [],
    "google.protobuf.Timestamp": [[1, "seconds", "int64"], [2, "nanos", "int32"]],
    "google.protobuf.Any": [[1, "type_url", "string"], [2, "value", "bytes"]],
    "google.protobuf.FieldMask": [[1, "paths", "repeated string"]],
    "google.protobuf.BoolValue": [[1, "value", "bool"]],
    "google.protobuf.Duration": [[1, "seconds", "int64"], [2, "nanos", "int32"]],
}
SCALARS = {"bool", "bytes", "double", "int32", "int64", "string", "uint32", "uint64"}


def inner(kind: str) -> str:
    """Return the element type of a repeated or map type."""
    if kind.startswith("map<"):
        return kind[4:-1].split(",", 1)[1]
    return kind.removeprefix("repeated ")


def short(field: list, enums: dict) -> str:
    """Return a field as it stands in the table."""
    number, name, kind, *more = field
    oneof = bool(more) and str(more[0]).startswith(("oneof", "optional")) and (kind in SCALARS or kind in enums)
    return f"{number} {name} {'?' if oneof else ''}{kind.replace('repeated ', '*')}"


def write(records: list, services: tuple[str, ...], carried: list[str], name_of_table: str) -> None:
    messages = {r["message"]: r["fields"] for r in records if "message" in r} | WELL_KNOWN
    enums = {r["enum"]: r["values"] for r in records if "enum" in r}
    methods = [r for r in records if "method" in r and r["method"].startswith(services)]
    pending = [r[side] for r in methods for side in ("request", "response")]
    pending += carried
    reached: set[str] = set()
    while pending:
        name = pending.pop()
        if name in reached or name in SCALARS:
            continue
        reached.add(name)
        pending += [inner(field[2]) for field in messages.get(name, ())]
    lines = []
    for name in sorted(reached):
        if name in enums:
            values = (f"{key}={number}" for key, number in enums[name].items())
            lines.append("\t".join(["E", name, *values]))
        else:
            fields = (short(field, enums) for field in messages[name])
            lines.append("\t".join(["M", name, *fields]))
    lines += [f"R\t{r['method']}\t{r['request']}\t{r['response']}\t{r['stream']}" for r in methods]
    target = Path(__file__).parent.parent / "k3py/wire" / name_of_table
    target.write_text("\n".join(lines) + "\n")
    print(f"{target}: {len(lines)} definitions, {target.stat().st_size} bytes")


def main(source: Path) -> None:
    records = json.loads(source.read_text())
    write(records, CRI, [f"containerd.events.{name}" for name in CARRIED], "cri.tsv")
    write(records, ETCD, [], "etcd.tsv")
    write(records, PLUGINS, [], "plugins.tsv")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
