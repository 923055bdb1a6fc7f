"""Lists in pieces are, put together, the lists that are made at once."""

import orjson
import pytest

from k3py.api.kinds import ALL
from k3py.api.schema import load_schema
from k3py.apiserver.encoding import list_pieces, object_view
from k3py.apiserver.encoding.codec import Codec
from k3py.apiserver.encoding.list_pieces import is_long, pieces_of
from k3py.apiserver.encoding.negotiation import Negotiator
from k3py.storage.interface import ListPage
from k3py.wire.kubernetes_protobuf import KubernetesProtobuf, split_envelope

MAPS = next(kind for kind in ALL if kind.kind == "ConfigMap")
FORMS = (
    "application/json",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
)


class View:
    def __init__(self, n):
        meta = {"name": f"c{n}", "namespace": "default", "uid": f"u{n}", "resourceVersion": str(n), "creationTimestamp": "2026-01-02T03:04:05Z"}
        self.served = orjson.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta, "data": {"k": "v" * n}})


@pytest.fixture(scope="module")
def codec():
    table = load_schema().table
    return Codec(lambda: KubernetesProtobuf(table))


@pytest.mark.parametrize("accept", FORMS)
@pytest.mark.parametrize("count", [2, 300])
async def test_the_pieces_are_the_whole(accept, count, codec, monkeypatch):
    monkeypatch.setattr(list_pieces, "PIECE_BYTES", 1000)
    page = ListPage(items=[View(n) for n in range(count)], revision=7, continue_token="t", remaining=3)
    form = Negotiator().negotiate_object(accept, "list")
    pieces = [one async for one in pieces_of(MAPS, page, form, {}, codec, pretty=False)]
    assert count < 300 or len(pieces) > 10
    whole = codec.encode(object_view.list_document(MAPS, page, form, {}), form, pretty=False)
    made = b"".join(pieces)
    if form.media_type == "application/json":
        assert orjson.loads(made) == orjson.loads(whole)
        assert made.endswith(b"\n")
    else:
        assert split_envelope(made) == split_envelope(whole)
        assert made == whole


@pytest.mark.parametrize("accept", ["application/yaml", "application/json;pretty=1"])
def test_forms_for_humans_come_at_once(accept, codec):
    page = ListPage(items=[View(1), View(2)], revision=7)
    assert pieces_of(MAPS, page, Negotiator().negotiate_object(accept, "list"), {}, codec, pretty=False) is None


def test_only_long_lists_come_in_pieces():
    short, big = View(1), View(300_000)
    assert not is_long(ListPage(items=[short] * 100, revision=1))
    assert not is_long(ListPage(items=[View(900_000)], revision=1))
    assert is_long(ListPage(items=[big, big], revision=1))
