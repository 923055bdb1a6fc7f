"""Protobuf messages of what plugins of the kubelet speak (CSI, registration, device plugins, DRA, PodResources) as dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.wire.protobuf_messages import load_messages

if TYPE_CHECKING:
    from k3py.wire.protobuf_messages import ProtobufMessages


def load_plugin_messages() -> ProtobufMessages:
    """Return the codec over k3py's own table."""
    return load_messages("plugins.tsv")
