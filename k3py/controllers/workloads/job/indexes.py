"""Sets of completion indexes as the API writes them: "0,2-4,7". Source: kubernetes/pkg/controller/job/indexed_job_utils.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject

INDEX_KEY: Final = "batch.kubernetes.io/job-completion-index"


def parse_indexes(text: str, completions: int) -> set[int]:
    """Return the indexes below `completions`; what is malformed is left out."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            found.update(range(int(first), min(int(last or first), completions - 1) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Return the indexes with runs of three and more drawn together."""
    parts: list[str] = []
    run: list[int] = []
    for index in sorted(indexes):
        if run and index != run[-1] + 1:
            parts.append(_format_run(run))
            run = []
        run.append(index)
    if run:
        parts.append(_format_run(run))
    return ",".join(parts)


def _format_run(run: list[int]) -> str:
    if len(run) == 1:
        return str(run[0])
    return f"{run[0]},{run[1]}" if len(run) == 2 else f"{run[0]}-{run[-1]}"


def index_of(pod: JsonObject) -> int:
    """Return the pod's completion index, -1 when it has none."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX_KEY, "")
    return int(text) if text.isdigit() else -1
