"""Hands the terminal over to another program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Never

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def execute(program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Never:
    """Replace this process by `program`; `arguments` begin with its name.

    Raises:
        K3pyError: it cannot be started.
    """
    try:
        os.execve(program, list(arguments), dict(environment))  # noqa: S606 - no shell is involved
    except OSError as error:
        raise K3pyError(f"{program}: cannot be started: {error.strerror}") from error
