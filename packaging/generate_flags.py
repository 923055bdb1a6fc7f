#!/usr/bin/env python3
"""Write docs/flags.md, made of the table of flags: packaging/generate_flags.py >docs/flags.md.

tests/unit/packaging/test_generate_flags.py fails while the page says something else than the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from k3py.config.options import NOT_YET, OPTIONS

HEAD = """\
# Flags of server and agent

<!-- Made by packaging/generate_flags.py from k3py/config/options; change it there. -->

A flag is also a key of the configuration files (`/etc/k3py/config.yaml`, then `/etc/k3py/config.yaml.d/*.yaml`), without its dashes. Where a
variable of the environment is named, it says the same. Flags win over the environment, the environment over files.

"Server" and "agent" say which command takes the flag. A flag marked *alike* must be the same on every server. An unknown flag or key is refused.

`k3py server --help` and `k3py agent --help` print the same table.
"""


def escape(text: str) -> str:
    """Return a text that a cell of a Markdown table shows as it is."""
    for character in "\\|*_<>[]":
        text = text.replace(character, f"\\{character}")
    return text


def flags_page() -> str:
    """Return the page."""
    lines = [HEAD]
    for theme in dict.fromkeys(one.theme for one in OPTIONS):
        lines += [f"## {theme}", "", "| flag | value | default | for | environment | what it does |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        lines += [_row(one) for one in OPTIONS if one.theme == theme]
        lines += [""]
    lines += ["## Flags of K3s that are refused", "", "| flag, and what begins with it and a dash | why |", "| --- | --- |"]
    lines += [f"| `--{name}` | {escape(why)} |" for name, why in NOT_YET.items()]
    return "\n".join(lines) + "\n"


def _row(option) -> str:  # noqa: ANN001
    flag = f"`--{option.name}`" + (f", `-{option.short}`" if option.short else "")
    default = f"`{option.default}`" if option.default else ""
    env = f"`{option.env}`" if option.env else ""
    text = escape(option.help) + (" *alike*" if option.critical else "")
    return f"| {flag} | {option.value_type} | {default} | {', '.join(option.roles)} | {env} | {text} |"


if __name__ == "__main__":
    print(flags_page(), end="")
