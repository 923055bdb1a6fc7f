"""Endpoints lead to drivers; wrong ones say what is allowed."""

import pytest

from k3py.datastore.factory import open_backend
from k3py.errors import ConfigError


async def test_no_endpoint_is_sqlite_in_the_data_directory(tmp_path):
    async with open_backend("", data_dir=tmp_path) as backend:
        assert (await backend.status()).driver == "sqlite"
    assert (tmp_path / "db" / "state.db").exists()


async def test_a_path_may_hold_any_character(tmp_path):
    async with open_backend(f"sqlite://{tmp_path}/with%20space%3F.db"):
        pass
    assert (tmp_path / "with space?.db").exists()


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("", "no data directory"),
        ("oracle://x", "scheme 'oracle': must be sqlite:///path"),
        ("sqlite://relative", "absolute"),
        ("sqlite:///path?mode=ro", "absolute"),
        ("sqlite://", "absolute"),
    ],
)
async def test_a_wrong_endpoint_is_a_configuration_error(endpoint, message):
    with pytest.raises(ConfigError, match=message):
        async with open_backend(endpoint):
            pass
