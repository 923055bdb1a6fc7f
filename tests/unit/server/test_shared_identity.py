"""Which token counts, and whether files change under another server's hands."""

import pytest

from k3py.cluster.token import read_password
from k3py.config.server import load_server_config
from k3py.datastore.factory import open_backend
from k3py.errors import ConfigError
from k3py.server.shared_identity import ChangedElsewhere, share_identity


@pytest.fixture
async def backend():
    async with open_backend("memory://") as opened:
        yield opened


def config_of(folder, token=""):
    return load_server_config([f"--data-dir={folder}", f"--token={token}", "--node-name=n"], {})


async def test_a_token_is_made_once_and_is_on_the_disk_before_it_seals(backend, tmp_path):
    first = await share_identity(config_of(tmp_path), backend)
    assert first.password == read_password(tmp_path / "server") != ""
    assert (await share_identity(config_of(tmp_path), backend)).password == first.password


async def test_another_token_for_the_same_data_dir_is_refused_without_showing_either(backend, tmp_path):
    await share_identity(config_of(tmp_path, "rightful"), backend)
    with pytest.raises(ConfigError, match="--token: differs") as caught:
        await share_identity(config_of(tmp_path, "wrongful"), backend)
    assert "rightful" not in str(caught.value)
    assert "wrongful" not in str(caught.value)


async def test_a_token_that_another_server_rotated_takes_the_place_of_the_old_one(backend, tmp_path):
    shared = await share_identity(config_of(tmp_path, "old"), backend)
    await shared.store.move("new")
    assert (await share_identity(config_of(tmp_path, "new"), backend)).password == "new"
    assert read_password(tmp_path / "server") == "new"


async def test_without_a_token_nobody_joins_a_datastore(backend, tmp_path):
    await share_identity(config_of(tmp_path / "a"), backend)
    with pytest.raises(ConfigError, match="--token: must be given"):
        await share_identity(config_of(tmp_path / "b"), backend)


async def test_a_file_that_another_server_changed_is_not_overwritten(backend, tmp_path):
    shared = await share_identity(config_of(tmp_path), backend)
    await shared.change({"EncryptionConfig": b"1"}, {})
    await shared.change({"EncryptionConfig": b"2"}, {"EncryptionConfig": b"1"})
    with pytest.raises(ChangedElsewhere):
        await shared.change({"EncryptionConfig": b"3"}, {"EncryptionConfig": b"1"})
    assert (await shared.store.read()).files["EncryptionConfig"].content == b"2"
