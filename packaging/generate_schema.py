"""Make the compact type tables of k3py/api/schema from public descriptions of the Kubernetes API.

    python packaging/generate_schema.py --definitions DEFS.json --protobuf protobuf.json --merge-keys merge-keys.tsv --defaults defaults.tsv

The result is committed, so a build needs none of the inputs. To regenerate for another release:
    --definitions  `_definitions.json` of the PyPI package kubernetes-validate, folder kubernetes-json-schema/vX.Y.0-local
    --protobuf     one record a message: {fields: [[number, json, type, card, flags, proto?]], kinds?, special?}, from .proto files and Go tags
    --merge-keys   type, field, patchStrategy, patchMergeKey, listType, listMapKeys, mapType, shape (the OpenAPI extensions)
    --defaults     group, type, field, default, condition, by; rows that need more than "when absent" stay hand-written (schema/defaults/)

Output, two files of one form: a 4-byte big-endian length, a zlib-compressed JSON index, then zlib-compressed blocks, one a Go package.
    types.bin         block lines: [short name, special, kinds, fields, extras]
                      field: [json name, number, type, card, flags, extras?]; flags: p(tr) o(mitempty) z(omitzero) i(nline) h(idden) r(equired)
    descriptions.bin  block lines: [short name, type's text, {json name: text}]
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import zlib
from pathlib import Path

FLAG = {"ptr": "p", "omitempty": "o", "omitzero": "z", "inline": "i", "nojson": "h"}
EXTENSION = ("patchStrategy", "patchMergeKey", "listType", "listMapKeys", "mapType")
GROUPS = {
    "core": "core",
    "rbac.authorization.k8s.io": "rbac",
    "flowcontrol.apiserver.k8s.io": "flowcontrol",
}
# Rows of the defaults table that say "each" in their own words, and are plain all the same.
EXTRA_DEFAULTS = {
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.EphemeralContainerCommon", "terminationMessagePath"): "/dev/termination-log",
    ("io.k8s.api.core.v1.EphemeralContainerCommon", "terminationMessagePolicy"): "File",
}
PLAIN_CONDITION = re.compile(r"^(nil|empty|0|zero)(; .*|.*also.*| \(Endpoints.*)?$")


def openapi_name(name: str) -> str:
    """Turn a protobuf message name into the OpenAPI one: k8s.io.api.core.v1.Pod → io.k8s.api.core.v1.Pod."""
    name = name.replace("kube_aggregator", "kube-aggregator").replace(
        "apiextensions_apiserver", "apiextensions-apiserver"
    )
    return name.replace("k8s.io.", "io.k8s.", 1) if name.startswith("k8s.io.") else name


def convert_type(text: str) -> str:
    """Return a scalar, a type name, or for maps the type of the values."""
    if text.startswith("map<"):
        text = text[4:-1].split(",", 1)[1]
    return openapi_name(text)


def read_tsv(path: Path) -> list[dict[str, str]]:
    lines = path.read_text().splitlines()
    head = lines[0].split("\t")
    return [dict(zip(head, line.split("\t"), strict=False)) for line in lines[1:]]


def parse_default(text: str) -> object:
    if match := re.match(r"^(-?\d+)( .*)?$", text):
        return int(match[1])
    if text in ("true", "false", "{}", '""'):
        return json.loads(text)
    if re.match(r"^[\w/.*-]+$", text):
        return text
    if re.match(r"^\[[A-Za-z]+\]$", text):
        return [text[1:-1]]
    return None


def collect_defaults(rows: list[dict[str, str]], types: dict[str, dict]) -> dict[tuple[str, str], object]:
    """Return the unconditional defaults by (type name, json field)."""
    found = dict(EXTRA_DEFAULTS)
    for row in rows:
        if row["by"] != "defaulting" or "." in row["field"] or "[" in row["field"]:
            continue
        group, _, version = row["group"].partition("/")
        package = GROUPS.get(group, group.removesuffix(".k8s.io"))
        for root in ("api", "apiextensions-apiserver.pkg.apis", "kube-aggregator.pkg.apis"):
            name = f"io.k8s.{root}.{package}.{version}.{row['type']}"
            if name in types:
                break
        else:
            continue
        value = parse_default(row["default"])
        if value is None or not PLAIN_CONDITION.match(row["condition"]):
            continue
        if any(field[0] == row["field"] for field in types[name]["fields"]) and row["type"] not in SKIP:
            found[name, row["field"]] = value
    return {key: value for key, value in found.items() if value is not None}


# Their defaulting depends on the use, or is written by hand.
SKIP = {"MatchResources", "Scale", "ConfigMap", "Namespace", "Node", "TokenRequestSpec"}


def merge_types(definitions: dict, messages: dict) -> dict[str, dict]:
    """Return type name → {special, kinds, fields, extras}, in the order of the messages."""
    types = {}
    for message, record in messages.items():
        name = openapi_name(message)
        schema = definitions.get(name, {})
        required = set(schema.get("required", ()))
        fields = []
        for number, json_name, kind, card, flags, *_ in record["fields"]:
            letters = "".join(FLAG[flag] for flag in flags.split())
            fields.append(
                [
                    json_name,
                    number,
                    convert_type(kind),
                    card,
                    letters + ("r" if json_name in required else ""),
                ]
            )
        extras = {}
        gvks = schema.get("x-kubernetes-group-version-kind")
        if gvks and len(gvks) > 1:
            extras["gvks"] = sorted(f"{one['group']}/{one['version']}" for one in gvks)
        if "x-kubernetes-unions" in schema:
            extras["unions"] = schema["x-kubernetes-unions"]
        types[name] = {
            "special": record.get("special", ""),
            "kinds": record.get("kinds", []),
            "fields": fields,
            "extras": extras,
        }
    for name, schema in definitions.items():
        if name not in types:
            fields = [
                [f, 0, one.get("type", "string"), "", "o"] for f, one in schema.get("properties", {}).items()
            ]
            fields = [[f[0], 0, f[2] if isinstance(f[2], str) else f[2][0], "", "o"] for f in fields]
            types[name] = {
                "special": "" if fields else "rawjson",
                "kinds": [],
                "fields": fields,
                "extras": {},
            }
    return types


def add_extensions(
    types: dict[str, dict], rows: list[dict[str, str]], defaults: dict[tuple[str, str], object]
) -> None:
    extras: dict[tuple[str, str], dict] = {}
    for row in rows:
        known = {key: row[key] for key in EXTENSION if row[key]}
        if "listMapKeys" in known:
            known["listMapKeys"] = re.split(r"[, ]+", known["listMapKeys"])
        if known:
            extras[row["type"], row["field"]] = known
    for (name, field), value in defaults.items():
        extras.setdefault((name, field), {})["default"] = value
    for name, record in types.items():
        if own := extras.pop((name, ""), None):
            record["extras"].update(own)
        for field in record["fields"]:
            if known := extras.pop((name, field[0]), None):
                field.append(known)
    # What remains belongs to fields that come from an inlined struct.
    for (name, field), known in list(extras.items()):
        if attach_inlined(types, name, field, known):
            del extras[name, field]
    if extras:
        raise SystemExit(f"extensions of unknown fields: {sorted(extras)}")


def attach_inlined(types: dict[str, dict], name: str, field: str, known: dict) -> bool:
    """Attach extensions to `field` of a struct that `name` inlines, at any depth; say whether it was found."""
    for inline in types[name]["fields"]:
        if "i" not in inline[4]:
            continue
        for one in types[inline[2]]["fields"]:
            if one[0] == field:
                one[5:] = [known]
                return True
        if attach_inlined(types, inline[2], field, known):
            return True
    return False


def write_blocks(target: Path, lines: dict[str, list], index_extra: dict) -> None:
    """Write the file form of the module docstring; `lines` maps a type name to its record without the name."""
    packages: dict[str, list[str]] = {}
    for name in lines:
        packages.setdefault(name.rpartition(".")[0], []).append(name)
    blocks, index, at = [], {}, 0
    for package, names in sorted(packages.items()):
        text = "".join(
            "\n" + json.dumps([name.rpartition(".")[2], *lines[name]], separators=(",", ":"))
            for name in names
        )
        data = zlib.compress(text.encode(), 9)
        blocks.append(data)
        index[package] = [at, len(data), [name.rpartition(".")[2] for name in names]]
        at += len(data)
    head = zlib.compress(json.dumps({"packages": index, **index_extra}, separators=(",", ":")).encode(), 9)
    target.write_bytes(struct.pack(">I", len(head)) + head + b"".join(blocks))
    print(f"{target}: {len(lines)} types, {target.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("definitions", "protobuf", "merge-keys", "defaults"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    document = json.loads(arguments.definitions.read_text())
    definitions = document.get("$defs") or document["definitions"]
    types = merge_types(definitions, json.loads(arguments.protobuf.read_text()))
    defaults = collect_defaults(read_tsv(arguments.defaults), types)
    add_extensions(types, read_tsv(arguments.merge_keys), defaults)
    kinds = {kind: name for name, record in types.items() for kind in record["kinds"]}
    folder = Path(__file__).parent.parent / "k3py/api/schema"
    records = {name: [t["special"], t["kinds"], t["fields"], t["extras"]] for name, t in types.items()}
    write_blocks(folder / "types.bin", records, {"kinds": kinds})
    texts = {}
    for name, schema in definitions.items():
        own = {
            field: one["description"]
            for field, one in schema.get("properties", {}).items()
            if "description" in one
        }
        texts[name] = [schema.get("description", ""), own]
    write_blocks(folder / "descriptions.bin", texts, {})
    print(
        len(defaults),
        "plain defaults:",
        *sorted(f"{n.rpartition('.')[2]}.{f}={v!r}" for (n, f), v in defaults.items()),
    )


if __name__ == "__main__":
    main()
