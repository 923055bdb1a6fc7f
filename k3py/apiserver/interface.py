"""How a request looks once HTTP (or the in-process client) is peeled off, and what answers it.

`Dispatcher.dispatch` is the one way in (ARCHITECTURE §1.3): audit, authorization, admission, validation, storage. The HTTP layer
decodes and encodes around it; `client.local.LocalClient` calls it directly with dicts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.api.kind import Kind
    from k3py.api.resource import Resource
    from k3py.api.user import User
    from k3py.apiserver.registry.options import DeleteOptions
    from k3py.jsontypes import JsonObject, JsonValue
    from k3py.storage.interface import ListPage, ObjectView, WatchItem


@dataclass(slots=True, kw_only=True)
class ApiRequest:
    """A resource request.

    verb: get, list, watch, create, update, patch, delete, deletecollection (what authorization calls it).
    options: query parameters, last value of each (repeated ones of exec's `command` excepted: see `multi_options`).
    body: decoded document (create, update, delete options), or the decoded patch; None when there is none.
    patch_type: the content type of a patch.
    raw_body: the body's bytes when the HTTP layer had them (strict field validation looks for duplicate keys there).
    repeated_keys: what a strict decoder says of an apply's keys that stand twice.
    warnings: texts for Warning headers, appended by whoever has one.
    annotations: of the request's audit events, None = it is not audited.
    """

    verb: str
    resource: Resource
    user: User
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    multi_options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: JsonValue = None
    raw_body: bytes = b""
    repeated_keys: Sequence[str] = ()
    patch_type: str = ""
    user_agent: str = ""
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectResult:
    """One object: a shared view (bytes ready) or a document made for this answer; `status_code` is 200, 201 or 202."""

    kind: Kind | None
    view: ObjectView | None = None
    document: JsonObject | None = None
    status_code: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ListResult:
    """A page of objects of `kind`."""

    kind: Kind
    page: ListPage


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchResult:
    """An opened watch; `events` yields batches, `timeout_s` ends it."""

    kind: Kind
    events: AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """A byte stream (pod logs) or an upgraded connection, handled by the HTTP layer: `target` says where to go on.

    target: URL of the kubelet that serves it; the HTTP layer proxies the request there with the apiserver's own credential.
    is_kubelet: False = somebody else's server (a pod, a service): it sees no credential, and its name is not checked.
    """

    target: str
    is_kubelet: bool = True


Result = ObjectResult | ListResult | WatchResult | StreamResult


class Dispatcher(Protocol):
    """The API server without its HTTP face."""

    async def dispatch(self, request: ApiRequest) -> Result:
        """Authorize and carry out a request.

        Raises:
            ApiError: as the API answers it.
        """


class RemoteResources(Dispatcher, Protocol):
    """Groups and versions that other servers serve."""

    def serves(self, resource: Resource) -> bool:
        """Say whether another server serves a resource's version."""


class Egress(Protocol):
    """The way out of the API server to nodes and pods that it does not reach itself."""

    async def connect(self, host: str, port: int) -> socket.socket | None:
        """Return a connected socket that leads there, None = dial it directly.

        Raises:
            OSError: there is such a way, and it does not lead there.
        """


class KubeletConnector(Protocol):
    """Opens connections to kubelets; the server's composition knows whether directly or through an agent's tunnel."""

    async def connect(
        self, target: str, *, is_kubelet: bool = True
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection, TLS done with the API server's client certificate, to the host of the URL `target`.

        `is_kubelet` False: TLS without a certificate of ours and without checking theirs, as pods' servers have to be taken.

        Raises:
            OSError, ssl.SSLError: not reachable.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a connection or request brought to prove who it is.

    bearer: token of the Authorization header, "" = none. peer_certificate: DER of the client's leaf that TLS verified against the
    client CA or the front proxies' CA, None = none. peer_authorities: DER of the certificates above it that TLS found.
    headers: by names in lower case, all values of each; only with X-Remote-User among them (an authenticating proxy's), else empty.
    """

    bearer: str = ""
    peer_certificate: bytes | None = None
    peer_authorities: tuple[bytes, ...] = ()
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remote_address: str = ""


class Authenticator(Protocol):
    """One way to tell who a request is from; one a file in `apiserver/authn`, joined by `authn.union`."""

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the user (without system:authenticated, which the union adds), or None when these credentials are not this one's.

        Raises:
            ApiError: 401, the credentials are this one's and bad.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What authorization decides about; `path` is set for non-resource requests and then `resource` is "".

    field_selector, label_selector: of list, watch and deletecollection requests, as the client wrote them (the node authorizer and
    webhooks look at them).
    """

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    field_selector: str = ""
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """allowed, or not (no opinion and denied differ only for the order of authorizers); `reason` goes into the 403 message."""

    allowed: bool
    reason: str = ""
    denied: bool = False


class Authorizer(Protocol):
    """Says who may do what; one a file in `apiserver/authz`, joined by `authz.union`."""

    async def authorize(self, attributes: Attributes) -> Decision:
        """Decide."""


@dataclass(slots=True)
class Reinvocation:
    """Mutating plugins run a second time when a webhook changed the object.

    wanted: a webhook changed it. running: this is the second time. invoked, due: webhooks that want to see what others change after
    them, and those of them that have to. last: the object after the last webhook.
    """

    wanted: bool = False
    running: bool = False
    invoked: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    last: JsonObject | None = None


@dataclass(slots=True, kw_only=True)
class AdmissionRequest:
    """A write on its way in; operation: "CREATE", "UPDATE", "DELETE" or "CONNECT". Mutating plugins change `obj` in place.

    deletion: the options of a DELETE. reinvocation: None until a webhook wants it. annotations: of the request's audit events, None = it is
    not audited.
    """

    operation: str
    kind: Kind
    user: User
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    obj: JsonObject | None = None
    old: JsonObject | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    deletion: DeleteOptions | None = None
    reinvocation: Reinvocation | None = None
    annotations: dict[str, str] | None = None

    def annotate(self, key: str, value: str) -> None:
        """Add to the request's audit events; who was first stays."""
        if self.annotations is not None:
            self.annotations.setdefault(key, value)


class AdmissionPlugin(Protocol):
    """One admission plugin; one a file in `apiserver/admission/plugins`, in upstream's order in one explicit tuple."""

    name: str

    def handles(self, request: AdmissionRequest) -> bool:
        """Say, cheaply, whether this plugin wants to see the request."""

    async def admit(self, request: AdmissionRequest) -> None:
        """Mutate `request.obj`. Raises ApiError to refuse."""

    async def validate(self, request: AdmissionRequest) -> None:
        """Look at the final object. Raises ApiError to refuse."""
