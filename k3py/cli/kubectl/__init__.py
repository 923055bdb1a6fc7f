"""`k3py kubectl`: the kubectl on the PATH with the administrator's kubeconfig, else a small built-in one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.cli.admin_client import KUBECONFIG, kubeconfig_path
from k3py.cli.execute import execute

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Run kubectl with `arguments`; KUBECONFIG, when set, wins over the administrator's file (C-03).

    Raises:
        K3pyError: what the built-in one cannot do.
    """
    environment = {"KUBECONFIG": str(KUBECONFIG), **os.environ}
    found = _find_kubectl()
    if found is not None:
        execute(found, ["kubectl", *arguments], environment)

    import asyncio  # noqa: PLC0415 - not needed to start another program

    from k3py.cli.kubectl.command_line import run_builtin  # noqa: PLC0415 - the same

    return asyncio.run(run_builtin(arguments, kubeconfig_path()))


def _find_kubectl() -> str | None:
    """Return a kubectl on the PATH that is not a link to k3py itself."""
    ours = {Path(one).resolve() for one in (shutil.which("k3py"), os.environ.get("K3PY_FILE")) if one}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = shutil.which("kubectl", path=folder)
        if candidate is not None and Path(candidate).resolve() not in ours:
            return candidate
    return None
