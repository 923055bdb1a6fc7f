"""Who this server is to webhooks: users of a kubeconfig, named by the hosts that they are for.

Source: k8s.io/apiserver/pkg/util/webhook/authentication.go v0.35: host:port, *.rest:port, the same without port 443, *, the current context's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from k3py.client.kubeconfig import load_users
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from k3py.client.kubeconfig import Kubeconfig


class WebhookCredentials:
    """Users by name; `default`: the name of the current context's user, "" = none."""

    def __init__(self, users: Mapping[str, Kubeconfig], default: str = "") -> None:
        self._users = users
        self._default = default

    def find(self, url: str) -> Kubeconfig | None:
        """Return who we are at a URL, None = nobody."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        for name in _names(host, port):
            if (found := self._users.get(name)) is not None:
                return found
        return self._users.get(self._default)


def _names(host: str, port: int) -> Iterator[str]:
    for target in (f"{host}:{port}", host) if port == 443 else (f"{host}:{port}",):
        yield target
        labels = target.split(".")
        for begin in range(1, len(labels)):
            yield "*." + ".".join(labels[begin:])
    yield "*"


async def bearer_of(user: Kubeconfig) -> str:
    """Return a user's token, "" if it has none. Raises OSError: its file cannot be read."""
    if user.token_file is not None:
        return (await offload(user.token_file.read_text)).strip()
    return user.token


def load_credentials(file: Path) -> WebhookCredentials:
    """Read a kubeconfig. Blocking. Raises KubeconfigError."""
    return WebhookCredentials(*load_users(file))
