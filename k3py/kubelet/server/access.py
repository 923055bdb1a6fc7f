"""Who may ask the kubelet what: client certificates and tokens, then a SubjectAccessReview.

Nobody is anonymous here, /healthz excepted as for any authenticated user. Answers are remembered for upstream's times.

Source: pkg/kubelet/server/auth.go v1.35; data/kubelet.tsv: tokens 2 min, allowed 5 min, refused 30 s.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from k3py.api.resource import Resource
from k3py.api.status import ApiError
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.kubelet.server.errors import RequestError
from k3py.pki.tls import is_valid_at
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Hashable

    from aiohttp import web

    from k3py.client.interface import Client

TOKEN_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
TOKEN_S: Final = 120.0
ALLOWED_S: Final = 300.0
REFUSED_S: Final = 30.0
_API_SERVER: Final = "system:apiserver"
_MOST_REMEMBERED: Final = 1024

_SUBRESOURCES: Final = (
    ("/stats", "stats"),
    ("/metrics", "metrics"),
    ("/logs", "log"),
    ("/healthz", "healthz"),
    ("/configz", "configz"),
    ("/pods", "pods"),
    ("/runningpods", "pods"),
)
_VERBS: Final = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


class AccessControl:
    """Authenticates and authorizes requests.

    Args:
        client: asks the API server.
        node_name: what is authorized are subresources of this node.
    """

    def __init__(self, client: Client, node_name: str) -> None:
        self._client = client
        self._node_name = node_name
        self._users: dict[bytes, tuple[float, User | None]] = {}
        self._decisions: dict[Hashable, tuple[float, bool]] = {}

    async def check(self, request: web.BaseRequest) -> User:
        """Return who asks.

        Raises:
            RequestError: 401 nobody known, 403 not allowed.
        """
        user = await self._authenticate(request)
        if user is None:
            raise RequestError(401, "Unauthorized")
        verb, subresources = attributes(request.method, request.path, request.headers.get("Upgrade", ""))
        for subresource in subresources:
            if await self._allowed(user, verb, subresource):
                return user
        raise RequestError(
            403,
            f"Forbidden (user={user.name}, verb={verb}, resource=nodes, subresource(s)={list(subresources)})",
        )

    async def _authenticate(self, request: web.BaseRequest) -> User | None:
        certificate = request.get_extra_info("peercert")
        if certificate:
            user = user_of_certificate(certificate)
            # The API server's own key is kept by servers alone; a wrong clock must not cut off logs and exec.
            is_server = user.name == _API_SERVER and MASTERS in user.groups
            return user if is_server or is_valid_at(certificate, clock.now()) else None
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return None
        return await self._review_token(token.strip())

    async def _review_token(self, token: str) -> User | None:
        key = hashlib.sha256(token.encode()).digest()
        known = self._users.get(key)
        now_s = clock.monotonic_s()
        if known is not None and known[0] > now_s:
            return known[1]
        review = {
            "kind": "TokenReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {},
            "spec": {"token": token},
        }
        try:
            answer = await self._client.create(TOKEN_REVIEWS, review)
        except ApiError as error:
            raise RequestError(500, f"token cannot be reviewed: {error.message}") from error
        status = answer.get("status") or {}
        user = None
        if status.get("authenticated"):
            found = status.get("user") or {}
            user = User(
                name=found.get("username", ""),
                uid=found.get("uid", ""),
                groups=tuple(found.get("groups") or ()),
                extra={name: tuple(values) for name, values in (found.get("extra") or {}).items()},
            )
        _limit(self._users)
        self._users[key] = (now_s + TOKEN_S, user)
        return user

    async def _allowed(self, user: User, verb: str, subresource: str) -> bool:
        key = (user.name, user.groups, verb, subresource)
        known = self._decisions.get(key)
        now_s = clock.monotonic_s()
        if known is not None and known[0] > now_s:
            return known[1]
        review = {
            "kind": "SubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {
                "user": user.name,
                "uid": user.uid,
                "groups": list(user.groups),
                "extra": {name: list(values) for name, values in user.extra.items()},
                "resourceAttributes": {
                    "verb": verb,
                    "version": "v1",
                    "resource": "nodes",
                    "subresource": subresource,
                    "name": self._node_name,
                },
            },
        }
        try:
            answer = await self._client.create(SUBJECT_ACCESS_REVIEWS, review)
        except ApiError as error:
            raise RequestError(500, f"Authorization error: {error.message}") from error
        allowed = bool((answer.get("status") or {}).get("allowed"))
        _limit(self._decisions)
        self._decisions[key] = (now_s + (ALLOWED_S if allowed else REFUSED_S), allowed)
        return allowed


def _limit(remembered: dict[bytes, tuple[float, User | None]] | dict[Hashable, tuple[float, bool]]) -> None:
    if len(remembered) >= _MOST_REMEMBERED:
        remembered.clear()


def attributes(method: str, path: str, upgrade: str = "") -> tuple[str, tuple[str, ...]]:
    """Return the verb and the subresources of nodes of which one has to be allowed.

    An upgrade by WebSocket is a GET that acts: it needs `create` like the POST of SPDY (1.35).
    """
    verb = _VERBS.get(method, method.lower())
    if upgrade.lower() == "websocket" and path.startswith(("/exec", "/attach", "/portForward", "/run")):
        verb = "create"
    for prefix, subresource in _SUBRESOURCES:
        if path == prefix or path.startswith(f"{prefix}/"):
            return verb, (subresource, "proxy") if subresource in ("healthz", "configz", "pods") else (
                subresource,
            )
    return verb, ("proxy",)


def user_of_certificate(certificate: dict[str, object]) -> User:
    """Return the user of a verified certificate (as `ssl` tells it): its common name and organizations."""
    name = ""
    groups = []
    subject = certificate.get("subject")
    for part in subject if isinstance(subject, tuple) else ():
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name=name, groups=(*groups, AUTHENTICATED))
