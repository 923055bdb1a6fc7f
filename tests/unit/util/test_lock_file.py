"""One holder at a time, named to the others, gone with its process."""

import os
import subprocess
import sys

import pytest

from k3py.util.lock_file import AlreadyLocked, FileLock


def test_a_second_holder_is_told_the_first(tmp_path):
    path = tmp_path / "lock"
    with FileLock.acquire(path):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(AlreadyLocked) as caught:
            FileLock.acquire(path)
        assert caught.value.pid == os.getpid()
    FileLock.acquire(path).release()


def test_the_lock_ends_with_its_process_and_children_do_not_keep_it(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import os, subprocess, sys; from pathlib import Path; from k3py.util.lock_file import FileLock;"
        "lock = FileLock.acquire(Path(sys.argv[1]));"
        "child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); print(child.pid, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    try:
        FileLock.acquire(path).release()
    finally:
        os.kill(int(done.stdout), 9)
