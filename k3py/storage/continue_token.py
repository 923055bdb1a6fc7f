"""Continue tokens of paged lists: opaque to clients, base64url of a small JSON document as upstream's.

`t` is the wall-clock second of the first page: tokens end after TOKEN_TTL_S even when nothing was written meanwhile, which clients
(and the conformance suite) expect. `v`, `rv`, `start` are upstream's: k8s.io/apiserver/pkg/storage/continue.go v0.35.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

import orjson

from k3py.storage.errors import BadContinueToken

TOKEN_TTL_S: Final = 450.0
INCONSISTENT: Final = -1


@dataclass(frozen=True, slots=True)
class ContinueToken:
    """Where a list goes on.

    revision: snapshot of all pages, or INCONSISTENT for "whatever is there now".
    start: first key of the next page, relative to the kind's prefix ("namespace/name" + NUL, or "name" + NUL).
    issued_s: when the first page was made, seconds since the epoch.
    """

    revision: int
    start: str
    issued_s: float

    def __str__(self) -> str:
        document = {
            "v": "meta.k8s.io/v1",
            "rv": self.revision,
            "start": self.start,
            "t": int(self.issued_s),
        }
        return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


def parse_continue_token(text: str) -> ContinueToken:
    """Return the token of its text.

    Raises:
        BadContinueToken: not one of ours.
    """
    try:
        document = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        version = document["v"]
        token = ContinueToken(int(document["rv"]), str(document["start"]), float(document.get("t", 0)))
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise BadContinueToken(f"continue key is not valid: {error}") from error
    if version != "meta.k8s.io/v1":
        raise BadContinueToken(
            f"continue key is not valid: server does not recognize this encoded version {version!r}"
        )
    return token
