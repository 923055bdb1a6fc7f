"""Make k3py/api/schema/enums.json.gz: which string fields take which values, and the sentences that explain them.

    python packaging/generate_enums.py zz_generated.openapi.go

The source is pkg/generated/openapi/zz_generated.openapi.go of the Go module k8s.io/kubernetes in the version that k3py speaks. Only fields
of types in k3py/api/schema are kept. The result is committed, so a build does not need the input.

Output: {"enums": [[values, sentences]…], "fields": {type: {json name: index of its enum}}}; fields that are lists have the enum in their items.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

OUT = Path(__file__).parent.parent / "k3py/api/schema/enums.json.gz"
TYPE = re.compile(r"^func schema_(k8sio|pkg|apimachinery_pkg)_([A-Za-z0-9_]+)\(ref")
FIELD = re.compile(r'^\t{5}"([^"]+)": \{$')
DESCRIPTION = re.compile(r'^\t+Description: +("(?:[^"\\]|\\.)*"),$')
ENUM = re.compile(r"^\t+Enum: +\[\]interface\{\}\{(.*)\},$")
MARK = "\n\nPossible enum values:\n"


def read(path: Path) -> tuple[list[list[object]], dict[str, dict[str, int]]]:
    """Return the enums, each once, and which field has which."""
    enums: list[list[object]] = []
    fields: dict[str, dict[str, int]] = {}
    name = field = text = ""
    for line in path.read_text().splitlines():
        if found := TYPE.match(line):
            name = "" if found[1] != "k8sio" else "io.k8s." + found[2].replace("_", ".")
        elif found := FIELD.match(line):
            field, text = found[1], ""
        elif found := DESCRIPTION.match(line):
            text = json.loads(found[1])
        elif name and (found := ENUM.match(line)):
            sentences = text.partition(MARK)[2]
            enum = [json.loads(f"[{found[1]}]"), MARK + sentences if sentences else ""]
            if enum not in enums:
                enums.append(enum)
            fields.setdefault(name, {})[field] = enums.index(enum)
    return enums, fields


def main() -> None:
    """Write the file."""
    enums, fields = read(Path(sys.argv[1]))
    data = json.dumps({"enums": enums, "fields": fields}, separators=(",", ":")).encode()
    OUT.write_bytes(gzip.compress(data, 9, mtime=0))
    count = sum(len(one) for one in fields.values())
    print(f"{OUT}: {len(enums)} enums of {count} fields, {len(data)} bytes, {OUT.stat().st_size} compressed")


if __name__ == "__main__":
    main()
