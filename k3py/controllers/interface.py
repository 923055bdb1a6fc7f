"""The seam `Controller`: watched kinds, a mapping from their objects to keys, and one level-based `reconcile(key)`.

Controllers know the API by `client.interface` only, never storage and never each other. Each is one file (or folder) whose decisions
are pure `plan_*` functions; `k3py.controllers.base` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from k3py.util.metrics import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from k3py.api.registry import KindRegistry
    from k3py.client.interface import Client, Informer, InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.pki.authority import KeyPair


class Recorder(Protocol):
    """Writes Events about objects; never blocks and never fails its caller."""

    def event(self, obj: JsonObject, event_type: str, reason: str, message: str, *, action: str = "") -> None:
        """Record an event of type "Normal" or "Warning" with upstream's `reason`."""


class TokenSigner(Protocol):
    """Makes tokens of service accounts."""

    def sign(self, claims: JsonObject) -> str:
        """Return a signed JWT of `claims`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerContext:
    """What a controller gets: a client with its own identity, shared informers, an event recorder and the cluster's settings.

    kinds: what the API serves. root_ca: PEM that pods trust for the API server. cluster_cidr: range of pod addresses, "" = nodes get
    none; node_mask_bits: size of a node's share of it. authorities: "client-ca" and "server-ca", with which requests for certificates
    are signed. token_signer: makes tokens of service accounts, None = no key is there. metrics: where controllers show what they count.
    """

    client: Client
    informers: InformerFactory
    recorder: Recorder
    kinds: KindRegistry
    root_ca: str = ""
    cluster_cidr: str = ""
    node_mask_bits: int = 24
    authorities: Mapping[str, KeyPair] = field(default_factory=dict)
    token_signer: TokenSigner | None = None
    metrics: Registry = field(default_factory=Registry)


@dataclass(frozen=True, slots=True)
class Watch:
    """An informer and the work that a change of one of its objects means.

    keys_of(old, new): keys to reconcile; `old` is None for an added object, `new` for a deleted one.
    """

    informer: Informer
    keys_of: Callable[[JsonObject | None, JsonObject | None], Iterable[str]]


@runtime_checkable
class KindFollower(Protocol):
    """A controller about objects of all kinds, which come and go."""

    def follow(self, add: Callable[[Watch], None]) -> None:
        """Call `add` with a watch for each kind that comes from now on, until the process ends."""


class Controller(Protocol):
    """One control loop; made by its module's `build(context)`."""

    @property
    def name(self) -> str:
        """Upstream's name, e.g. "replicaset-controller"."""

    @property
    def workers(self) -> int:
        """How many keys are worked on at once."""

    @property
    def watches(self) -> Sequence[Watch]:
        """What wakes it."""

    async def reconcile(self, key: str) -> float | None:
        """Bring the object of `key` one step closer to what it asks for; safe to call at any time and again after a crash.

        Returns:
            Seconds after which to look again, or None.

        Raises:
            ApiError: tried again with back-off.
        """
