"""What the built-in kubectl's commands write, and how they name things."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.api.resource import Resource

_BROKEN_PIPE = 141  # what a shell shows of a program that SIGPIPE ended


def write(data: bytes, *, to_stderr: bool = False) -> None:
    """Write bytes at once.

    Raises:
        SystemExit: nobody reads any more; not a BrokenPipeError, which would look like a lost connection to the server.
    """
    stream = (sys.stderr if to_stderr else sys.stdout).buffer
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError:
        raise SystemExit(_BROKEN_PIPE) from None


def qualified_kind(resource: Resource) -> str:
    """Return a kind as kubectl prints it: "pod", "deployment.apps"."""
    kind = resource.kind.lower()
    return f"{kind}.{resource.group}" if resource.group else kind
