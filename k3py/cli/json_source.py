"""Turns objects in Kubernetes' protobuf, as K3s and kube-apiserver store them, into JSON, which k3py's API server reads."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.schema import load_schema
from k3py.util.offload import offload
from k3py.wire.kubernetes_protobuf import KubernetesProtobuf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from k3py.datastore.interface import KeyValue
    from k3py.datastore.transfer.source import Source

PROTOBUF: Final = b"k8s\0"


class JsonSource:
    """See `Source`; `turned` and `kept` count the values in protobuf that could be turned into JSON, and those of unknown kinds."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._protobuf = KubernetesProtobuf(load_schema().table)
        self.info = source.info
        self.turned = 0
        self.kept = 0

    async def pages(self) -> AsyncIterator[Sequence[KeyValue]]:
        """See `Source`."""
        async for page in self._source.pages():
            yield await offload(self._turn_all, page)

    def _turn_all(self, page: Sequence[KeyValue]) -> list[KeyValue]:
        return [self._turn(kv) if kv.value.startswith(PROTOBUF) else kv for kv in page]

    def _turn(self, kv: KeyValue) -> KeyValue:
        try:
            obj = self._protobuf.decode_object(kv.value)
        except (ValueError, KeyError):
            self.kept += 1
            return kv
        self.turned += 1
        return dataclasses.replace(kv, value=orjson.dumps(obj))
