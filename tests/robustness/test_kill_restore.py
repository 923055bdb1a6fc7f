"""Restores and imports are killed at random moments: the store is the old or the new one, or says that it is unfinished.

K3PY_KILLS=200 for the long run, K3PY_SEED to repeat one.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time

import pytest

from k3py.cli.main import run
from k3py.datastore.errors import Incomplete
from k3py.datastore.factory import open_backend
from k3py.datastore.snapshot.saving import SnapshotSettings, save_backend, save_database
from tests.support.stores import fill_store, read_store

ROUNDS = int(os.environ.get("K3PY_KILLS", "12"))
SEED = int(os.environ.get("K3PY_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def run_and_kill(arguments, delay_s):
    """Run a command in a forked process and kill it after `delay_s`; return whether it was killed."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(run(["k3py", *arguments]))
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def time_of(arguments):
    """Run a command to its end; return how long it took."""
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(run(["k3py", *arguments]))
    _, status = os.waitpid(child, 0)
    assert status == 0
    return time.monotonic() - begin


@pytest.fixture
def chance():
    print(f"K3PY_SEED={SEED}")
    return random.Random(SEED)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["copy", "dump"])
def test_a_killed_restore_leaves_the_old_store_or_the_new_one(tmp_path, monkeypatch, chance, kind):
    config = tmp_path / "config.yaml"
    config.touch()
    monkeypatch.setenv("K3PY_CONFIG_FILE", str(config))
    settings = SnapshotSettings(folder=tmp_path / "s", name="n", node_name="m")
    new = asyncio.run(fill_store(tmp_path / "new.db", 1500))

    async def save():
        if kind == "copy":
            return await save_database(settings, tmp_path / "new.db")
        async with open_backend(f"sqlite://{tmp_path}/new.db") as backend:
            return await save_backend(settings, backend)

    made = asyncio.run(save())
    old = asyncio.run(fill_store(tmp_path / "old.db", 700))

    def arguments(folder):
        return [
            "server", "--disable-agent", f"--data-dir={folder}", "--cluster-reset", f"--cluster-reset-restore-path={made.path}",
        ]  # fmt: skip

    def prepare(number):
        database = tmp_path / f"data-{number}/server/db/state.db"
        database.parent.mkdir(parents=True)
        shutil.copy(tmp_path / "old.db", database)
        return database

    whole_s = time_of(arguments(prepare("whole").parents[2]))
    seen = set()
    for number in range(ROUNDS):
        database = prepare(number)
        run_and_kill(arguments(database.parents[2]), chance.uniform(whole_s / 5, whole_s * 1.05))
        found = asyncio.run(read_store(database))
        assert found in (old, new)
        seen.add(len(found))
        # What a kill left in the way does not matter to the next try.
        (database.parent / "reset-flag").unlink(missing_ok=True)
        if number % 4 == 0:
            time_of(arguments(database.parents[2]))
            assert asyncio.run(read_store(database)) == new
            assert not list(database.parent.glob("*restor*"))
        shutil.rmtree(database.parents[2])
    assert len(old) in seen


@pytest.mark.timeout(600)
def test_a_killed_import_is_empty_whole_or_refused_until_it_is_repeated(tmp_path, monkeypatch, chance):
    config = tmp_path / "config.yaml"
    config.touch()
    monkeypatch.setenv("K3PY_CONFIG_FILE", str(config))
    content = asyncio.run(fill_store(tmp_path / "a.db", 2000))
    assert (
        run(
            [
                "k3py",
                "datastore",
                "export",
                str(tmp_path / "dump"),
                f"--datastore-endpoint=sqlite://{tmp_path}/a.db",
            ]
        )
        == 0
    )

    def arguments(name, *more):
        return [
            "datastore",
            "import",
            str(tmp_path / "dump"),
            f"--datastore-endpoint=sqlite://{tmp_path}/{name}.db",
            *more,
        ]

    whole_s = time_of(arguments("whole"))
    refused = 0
    for number in range(ROUNDS):
        run_and_kill(arguments(number), chance.uniform(whole_s / 5, whole_s))
        try:
            found = asyncio.run(read_store(tmp_path / f"{number}.db"))
            assert found in ({}, content)
        except Incomplete:
            refused += 1
            found = {}
            if number % 3 == 0:
                assert time_of(arguments(number, "--force")) > 0
                assert asyncio.run(read_store(tmp_path / f"{number}.db")) == content
    assert refused > 0, "no kill hit the import: nothing was tested"
