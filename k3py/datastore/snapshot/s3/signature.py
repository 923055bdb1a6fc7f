"""Signs requests for S3, version 4 of Amazon's signatures: pure.

Source: AWS documentation, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed: the path is encoded already, the query not; `sha256` of the body in hexadecimal."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    sha256: str = EMPTY_SHA256


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs; never shown."""

    access_key: str
    secret_key: str
    session_token: str
    region: str

    def __repr__(self) -> str:
        return "Credentials(…)"


def canonical_query(query: Mapping[str, str]) -> str:
    """Return the query as it is signed and sent."""
    pairs = sorted((quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed_headers(request: Request, who: Credentials, now: datetime) -> dict[str, str]:
    """Return the headers to send with `request`: its own and those of the signature; `now` in UTC."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        **{name.lower(): value.strip() for name, value in request.headers.items()},
        "host": request.host,
        "x-amz-content-sha256": request.sha256,
        "x-amz-date": stamp,
    }
    if who.session_token:
        headers["x-amz-security-token"] = who.session_token
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        (
            request.method,
            request.path,
            canonical_query(request.query),
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            names,
            request.sha256,
        )
    )
    scope = f"{stamp[:8]}/{who.region}/s3/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{who.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={who.access_key}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return headers
