"""--authentication-token-webhook-config-file: another server says whose a bearer token is, by TokenReview.

Source: k8s.io/apiserver/plugin/pkg/authenticator/token/webhook, pkg/authentication/token/cache v0.35.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from k3py.api.user import User
from k3py.apiserver.review_webhook import WebhookFault
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.apiserver.interface import Authenticator, Credentials
    from k3py.apiserver.review_webhook import ReviewWebhook
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

_MOST_REMEMBERED: Final = 4096


class WebhookTokenAuthenticator:
    """Asks, and remembers answers for `ttl_s`; failures are not remembered.

    Args:
        webhook: where to ask. version: "v1" or "v1beta1" of TokenReview.
        audiences: the API's own; a token must be for one of them if the webhook names any.
    """

    def __init__(
        self, webhook: ReviewWebhook, *, version: str, audiences: Sequence[str], ttl_s: float = 120.0
    ) -> None:
        self._webhook = webhook
        self._version = version
        self._audiences = tuple(audiences)
        self._ttl_s = ttl_s
        self._salt = os.urandom(32)  # so that what is remembered is of no use outside
        self._known: OrderedDict[bytes, tuple[float, User | None]] = OrderedDict()

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the token's user, None for a token that the webhook does not know or while it does not answer."""
        token = credentials.bearer
        if not token:
            return None
        key = hashlib.sha256(self._salt + token.encode()).digest()
        found = self._known.get(key)
        if found is not None and found[0] > clock.monotonic_s():
            return found[1]
        try:
            user = await self._ask(token)
        except WebhookFault as error:
            log.warning("a token cannot be checked", extra={"error": str(error)})
            return None
        if self._ttl_s > 0:
            self._known[key] = (clock.monotonic_s() + self._ttl_s, user)
            self._known.move_to_end(key)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return user

    async def _ask(self, token: str) -> User | None:
        spec: JsonObject = {"token": token}
        if self._version == "v1":
            spec["audiences"] = list(self._audiences)
        answer = await self._webhook.post(
            {
                "kind": "TokenReview",
                "apiVersion": f"authentication.k8s.io/{self._version}",
                "metadata": {"creationTimestamp": None},
                "spec": spec,
            }
        )
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            return None
        named = status.get("audiences") or ()
        if named and not set(named) & set(self._audiences):
            return None
        return _user_of(status.get("user") or {})


def _user_of(info: JsonObject) -> User:
    name = info.get("username")
    if not isinstance(name, str) or not name:
        raise WebhookFault("the webhook's answer names no user")
    return User(
        name=name,
        uid=str(info.get("uid") or ""),
        groups=tuple(str(one) for one in info.get("groups") or ()),
        extra={str(key): tuple(values or ()) for key, values in (info.get("extra") or {}).items()},
    )


if TYPE_CHECKING:

    def _check(one: WebhookTokenAuthenticator) -> Authenticator:
        return one
