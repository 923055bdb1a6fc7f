"""`k3py ctr …`: containerd's own client, pointed at k3py's containerd and the images that pods see (C-05)."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from k3py.cli.execute import execute
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence

SOCKET: Final = "/run/k3py/containerd/containerd.sock"


def run(arguments: Sequence[str]) -> int:
    """Replace this process by `ctr`; CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE win over the defaults.

    Raises:
        K3pyError: ctr is not installed.
    """
    program = shutil.which("ctr")
    if program is None:
        raise K3pyError("ctr is not on the PATH: install the package containerd")
    environment = {"CONTAINERD_ADDRESS": SOCKET, "CONTAINERD_NAMESPACE": "k8s.io", **os.environ}
    return execute(program, ["ctr", *arguments], environment)
