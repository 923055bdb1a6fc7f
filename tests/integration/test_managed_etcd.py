"""Members of the managed etcd, as real processes: they join, are ended and begun again, removed and reset; without the rest of a server."""

import asyncio
import os
import shutil
import signal
from contextlib import AsyncExitStack

import pytest

from k3py.config.server import load_server_config
from k3py.datastore.errors import Compacted, NoSpace
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import DeleteOp
from k3py.datastore.snapshot.saving import SnapshotSettings, save_backend
from k3py.datastore.transfer.loading import MARGIN
from k3py.datastore.transfer.source import read_backend
from k3py.errors import K3pyError
from k3py.pki.layout import pki_paths
from k3py.pki.rotation import install_authorities, make_new_authorities
from k3py.server.etcd import joining
from k3py.server.etcd.layout import EtcdLayout, EtcdPorts
from k3py.server.etcd.membership import open_membership
from k3py.server.etcd.process import EtcdEnded, MemberRemoved, expect_others
from k3py.server.etcd.reset import forget_members, restore_member
from k3py.server.etcd.start import run_member
from tests.support.etcd import etcd_program, free_port
from tests.support.stores import fill_store, read_store

pytestmark = [
    pytest.mark.skipif(etcd_program() is None, reason="etcd is not installed (Debian: etcd-server)"),
    pytest.mark.timeout(180),
]


@pytest.fixture(autouse=True)
def program(monkeypatch):
    """Use the etcd of the tests."""
    if etcd_program():
        monkeypatch.setenv("PATH", f"{os.path.dirname(etcd_program())}:{os.environ['PATH']}")


class Machine:
    """One server's data dir and ports."""

    def __init__(self, folder, name, *flags):
        (folder / "config.yaml").touch()
        own = (f"--data-dir={folder / name}", f"--config={folder}/config.yaml", f"--node-name={name}")
        self.config = load_server_config([*own, "--bind-address=127.0.0.1", "--node-ip=127.0.0.1", "--cluster-init", *FAST, *flags], {})
        ports = EtcdPorts(client=free_port(), peer=free_port(), metrics=free_port())
        self.layout = EtcdLayout(data_dir=folder / name, ports=ports)

    def run(self):
        return run_member(self.config, self.layout)

    def open(self):
        return open_backend(self.layout.endpoint, history_s=None, tls=self.layout.tls_files)

    async def members(self):
        async with open_membership(self.layout) as membership:
            return await membership.members()


FAST = ("--etcd-arg=heartbeat-interval=50", "--etcd-arg=election-timeout=500")


@pytest.fixture
def joins(monkeypatch):
    """Let a machine join another one without its API: share the authorities, answer /db/info."""

    def make(folder, name, other):
        machine = Machine(folder, name, f"--server=https://{other.config.node_name}:6443", "--token=t")
        shutil.copytree(other.layout.tls, machine.layout.tls, ignore=shutil.ignore_patterns("*client*"))

        async def ask(config):
            return await other.members()

        monkeypatch.setattr(joining, "_ask_patiently", ask)
        return machine

    return make


async def read_all(backend):
    digest = {}
    async for page in (await read_backend(backend)).pages():
        digest |= {kv.key: kv.value for kv in page}
    return digest


async def until(condition):
    async with asyncio.timeout(60):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


def pid_of(machine):
    return int(machine.layout.pid_file.read_text())


async def test_a_killed_etcd_is_started_again_and_has_everything(tmp_path):
    one = Machine(tmp_path, "n1")
    async with one.run(), one.open() as backend:
        await backend.create(b"a", b"1")
        first = pid_of(one)
        os.kill(first, signal.SIGKILL)

        async def written():
            try:
                return await backend.create(b"b", b"2")
            except K3pyError:
                return None

        await until(written)
        assert pid_of(one) != first
        assert (await backend.range(b"a")).kvs[0].value == b"1"
    assert not one.layout.pid_file.exists()
    async with one.run(), one.open() as backend:
        assert (await backend.range(b"b")).kvs[0].value == b"2"
    assert [file.stat().st_mode & 0o777 for file in (one.layout.folder, one.layout.config_file)] == [0o700, 0o600]


