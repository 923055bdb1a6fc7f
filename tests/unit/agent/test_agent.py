"""What an agent loads: memory is its budget, and some libraries are for servers alone."""

import subprocess
import sys

from k3py.agent import agent
from k3py.agent.agent import _join
from k3py.agent.errors import ServerUnreachable
from k3py.agent.join import SETTINGS_FILE, Joined
from k3py.cluster.server_list import ServerList

SCRIPT = """
import sys
import k3py.agent.agent
import k3py.kubelet.server.app
found = {"cryptography", "sqlite3", "yaml", "k3py.apiserver.app", "k3py.storage.watch_cache"} & sys.modules.keys()
print(sorted(found))
"""


def test_an_agent_loads_no_library_that_it_seldom_needs():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


class PlayedJoiner:
    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)

    async def join(self):
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_one_that_has_joined_goes_on_when_the_server_is_away_or_starting(tmp_path):
    servers = ServerList(tmp_path / "servers.json", "https://192.0.2.1:6443")
    (tmp_path / "etc").mkdir()
    (tmp_path / SETTINGS_FILE).write_bytes(b'{"clusterCIDR": "10.42.0.0/16"}')
    joined = await _join(PlayedJoiner(ServerUnreachable("503: the server is starting")), servers, tmp_path)
    assert (joined.is_remembered, joined.settings) == (True, {"clusterCIDR": "10.42.0.0/16"})


async def test_one_that_has_not_joined_waits_and_learns_of_all_servers(tmp_path, monkeypatch):
    monkeypatch.setattr(agent, "_FIRST_RETRY_S", 0.001)
    servers = ServerList(tmp_path / "servers.json", "https://192.0.2.1:6443")
    outcome = Joined(folder=tmp_path, settings={}, servers=("192.0.2.2:6443",))
    joined = await _join(PlayedJoiner(ServerUnreachable("refused"), outcome), servers, tmp_path)
    assert joined is outcome
    assert servers.learned == ("192.0.2.2:6443",)
