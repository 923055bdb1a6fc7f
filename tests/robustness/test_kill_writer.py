"""Slices of `kill_writer`: a writer process is killed at random moments, and whatever it acknowledged is there (223, 299)."""

from __future__ import annotations

import os
import random

import pytest

from k3py.datastore.durability import Durability
from tests.robustness.kill_writer import kill_again_and_again


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("durability", "kills"), [(Durability.DURABLE, 30), (Durability.BALANCED, 10), (Durability.FLASH, 10)]
)
def test_nothing_acknowledged_is_lost_and_revisions_stay_dense(tmp_path, durability, kills):
    seed = int(os.environ.get("K3PY_SEED", "0")) or random.randrange(1, 1 << 32)
    print(f"K3PY_SEED={seed}")
    total, revision = kill_again_and_again(tmp_path / "state.db", kills, seed, durability)
    print(f"{total} acknowledged writes, revision {revision}")
