"""kill -9 while the datastore is brought to a newer schema, and the way back to the version before, by the command that the refusal names."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from k3py.datastore.factory import open_backend
from k3py.datastore.sql import migrations
from k3py.datastore.sql.sqlite.migration import copy_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
KEYS = 400

# A k3py whose schema is one version ahead, and whose upgrade takes its time.
NEWER = """
import asyncio, sys
from pathlib import Path
from k3py.datastore.factory import open_backend
from k3py.datastore.sql import migrations

script = migrations.script
slow = "CREATE TABLE added AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i FROM n"
migrations.SQLITE = (*migrations.SQLITE, "sqlite/next.sql")
migrations.script = lambda name: slow if name == "sqlite/next.sql" else script(name)

async def main():
    print("begun", flush=True)
    async with open_backend("", data_dir=Path(sys.argv[1]) / "server") as backend:
        print("open", (await backend.range(b"/", b"0", count_only=True)).count, flush=True)

asyncio.run(main())
"""


def upgrade(data_dir, *, kill_after_s=None):
    """Open the store with the newer k3py; return what it printed."""
    process = subprocess.Popen([sys.executable, "-c", NEWER, str(data_dir)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    if kill_after_s is not None:
        try:
            process.wait(kill_after_s)
        except subprocess.TimeoutExpired:
            process.kill()
    with process.stdout:
        text = process.stdout.read()
    process.wait(60)
    return text


async def fill(data_dir):
    async with open_backend("", data_dir=data_dir / "server") as backend:
        for number in range(KEYS):
            await backend.create(b"/key/%d" % number, b"value" * 50)


def version_of(database):
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("PRAGMA user_version").fetchone()[0]


async def test_killed_at_any_moment_the_database_is_of_the_old_or_the_new_version_and_whole(tmp_path):
    database = tmp_path / "server/db/state.db"
    await fill(tmp_path)
    present = len(migrations.SQLITE)
    chance = random.Random(7)
    for _ in range(12):
        upgrade(tmp_path, kill_after_s=chance.uniform(0.0, 0.4))
        found = version_of(database)
        assert found in (present, present + 1)
        if found == present + 1:
            assert copy_of(database, present).exists()
            break
        async with open_backend("", data_dir=tmp_path / "server") as backend:
            assert (await backend.range(b"/key/", b"/key0", count_only=True)).count == KEYS
    assert f"open {KEYS}" in upgrade(tmp_path)


async def test_the_refusal_of_a_newer_database_names_a_command_that_leads_back(tmp_path):
    await fill(tmp_path)
    assert f"open {KEYS}" in upgrade(tmp_path)
    server = [sys.executable, "-m", "k3py", "server", "--disable-agent", f"--data-dir={tmp_path}", "--node-ip=192.0.2.1"]
    server += [f"--write-kubeconfig={tmp_path.parent}/kubeconfig-{tmp_path.name}"]
    refused = subprocess.run(server, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0
    told = re.search(r"k3py server (--cluster-reset --cluster-reset-restore-path=(\S+))", refused.stderr)
    assert told, refused.stderr
    assert Path(told[2]).exists()
    done = subprocess.run([*server, *told[1].split()], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    async with open_backend("", data_dir=tmp_path / "server") as backend:
        assert (await backend.range(b"/key/", b"/key0", count_only=True)).count == KEYS
