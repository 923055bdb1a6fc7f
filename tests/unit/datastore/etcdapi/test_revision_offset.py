"""All revisions of a message move, and nothing else."""

import pytest

from k3py.datastore.etcdapi.revision_offset import is_before, read_offset, shift

ROW = {"key": b"/a", "value": b"v", "create_revision": 3, "mod_revision": 7, "version": 2, "lease": 9}


def test_an_answer_moves_up_and_back():
    def make():
        return {
            "header": {"revision": 8, "raft_term": 5},
            "compact_revision": 0,
            "events": [{"type": "DELETE", "kv": {**ROW, "create_revision": 0}, "prev_kv": dict(ROW)}],
            "responses": [{"response_range": {"kvs": [dict(ROW)], "count": 1, "header": None}}],
        }

    document = make()
    shift(document, 100)
    assert document["header"] == {"revision": 108, "raft_term": 5}
    assert document["compact_revision"] == 0
    event = document["events"][0]
    assert (event["kv"]["create_revision"], event["kv"]["mod_revision"]) == (0, 107)
    assert event["prev_kv"] == {**ROW, "create_revision": 103, "mod_revision": 107}
    assert document["responses"][0]["response_range"]["kvs"][0]["mod_revision"] == 107
    shift(document, -100)
    assert document == make()


@pytest.mark.parametrize(
    ("request_", "before"),
    [
        ({"key": b"/a", "revision": 0}, False),
        ({"key": b"/a", "revision": 101}, False),
        ({"key": b"/a", "revision": 100}, True),
        ({"create_request": {"key": b"/a", "start_revision": 5}}, True),
        ({"create_request": {"key": b"/a", "start_revision": 105}}, False),
        ({"compare": [{"mod_revision": 5}], "success": [{"request_put": {"key": b"/a"}}], "failure": []}, False),
        ({"compare": [], "success": [{"request_range": {"key": b"/a", "revision": 5}}]}, True),
    ],
)
def test_what_was_before_the_store_began_is_known(request_, before):
    assert is_before(request_, 100) is before


def test_the_offset_is_read_from_its_key():
    assert read_offset({"kvs": []}) == 0
    assert read_offset({"kvs": [{"value": b"1000000007"}]}) == 1_000_000_007
