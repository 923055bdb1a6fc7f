"""Make k3py/apiserver/bootstrap_objects.json from the table of objects that an API server makes at its first start.

    python packaging/generate_bootstrap.py TABLE.json

TABLE: a list of objects with a field `by`; those of the API server whose kinds k3py serves are kept, values that differ from server to
server left out. admin, edit and view get their rules by aggregation.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

KINDS = (
    "Namespace",
    "PriorityClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "FlowSchema",
    "PriorityLevelConfiguration",
)
# What the table leaves out.
DESCRIPTIONS = {
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
}
OUT = Path(__file__).parent.parent / "k3py/apiserver/bootstrap_objects.json"


def main() -> None:
    """Write the file, one object a line."""
    objects = json.loads(Path(sys.argv[1]).read_text())
    kept = [
        {key: value for key, value in one.items() if key not in ("by", "status")}
        for one in objects
        if one["by"] == "apiserver" and one["kind"] in KINDS
    ]
    for one in kept:
        one["metadata"].pop("generation", None)
        if text := DESCRIPTIONS.get(one["metadata"]["name"]):
            one["description"] = text
    kept.sort(
        key=lambda one: (
            KINDS.index(one["kind"]),
            one["metadata"].get("namespace", ""),
            one["metadata"]["name"],
        )
    )
    lines = ",\n".join(json.dumps(one, separators=(",", ":"), sort_keys=True) for one in kept)
    OUT.write_text(f"[\n{lines}\n]\n")
    print(f"{OUT}: {len(kept)} objects, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