async def test_a_single_member_slows_down_before_another_joins(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.integration.test_managed_etcd.FAST", ())
    one = Machine(tmp_path, "n1")
    async with one.run(), one.open() as backend:
        await backend.create(b"a", b"1")
        first = pid_of(one)
        assert expect_others(one.layout)
        assert not expect_others(one.layout)

        async def again():
            return one.layout.pid_file.exists() and pid_of(one) != first and await read(backend, b"a")

        assert await until(again) == b"1"
        assert b'"election-timeout": 3000' in one.layout.config_file.read_bytes()


async def read(backend, key):
    try:
        return (await backend.range(key)).kvs[0].value
    except K3pyError:
        return None


async def test_nobody_gets_in_without_a_certificate_of_its_authority(tmp_path):
    one, stranger = Machine(tmp_path, "n1"), Machine(tmp_path, "n2")
    async with one.run():
        async with stranger.run():
            pass
        files = stranger.layout.tls_files
        with pytest.raises(K3pyError):
            async with open_backend(one.layout.endpoint, history_s=None, tls=files) as backend:
                await backend.range(b"a")


async def test_what_is_wrong_at_the_start_is_told(tmp_path):
    one = Machine(tmp_path, "n1", "--etcd-arg=snapshot-count=nonsense")
    with pytest.raises(EtcdEnded, match=r"(?s)see .*etcd\.log: .*snapshot-count"):
        async with one.run():
            pass


async def test_a_port_that_is_taken_is_named(tmp_path):
    one, two = Machine(tmp_path, "n1"), Machine(tmp_path, "n2")
    two.layout = EtcdLayout(data_dir=tmp_path / "n2", ports=one.layout.ports)
    async with one.run():
        with pytest.raises(EtcdEnded, match=f"cannot listen on {one.layout.ports.client}.*systemctl disable --now etcd"):
            async with two.run():
                pass


async def test_a_server_joins_gets_a_vote_and_leaves(tmp_path, joins):
    one = Machine(tmp_path, "n1")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(one.run())
        async with one.open() as backend:
            await backend.create(b"a", b"1")
        two = joins(tmp_path, "n2", one)

        async def live():
            async with two.run(), two.open() as backend:
                assert (await backend.range(b"a")).kvs[0].value == b"1"
                running.set()
                await asyncio.Event().wait()

        running = asyncio.Event()
        task = asyncio.get_running_loop().create_task(live())
        async with asyncio.timeout(90):
            await running.wait()
        members = await one.members()
        assert [(name[:3], learner) for name, learner in sorted((m.name, m.is_learner) for m in members)] == [("n1-", False), ("n2-", False)]
        (own,) = [m for m in members if m.name.startswith("n2-")]

        async def removed():
            try:
                async with open_membership(one.layout) as membership:
                    await membership.remove(own.id)
            except K3pyError:  # "unhealthy cluster", for the first seconds
                return False
            return True

        await until(removed)
        async with asyncio.timeout(60):
            with pytest.raises(MemberRemoved, match="--server URL"):
                await task
        assert two.layout.tombstone.exists()
        async with one.open() as backend:  # the one that stays goes on alone
            assert await backend.create(b"b", b"2")
        async with two.run(), two.open() as backend:  # and the other joins again
            assert (await backend.range(b"b")).kvs[0].value == b"2"
        assert len(list(two.layout.folder.parent.glob("etcd-old-*"))) == 1


async def test_a_reset_makes_a_member_the_only_one(tmp_path, joins):
    one = Machine(tmp_path, "n1")
    async with one.run():
        two = joins(tmp_path, "n2", one)
        async with two.run(), two.open() as backend:
            await backend.create(b"a", b"1")
    # Of two members one is gone for good: there is no majority any more.
    await forget_members(two.config, two.layout)
    async with two.run(), two.open() as backend:
        assert [m.name[:3] for m in await two.members()] == ["n2-"]
        assert (await backend.range(b"a")).kvs[0].value == b"1"
        assert await backend.create(b"b", b"2")
    with pytest.raises(K3pyError, match="there is no member"):
        await forget_members(one.config, EtcdLayout(data_dir=tmp_path / "n9"))


async def test_sqlite_moves_in_whole_also_when_the_first_try_is_killed(tmp_path):
    one = Machine(tmp_path, "n1")
    database = tmp_path / "n1/server/db/state.db"
    content = await fill_store(database)
    async with open_backend(f"sqlite://{database}") as backend:
        revision = backend.current_revision
    async with Machine(tmp_path, "n2").run():
        pass
    # A start that was killed halfway left data, and the mark.
    shutil.copytree(tmp_path / "n2/server/db/etcd", one.layout.folder)
    one.layout.name_file.unlink()
    one.layout.migration_mark.touch()
    async with one.run(), one.open() as backend:
        assert await read_all(backend) == content
        # Whoever comes with a revision of before is told to read again, and never meets another object of that number.
        assert backend.current_revision > revision + MARGIN
        with pytest.raises(Compacted):
            await backend.range(b"/", revision=revision)
    assert not database.exists()
    assert await read_store(tmp_path / "n1/server/db/state.db.migrated") == content
    async with one.run(), one.open() as backend:
        assert await read_all(backend) == content
        assert backend.current_revision > revision + MARGIN


async def test_a_snapshot_is_restored_and_a_damaged_one_changes_nothing(tmp_path):
    one = Machine(tmp_path, "n1", "--token=secret")
    settings = SnapshotSettings(folder=tmp_path / "s", name="n", node_name="m")
    async with one.run(), one.open() as backend:
        await backend.create(b"a", b"1")
        made = await save_backend(settings, backend)
        later = await backend.create(b"later", b"2")
    damaged = tmp_path / "s/damaged-n-123456789.gz"
    damaged.write_bytes(made.path.read_bytes()[:-40])
    with pytest.raises(K3pyError, match="damaged"):
        await restore_member(one.config, one.layout, damaged)
    async with one.run(), one.open() as backend:
        assert (await backend.range(b"later")).count == 1
    restored, kept = await restore_member(one.config, one.layout, made.path)
    assert (restored.count, kept.is_dir()) == (1, True)
    async with one.run(), one.open() as backend:
        (row,) = (await backend.range(b"a")).kvs
        assert (await backend.range(b"later")).count == 0
        assert row.mod_revision > later + MARGIN - 100
        # Revisions go on behind those of before, for all that is done with them.
        first, _ = await backend.update(b"a", b"2", expected=row.mod_revision)
        revision, _ = await backend.update(b"a", b"3", expected=first)
        assert row.mod_revision < first < revision
        assert await backend.update(b"a", b"4", expected=first) == (None, (await backend.range(b"a")).kvs[0])
        assert (await backend.range(b"a", revision=first)).kvs[0].value == b"2"
        async with backend.watch(b"a", after=first) as watch:
            (event,) = (await anext(watch)).events
            assert (event.kv.mod_revision, event.previous.mod_revision) == (revision, first)
        async with backend.watch(b"a", after=later) as watch:
            with pytest.raises(Compacted):
                await anext(watch)
        await backend.compact(revision)
        with pytest.raises(Compacted) as caught:
            await backend.range(b"a", revision=first)
        assert caught.value.compact_revision == revision
        assert (await backend.status()).compact_revision == revision
    one.layout.restore_mark.touch()
    with pytest.raises(K3pyError, match="restoring a snapshot did not finish"):
        async with one.run():
            pass


async def write_all(backend, keys):
    for key in keys:
        await backend.create(key, os.urandom(1 << 18))


async def test_a_full_etcd_is_made_room_in_at_its_next_start(tmp_path):
    quota = Machine(tmp_path, "n1", f"--etcd-arg=quota-backend-bytes={4 << 20}", "--etcd-arg=backend-batch-limit=10")
    keys = [b"/%d" % number for number in range(60)]
    async with quota.run(), quota.open() as backend:
        with pytest.raises(NoSpace):
            await write_all(backend, keys)
        async with open_membership(quota.layout) as membership:
            assert [alarm["alarm"] for alarm in await membership.alarms()] == ["NOSPACE"]
        await backend.txn((), tuple(DeleteOp(key) for key in keys))
        await backend.compact(backend.current_revision, physical=True)
        full = (await backend.status()).size_bytes
        with pytest.raises(NoSpace):
            await backend.create(b"/more", b"")
    async with quota.run(), quota.open() as backend:
        assert await backend.create(b"/more", b"")
        assert (await backend.status()).size_bytes < full / 4


async def test_the_others_are_told_of_a_changed_address(tmp_path):
    one = Machine(tmp_path, "n1")
    async with one.run(), one.open() as backend:
        await backend.create(b"a", b"1")
    one.layout = EtcdLayout(data_dir=one.layout.data_dir, ports=EtcdPorts(client=free_port(), peer=free_port(), metrics=free_port()))
    async with one.run(), one.open() as backend:
        (member,) = await one.members()
        assert member.peer_urls == (f"https://127.0.0.1:{one.layout.ports.peer}",)
        assert (await backend.range(b"a")).count == 1


async def test_authorities_are_replaced_one_server_after_the_other(tmp_path, joins):
    one = Machine(tmp_path, "n1")
    async with one.run():
        two = joins(tmp_path, "n2", one)
        async with two.run(), two.open() as backend:
            await backend.create(b"a", b"1")
    paths = pki_paths(one.layout.data_dir)
    new = make_new_authorities(paths, afresh=False)
    install_authorities(paths, new)
    async with asyncio.TaskGroup() as group:  # the first has the new ones, the second not yet
        ready = asyncio.Barrier(2)

        async def live(machine):
            async with machine.run(), machine.open() as backend:
                await ready.wait()
                assert await backend.create(machine.config.node_name.encode(), b"")
                await ready.wait()

        for machine in (one, two):
            group.create_task(live(machine))
