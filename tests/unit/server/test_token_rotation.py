"""Rotating the token, and being killed meanwhile."""

import pytest

from k3py.cluster.bootstrap_data.sealing import key_for
from k3py.cluster.bootstrap_data.sharing import find_keys
from k3py.cluster.token import read_password
from k3py.config.server import load_server_config
from k3py.datastore.factory import open_backend
from k3py.errors import K3pyError
from k3py.server.identity import prepare_identity
from k3py.server.shared_identity import share_identity
from k3py.server.token_rotation import TokenRotation


class Killed(BaseException):
    """Stands for kill -9."""


class Endpoint:
    def __init__(self):
        self.tokens = []

    def use_token(self, token):
        self.tokens.append(token)


@pytest.fixture
async def backend():
    async with open_backend("memory://") as opened:
        yield opened


def config_of(folder, token=""):
    return load_server_config([f"--data-dir={folder}", f"--token={token}", "--node-name=n"], {})


async def rotation_of(backend, folder):
    shared = await share_identity(config_of(folder), backend)
    rotation = TokenRotation(folder / "server", prepare_identity(config_of(folder), shared.password), shared)
    rotation.supervisor = Endpoint()
    return rotation, shared


async def test_everything_is_sealed_by_the_new_one_and_the_server_goes_on_with_it(backend, tmp_path):
    rotation, shared = await rotation_of(backend, tmp_path)
    token = await rotation.rotate("new-password")
    assert token.endswith("::server:new-password")
    assert read_password(tmp_path / "server") == shared.password == "new-password"
    assert await find_keys(backend) == {key_for("new-password")}
    assert rotation.supervisor.tokens == [token]
    assert not (tmp_path / "server/token.next").exists()
    await shared.change({"IPSECKey": b"1"}, {})
    assert (await share_identity(config_of(tmp_path), backend)).password == "new-password"


async def test_the_present_one_is_no_new_one(backend, tmp_path):
    rotation, shared = await rotation_of(backend, tmp_path)
    with pytest.raises(K3pyError, match="must differ"):
        await rotation.rotate(shared.password)
    assert await find_keys(backend) == {key_for(shared.password)}


@pytest.mark.parametrize("moved", [False, True])
async def test_killed_at_any_point_the_next_start_finds_out_which_token_counts(backend, tmp_path, monkeypatch, moved):
    rotation, shared = await rotation_of(backend, tmp_path)
    old, move = shared.password, type(shared).move

    async def killed(self, password):
        if moved:
            await move(self, password)
        raise Killed

    monkeypatch.setattr(type(shared), "move", killed)
    with pytest.raises(Killed):
        await rotation.rotate("new-password")
    assert read_password(tmp_path / "server") == old
    again = await share_identity(config_of(tmp_path), backend)
    assert again.password == read_password(tmp_path / "server") == ("new-password" if moved else old)
    assert not (tmp_path / "server/token.next").exists()
