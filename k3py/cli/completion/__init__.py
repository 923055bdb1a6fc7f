"""`k3py completion bash|zsh|fish`: a script that completes k3py's commands and flags.

bash:  k3py completion bash >/etc/bash_completion.d/k3py        (or: source <(k3py completion bash))
zsh:   k3py completion zsh >"${fpath[1]}/_k3py"
fish:  k3py completion fish >~/.config/fish/completions/k3py.fish
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from k3py.cli.completion import scripts
from k3py.cli.completion.words import describe
from k3py.cli.server_values import CommandParser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.cli.completion.words import Word

_PROG: Final = "k3py completion"
_SHELLS: Final[dict[str, Callable[[Sequence[Word]], str]]] = {
    "bash": scripts.bash,
    "zsh": scripts.zsh,
    "fish": scripts.fish,
}


def run(arguments: Sequence[str]) -> int:
    """Print the script; returns 0.

    Raises:
        ConfigError: the command line cannot be used.
    """
    parser = CommandParser(_PROG, __doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=tuple(_SHELLS))
    parsed = parser.parse_args(arguments)

    from k3py.cli.main import COMMANDS  # noqa: PLC0415 - it names this module

    print(_SHELLS[parsed.shell](describe(COMMANDS)), end="")
    return 0
