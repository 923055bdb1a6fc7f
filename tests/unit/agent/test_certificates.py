"""An agent's certificates: renewed when due, when the address changes and after a start without the server; nothing is lost while it is away."""

import asyncio

from k3py.agent import certificates
from k3py.agent.certificates import AgentCertificates
from k3py.agent.errors import ServerUnreachable
from k3py.agent.join import Joined
from k3py.cluster.server_list import ServerList
from k3py.network.own_address import OwnAddress
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf
from k3py.util.supervise import TaskScope

AUTHORITY, KEY = make_authority("client"), make_key()


class PlayedJoiner:
    """Writes a certificate of `days`; raises `faults` first."""

    def __init__(self, folder, days=365):
        self.folder = folder
        self.node_ip = ""
        self.days = days
        self.faults = []
        self.asked = asyncio.Queue()
        self.write()

    def write(self):
        leaf = LeafRequest(common_name="n", days=self.days)
        (self.folder / "client-kubelet.crt").write_bytes(sign_leaf(AUTHORITY, leaf, key=KEY))

    async def renew(self):
        self.asked.put_nowait(self.node_ip)
        if self.faults:
            raise self.faults.pop(0)
        self.write()
        return Joined(folder=self.folder, settings={}, servers=("192.0.2.9:6443",))


def component(joiner, own, folder, hook, *, at_once=False):
    servers = ServerList(folder / "servers.json", "https://192.0.2.1:6443")
    return AgentCertificates(joiner, folder, servers, own, at_once=at_once, hooks=[hook])


async def test_an_address_that_changes_is_put_into_new_certificates(tmp_path):
    joiner, taken = PlayedJoiner(tmp_path), asyncio.Queue()
    own = OwnAddress("192.0.2.1", lambda: "192.0.2.2")
    async with TaskScope() as scope, asyncio.timeout(30):
        _ = scope.spawn(component(joiner, own, tmp_path, lambda: taken.put_nowait(1)).run(lambda: None), name="c")
        for _ in range(5):
            await asyncio.sleep(0)
        assert joiner.asked.empty(), "nothing is due"
        await own.look()
        assert await joiner.asked.get() == "192.0.2.2"
        await taken.get()
        scope.cancel()


async def test_what_is_due_is_renewed_once_even_when_the_new_one_looks_old(tmp_path):
    joiner, taken = PlayedJoiner(tmp_path, days=100), asyncio.Queue()
    async with TaskScope() as scope, asyncio.timeout(30):
        _ = scope.spawn(component(joiner, OwnAddress("192.0.2.1"), tmp_path, lambda: taken.put_nowait(1)).run(lambda: None), name="c")
        await taken.get()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert joiner.asked.qsize() == 1
        scope.cancel()


async def test_after_a_start_without_the_server_it_is_asked_until_it_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "_FIRST_RETRY_S", 0.001)
    joiner, taken = PlayedJoiner(tmp_path), asyncio.Queue()
    joiner.faults = [ServerUnreachable("away"), ServerUnreachable("starting: 503")]
    async with TaskScope() as scope, asyncio.timeout(30):
        one = component(joiner, OwnAddress("192.0.2.1"), tmp_path, lambda: taken.put_nowait(1), at_once=True)
        _ = scope.spawn(one.run(lambda: None), name="c")
        await taken.get()
        assert joiner.asked.qsize() == 3
        scope.cancel()
