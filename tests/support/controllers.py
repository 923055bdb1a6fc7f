"""Runs controllers on the fake client, and lets a test wait for a state instead of for time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from k3py.api.object import deep_copy
from k3py.api.registry import KindRegistry
from k3py.api.resource import PODS
from k3py.controllers.base import ControllerLoop
from k3py.controllers.interface import ControllerContext
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient, FakeInformerFactory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from k3py.api.kind import Kind
    from k3py.controllers.interface import Controller, TokenSigner
    from k3py.jsontypes import JsonObject
    from k3py.pki.authority import KeyPair


class RecordedEvents:
    """A recorder that remembers (reason, message)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def event(self, obj: JsonObject, event_type: str, reason: str, message: str, *, action: str = "") -> None:
        """Remember an event."""
        self.events.append((reason, message))

    def named(self, component: str) -> RecordedEvents:
        """Return itself: who says it is not remembered."""
        return self

    def reasons(self) -> list[str]:
        """Return the reasons in order."""
        return [reason for reason, _ in self.events]


class World:
    """A fake cluster for controllers."""

    def __init__(
        self,
        kinds: tuple[Kind, ...] = (),
        *,
        authorities: Mapping[str, KeyPair] | None = None,
        token_signer: TokenSigner | None = None,
    ) -> None:
        self.client = FakeClient()
        self.informers = FakeInformerFactory(self.client)
        self.recorder = RecordedEvents()
        self.context = ControllerContext(
            client=self.client,
            informers=self.informers,
            recorder=self.recorder,
            kinds=KindRegistry(kinds),
            root_ca="CA",
            cluster_cidr="10.42.0.0/16",
            authorities=authorities or {},
            token_signer=token_signer,
        )

    @asynccontextmanager
    async def running(self, *builders: Callable[[ControllerContext], Controller]) -> AsyncIterator[None]:
        """Run controllers made by `builders` while the context lasts; checks that nothing read-only was changed."""
        async with TaskScope() as scope:
            for build in builders:
                started = asyncio.Event()
                loop = ControllerLoop(build(self.context))
                _ = scope.spawn(loop.run(started.set), name=loop.name)
                await started.wait()
            try:
                yield
            finally:
                scope.cancel()
        self.client.check_untouched()

    async def until(self, condition: Callable[[], object], turns: int = 20000) -> None:
        """Let the loop turn until `condition()` is true; fails when it never is."""
        for _ in range(turns):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("the awaited state was not reached")

    async def settle(self, turns: int = 200) -> None:
        """Let the loop turn so often that controllers on the fake client have done all they will do."""
        for _ in range(turns):
            await asyncio.sleep(0)

    def make_ready(self, pod: JsonObject) -> None:
        """Act as the kubelet: the pod runs and is ready."""
        changed = deep_copy(pod)
        changed["status"] = {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }
        self.client.seed(PODS, changed)
