"""The whole server while its database is away: at the start it waits, later reads from memory go on, and it recovers by itself."""

from __future__ import annotations

import json
import threading
import time
from functools import partial

import pytest

from tests.support.black_box import ApiError, BlackBox
from tests.support.databases import is_installed, running

PATH = "/api/v1/namespaces/default/configmaps"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def start_when_it_waits(database, log, limit_s=60):
    """Start the database once the server says that it waits for it."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and not (
        log.exists() and "waiting for the datastore" in log.read_text()
    ):
        time.sleep(0.05)
    database.start()


def create(server, name):
    return server.request("POST", PATH, {"metadata": {"name": name}})


@pytest.mark.parametrize("scheme", ["postgres", "mysql"])
def test_a_server_outlives_the_absence_of_its_database(tmp_path, scheme):
    if not is_installed(scheme):
        pytest.skip(f"{scheme} is not installed")
    with running(scheme) as database:
        database.stop()
        server = BlackBox(tmp_path, f"--datastore-endpoint={database.endpoint('kubernetes')}")
        starting = threading.Thread(target=start_when_it_waits, args=(database, server.log))
        starting.start()
        with server:
            starting.join()
            assert "waiting for the datastore" in server.log.read_text()
            server.until(lambda: create(server, "before"), what="a write")
            revision = server.request("GET", PATH)["metadata"]["resourceVersion"]
            connection, watch = server.stream(f"{PATH}?watch=true&resourceVersion={revision}", timeout_s=120)
            for how in (database.kill, database.stop):
                how()
                names = [
                    one["metadata"]["name"]
                    for one in server.request("GET", f"{PATH}?resourceVersion=0")["items"]
                ]
                assert "before" in names
                assert server.request("GET", f"{PATH}/before?resourceVersion=0")
                with pytest.raises(ApiError) as refused:
                    create(server, "meanwhile")
                assert refused.value.code in (500, 503, 504), refused.value
                assert "p@ss" not in str(refused.value)
                assert server.request("GET", "/livez/ping")
                time.sleep(1)
                database.start()
                server.until(
                    partial(create, server, f"after-{how.__name__}"),
                    limit_s=60,
                    what="a write after the outage",
                )
            seen = set()
            while not seen >= {"after-kill", "after-stop"}:
                seen.add(json.loads(watch.readline())["object"]["metadata"]["name"])
            connection.close()
            assert "p@ss" not in server.log.read_text()
