"""The stores that the suite of the seam `Store` runs on: the watch cache over the memory and the SQLite datastore."""

import pytest

from k3py.datastore.factory import open_backend
from k3py.storage.factory import open_storage
from tests.support.kinds import WIDGET


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request, tmp_path):
    if request.param == "sqlite" and request.node.get_closest_marker("looptime"):
        pytest.skip("virtual time and the database's thread do not go together")
    async with open_backend("memory://" if request.param == "memory" else "", data_dir=tmp_path) as backend:
        yield backend


@pytest.fixture
async def storage(backend):
    async with open_storage(backend, detect_mutations=True) as storage:
        yield storage


@pytest.fixture
async def store(storage):
    return await storage.store_for(WIDGET)
