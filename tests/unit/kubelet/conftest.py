"""What tests of the kubelet share."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def short_path():
    """A temporary folder whose sockets' paths fit into 108 characters, whatever the test's name."""
    with TemporaryDirectory(prefix="k3py-") as folder:
        yield Path(folder)
