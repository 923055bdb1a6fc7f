"""`k3py agent`: reads the configuration and runs the agent until it is told to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.config.agent import load_agent_config
from k3py.util.garbage import search_rarely
from k3py.util.log import set_up_logging

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Run `k3py agent`; returns 0 after an orderly stop.

    Raises:
        K3pyError: with the exit code of what went wrong.
    """
    config = load_agent_config(arguments)
    set_up_logging(debug=config.debug, file=Path(config.log) if config.log else None)

    search_rarely()
    import uvloop  # noqa: PLC0415 - `--help` and usage errors need not wait for it

    from k3py.agent.agent import run_agent  # noqa: PLC0415 - the same

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run_agent(config))
