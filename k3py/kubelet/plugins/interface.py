"""The seam of plugin kinds: what the watcher calls when a plugin comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class PluginRefused(K3pyError):
    """A plugin cannot be taken; the message is told to it, and to the log."""


class PluginHandler(Protocol):
    """One kind of plugin.

    kind: what plugins call it in their PluginInfo ("CSIPlugin", "DRAPlugin", "DevicePlugin").
    """

    kind: str

    async def register(self, name: str, endpoint: Path, versions: Sequence[str]) -> None:
        """Take a plugin that listens at `endpoint`; again for one that began anew.

        Raises:
            PluginRefused: it cannot be used.
        """

    async def deregister(self, name: str) -> None:
        """Let go of a plugin whose socket is gone."""
