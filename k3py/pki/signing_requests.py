"""Keys and certificate signing requests, made in a process of their own.

The library that makes them costs 11 MB of memory, and an agent needs it for some milliseconds a year. Keys travel in pipes, never in an
argument or the environment.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import orjson

from k3py.util.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TIMEOUT_S: Final = 60.0


async def make_apart(
    command: Sequence[str], keys: Mapping[str, bytes], common_name: str
) -> dict[str, tuple[bytes, bytes]]:
    """Have a child process make for each name of `keys` (PEM, b"" = make one) the key and its signing request (DER).

    Args:
        command: runs `answer` on its input.
        keys: what there is.
        common_name: in the requests.

    Raises:
        ProcessFailed: the child cannot be started, fails or takes too long.
    """
    done = await run(command, stdin=ask(keys, common_name), timeout_s=_TIMEOUT_S)
    return read_answer(done.stdout)


def ask(keys: Mapping[str, bytes], common_name: str) -> bytes:
    """Return the question for `answer`."""
    return orjson.dumps(
        {"commonName": common_name, "keys": {name: key.decode() for name, key in keys.items()}}
    )


def answer(question: bytes) -> bytes:
    """Make what `make_apart` asks for. Blocking, and loads the library."""
    from k3py.pki.authority import make_key, make_signing_request  # noqa: PLC0415 - what this module is about

    asked = orjson.loads(question)
    made = {}
    for name, text in asked["keys"].items():
        key = text.encode() or make_key()
        request = make_signing_request(key, asked["commonName"])
        made[name] = {"key": key.decode(), "request": base64.b64encode(request).decode()}
    return orjson.dumps(made)


def read_answer(text: bytes) -> dict[str, tuple[bytes, bytes]]:
    """Return key and signing request by name."""
    return {
        name: (one["key"].encode(), base64.b64decode(one["request"]))
        for name, one in orjson.loads(text).items()
    }
