"""`--kube-scheduler-arg name=value`: flags of kube-scheduler that k3py honours; any other is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAG: Final = "--kube-scheduler-arg"


@dataclass(frozen=True, slots=True)
class SchedulerArguments:
    """config: a file with a KubeSchedulerConfiguration."""

    config: Path | None = None


def parse_scheduler_arguments(given: Sequence[str]) -> SchedulerArguments:
    """Read the arguments in order: of one that is given twice the last counts.

    Raises:
        ConfigError: an argument that k3py does not know, or no value.
    """
    config: Path | None = None
    for one in given:
        name, _, text = one.removeprefix("--").partition("=")
        if name != "config":
            raise ConfigError(
                f"{_FLAG}: {name!r}: k3py has no such argument of kube-scheduler; it has config"
            )
        if not text:
            raise ConfigError(f"{_FLAG}: config: must be config=FILE")
        config = Path(text).absolute()
    return SchedulerArguments(config)
