"""Tokens with which agents join for a while: `<6 characters>.<16 characters>`, kept as kubeadm does, in Secrets of kube-system (J-08). Pure."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import format_time, parse_time
from k3py.errors import ConfigError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

NAMESPACE: Final = "kube-system"
SECRET_TYPE: Final = "bootstrap.kubernetes.io/token"
USAGES: Final = ("signing", "authentication")
DEFAULT_GROUP: Final = "system:bootstrappers:k3py:default-node-token"

_TOKEN: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_ID: Final = re.compile(r"[a-z0-9]{6}")
_GROUP: Final = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
_ALPHABET: Final = string.ascii_lowercase + string.digits
_ID_LENGTH: Final = 6
_SECRET_LENGTH: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapToken:
    """A token as `k3py token` shows it; `ends` None = never. The secret shows in no representation."""

    token_id: str
    secret: str
    description: str = ""
    ends: dt.datetime | None = None
    usages: Sequence[str] = USAGES
    groups: Sequence[str] = (DEFAULT_GROUP,)

    def __repr__(self) -> str:
        return f"BootstrapToken({self.token_id!r})"

    @property
    def text(self) -> str:
        """The token itself."""
        return f"{self.token_id}.{self.secret}"

    def to_secret(self) -> JsonObject:
        """Return the Secret that makes it valid."""
        data = {
            "token-id": self.token_id,
            "token-secret": self.secret,
            "auth-extra-groups": ",".join(self.groups),
            **{f"usage-bootstrap-{usage}": "true" for usage in self.usages},
        }
        if self.description:
            data["description"] = self.description
        if self.ends is not None:
            data["expiration"] = format_time(self.ends)
        return {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": secret_name(self.token_id), "namespace": NAMESPACE},
            "type": SECRET_TYPE,
            "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
        }


def generate() -> str:
    """Return a new random token; nothing is created."""
    return ".".join(
        "".join(secrets.choice(_ALPHABET) for _ in range(length)) for length in (_ID_LENGTH, _SECRET_LENGTH)
    )


def is_bootstrap_token(text: str) -> bool:
    """Say whether a text has the form of one."""
    return _TOKEN.fullmatch(text) is not None


def make_token(
    text: str,
    *,
    description: str,
    ends: dt.datetime | None,
    usages: Sequence[str],
    groups: Sequence[str],
) -> BootstrapToken:
    """Check what a user gave.

    Raises:
        ConfigError: names the flag, the value and what is allowed; the token is not repeated.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise ConfigError("the token must be 6 and 16 characters of a-z and 0-9 with a dot between")
    for usage in usages:
        if usage not in USAGES:
            raise ConfigError(f"--usages: {usage!r}: must be of {', '.join(USAGES)}")
    for group in groups:
        if not _GROUP.fullmatch(group):
            raise ConfigError(f"--groups: {group!r}: must begin with system:bootstrappers:")
    return BootstrapToken(
        token_id=match[1],
        secret=match[2],
        description=description,
        ends=ends,
        usages=tuple(usages),
        groups=tuple(groups),
    )


def secret_name(token: str) -> str:
    """Return the name of the Secret of a token, of which the id is enough, also in the secure form.

    Raises:
        ConfigError: it is neither; the message does not repeat it.
    """
    bare = token.rpartition("::")[2]
    token_id = bare.partition(".")[0]
    if not (_TOKEN.fullmatch(bare) or _ID.fullmatch(bare)):
        raise ConfigError(
            "a token or its id must be given: 6 characters of a-z and 0-9, or those, a dot and 16"
        )
    return f"bootstrap-token-{token_id}"


def read_secret(secret: JsonObject) -> BootstrapToken | None:
    """Read a Secret, None = it holds no token that could ever be valid."""
    data = {name: _decode(value) for name, value in (secret.get("data") or {}).items()}
    if secret.get("type") != SECRET_TYPE or not is_bootstrap_token(
        f"{data.get('token-id', '')}.{data.get('token-secret', '')}"
    ):
        return None
    try:
        ends = parse_time(data["expiration"]) if data.get("expiration") else None
    except ValueError:
        return None
    return BootstrapToken(
        token_id=data["token-id"],
        secret=data["token-secret"],
        description=data.get("description", ""),
        ends=ends,
        usages=tuple(one for one in USAGES if data.get(f"usage-bootstrap-{one}") == "true"),
        groups=tuple(one for one in data.get("auth-extra-groups", "").split(",") if one),
    )


def _decode(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
