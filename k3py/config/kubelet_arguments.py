"""`--kubelet-arg name=value`: flags of the kubelet; which ones k3py honours the kubelet says when it reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FLAG: Final = "--kubelet-arg"


@dataclass(frozen=True, slots=True)
class KubeletArguments:
    """config: a file with a KubeletConfiguration. config_dir: a folder with parts of such. flags: the others, by name."""

    config: Path | None = None
    config_dir: Path | None = None
    flags: Mapping[str, str] = field(default_factory=dict)


def parse_kubelet_arguments(given: Sequence[str]) -> KubeletArguments:
    """Read the arguments in order: of one that is given twice the last counts. Raises ConfigError: no value."""
    flags: dict[str, str] = {}
    for one in given:
        name, separator, text = one.removeprefix("--").partition("=")
        if not separator or not name or not text:
            raise ConfigError(f"{FLAG}: {one!r}: must be name=value")
        flags[name] = text
    config, folder = flags.pop("config", ""), flags.pop("config-dir", "")
    return KubeletArguments(
        Path(config).absolute() if config else None, Path(folder).absolute() if folder else None, flags
    )
