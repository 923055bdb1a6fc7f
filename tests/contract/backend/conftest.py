"""The stores that the suite of the seam `Backend` runs on."""

from __future__ import annotations

import pytest

from k3py.datastore.factory import open_backend
from tests.support.backends import DRIVERS
from tests.support.databases import fresh_endpoint
from tests.support.etcd import etcd_program, etcd_version, open_over_the_wire, open_real_etcd

NOT_ON_OLD_ETCD = {
    "test_a_watch_ends_as_unavailable_when_the_store_closes": "progress overtakes events (etcd 15220)",
    "test_watches_of_many_shapes_get_what_lies_in_their_range": "progress overtakes events (etcd 15220)",
    "test_a_watch_may_start_at_the_compaction_line_but_not_below": "loses a deletion there (etcd 19179)",
}


@pytest.fixture(params=DRIVERS)
def opening(request, tmp_path):
    """Open a fresh store of each driver; a second opening of a durable one finds the first one's data."""

    name = request.param
    if name == "etcd" and etcd_program() is None:
        pytest.skip("etcd is not installed")

    if name == "etcd" and request.node.originalname in NOT_ON_OLD_ETCD and etcd_version() < (3, 5, 18):
        pytest.skip(NOT_ON_OLD_ETCD[request.node.originalname])

    database = fresh_endpoint(name) if name in ("postgres", "mysql") else ""

    def open_():
        if name == "etcd":
            return open_real_etcd(tmp_path)
        store = name.removeprefix("etcd-")
        if store in ("postgres", "mysql"):
            return open_backend(database)
        endpoint = {"memory": "memory://", "sqlite": f"sqlite://{tmp_path}/state.db"}[store]
        return open_over_the_wire(endpoint) if name.startswith("etcd-") else open_backend(endpoint)

    open_.durable = not name.endswith("memory")
    open_.is_etcd = name.startswith("etcd")
    open_.keeps_previous = name != "etcd"  # a real one forgets what the row at the compaction line replaced
    open_.shared = name in ("postgres", "mysql")
    return open_
