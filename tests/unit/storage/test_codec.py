import orjson

from k3py.storage.codec import Codec, Identity
from k3py.storage.parsed_pool import ParsedPool
from tests.support.kinds import WIDGET, widget


def codec(pool=None):
    return Codec(WIDGET, pool or ParsedPool(), Identity())


def test_equal_documents_have_equal_bytes_whatever_their_key_order_and_revision():
    one = widget("a", spec={"x": 1, "y": {"b": 1, "a": 2}})
    other = {
        "spec": {"y": {"a": 2, "b": 1}, "x": 1},
        "metadata": {"resourceVersion": "7", **one["metadata"]},
        "apiVersion": "old/v1",
        "kind": "Widget",
    }
    assert codec().encode(one) == codec().encode(other)
    assert other["metadata"]["resourceVersion"] == "7", "the argument is not changed"


def test_document_can_be_cut_out_of_the_served_bytes_again():
    document = codec().encode(widget("a", spec={"x": 1}))
    for revision in (1, 99, 10**12):
        view = codec().view(document, revision)
        assert orjson.loads(view.served)["metadata"]["resourceVersion"] == str(revision)
        assert codec().document_of(view) == document


def test_foreign_json_in_the_datastore_is_made_canonical():
    obj = {"metadata": {"name": "a"}, "apiVersion": "example.com/v1", "kind": "Widget"}
    assert codec().open(b"k", orjson.dumps(obj)) == codec().encode(obj)


def test_parsed_documents_are_bounded_and_made_again_on_demand():
    pool = ParsedPool(limit_bytes=2500)
    shared = Codec(WIDGET, pool, Identity())
    views = [shared.view(shared.encode(widget(f"w{i}", data="x" * 1000)), i + 1) for i in range(3)]
    documents = [view.parsed for view in views]
    assert views[2].parsed is documents[2]
    assert views[0].parsed_or_none is None
    assert views[0].parsed == documents[0]


def test_owner_uids_and_labels_are_indexed_and_equal_labels_shared():
    obj = widget("a", labels={"app": "x"})
    obj["metadata"]["ownerReferences"] = [{"uid": "u1"}, {"uid": "u2"}]
    one = codec()
    view = one.view(one.encode(obj), 1)
    other = one.view(one.encode(widget("b", labels={"app": "x"})), 2)
    assert view.owners == ("u1", "u2")
    assert view.labels is other.labels
