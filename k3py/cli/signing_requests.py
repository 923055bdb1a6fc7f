"""`k3py signing-requests`: makes keys and signing requests for an agent; asked by k3py itself, on its standard input."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Answer one question (k3py.pki.signing_requests). Raises ConfigError."""
    if arguments:
        raise ConfigError("signing-requests: takes no arguments; k3py itself runs it")
    from k3py.pki.signing_requests import answer  # noqa: PLC0415 - as all commands

    sys.stdout.buffer.write(answer(sys.stdin.buffer.read()))
    return 0
