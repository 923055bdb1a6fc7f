"""Protobuf messages of CRI v1 and containerd as dicts (see `protobuf_messages`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.wire.protobuf_messages import load_messages

if TYPE_CHECKING:
    from k3py.wire.protobuf_messages import ProtobufMessages


def load_cri_messages() -> ProtobufMessages:
    """Return the codec over k3py's own table."""
    return load_messages("cri.tsv")
