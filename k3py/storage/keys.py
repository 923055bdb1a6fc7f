"""Keys of objects in the datastore: /registry/<prefix of the kind>/[<namespace>/]<name>, as upstream's.

Inside a kind, objects are addressed by the rest: "namespace/name" or "name"; its order is the order of lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.api.kind import Kind

ROOT: Final = b"/registry/"


def make_prefix(kind: Kind) -> bytes:
    """Return the prefix of all keys of a kind, with its slash."""
    return ROOT + kind.storage.prefix.encode() + b"/"


def end_of(prefix: bytes) -> bytes:
    """Return the end of the range of all keys that start with `prefix` (which ends with a slash)."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def make_local_key(namespace: str, name: str) -> str:
    """Return the address of an object inside its kind."""
    return f"{namespace}/{name}" if namespace else name
