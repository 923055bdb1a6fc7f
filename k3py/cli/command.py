"""The record of a subcommand; its module is imported only when it is called."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence


class Runner(Protocol):
    """What a command's module offers as `run`."""

    def __call__(self, arguments: Sequence[str]) -> int:
        """Do it; return the exit code. Raises K3pyError for what it can explain."""


@dataclass(frozen=True, slots=True)
class Command:
    """name: as typed; module: where its `run(arguments) -> int` is; help: one line."""

    name: str
    module: str
    help: str

    def load(self) -> Runner:
        """Import the module and return its `run`."""
        return cast("Runner", importlib.import_module(self.module).run)
