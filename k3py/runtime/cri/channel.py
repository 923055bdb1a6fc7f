"""The connection to a container runtime: CRI and containerd's own services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.runtime.grpc_channel import GrpcChannel
from k3py.wire.cri_protobuf import load_cri_messages

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE: Final = "k8s.io"
"""containerd's namespace for Kubernetes; a header of its own services, ignored by CRI."""


class CriChannel(GrpcChannel):
    """A connection to a runtime's socket."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket, load_cri_messages(), {"containerd-namespace": NAMESPACE})
