"""How the kubelet tells Events: the recorder's shape, and the reasons with upstream's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from k3py.kubelet.pod import field_path

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

NORMAL: Final = "Normal"
WARNING: Final = "Warning"


class Recorder(Protocol):
    """What `client.events.EventRecorder` offers; returns at once."""

    def event(
        self, obj: JsonObject, event_type: str, reason: str, message: str, *, field_path: str = ""
    ) -> None:
        """Record that something happened to `obj` (an object or an ObjectReference)."""


class PodRecorder:
    """Events about one pod and its containers."""

    def __init__(self, recorder: Recorder, pod: JsonObject) -> None:
        self._recorder = recorder
        self._pod = pod

    def normal(self, reason: str, message: str, container: str = "") -> None:
        """Tell something expected."""
        path = field_path(self._pod, container) if container else ""
        self._recorder.event(self._pod, NORMAL, reason, message, field_path=path)

    def warning(self, reason: str, message: str, container: str = "") -> None:
        """Tell a failure."""
        path = field_path(self._pod, container) if container else ""
        self._recorder.event(self._pod, WARNING, reason, message, field_path=path)
