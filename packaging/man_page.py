#!/usr/bin/env python3
"""Print k3py's manual page, k3py.8, made of the tables of commands and flags: packaging/man_page.py >k3py.8."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from k3py.cli.main import COMMANDS
from k3py.config.options import OPTIONS
from k3py.version import VERSION


def escape(text: str) -> str:
    """Return a text that roff prints as it is."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("…", "...")


def man_page() -> str:
    """Return the page."""
    lines = [
        f'.TH K3PY 8 "" "k3py {VERSION}" "System Administration"',
        ".SH NAME",
        "k3py \\- Kubernetes in one process",
        ".SH SYNOPSIS",
        ".B k3py",
        ".I COMMAND",
        "[flags]",
        ".SH DESCRIPTION",
        "Runs a Kubernetes server and node, or a node that joins a server, and the tools to operate them.",
        ".SH COMMANDS",
    ]
    for command in COMMANDS:
        lines += [".TP", f".B {escape(command.name)}", escape(command.help)]
    lines += [
        ".SH FLAGS OF SERVER AND AGENT",
        "Each flag is also a key of the configuration files, without its dashes; where a variable of the environment is named, it says the same.",
        "Flags win over the environment, the environment over files.",
    ]
    for theme in dict.fromkeys(one.theme for one in OPTIONS):
        lines.append(f".SS {escape(theme)}")
        for option in OPTIONS:
            if option.theme == theme:
                lines += [".TP", *_option(option)]
    lines += [
        ".SH FILES",
        ".TP",
        ".I /etc/k3py/config.yaml, /etc/k3py/config.yaml.d/*.yaml",
        "flags as YAML",
        ".TP",
        ".I /etc/k3py/k3py.yaml",
        "the administrator\\(aqs kubeconfig",
        ".TP",
        ".I /var/lib/k3py",
        "data",
        ".SH EXIT STATUS",
        "0: done; 1: failed; 2: a command line, variable or file that cannot be used.",
        ".SH SEE ALSO",
        ".BR kubectl (1)",
    ]
    return "\n".join(lines) + "\n"


def _option(option) -> list[str]:  # noqa: ANN001
    names = f"\\-\\-{escape(option.name)}" + (f", \\-{option.short}" if option.short else "")
    text = escape(option.help)
    notes = [f"default: {escape(option.default)}"] if option.default else []
    notes += [f"environment: {option.env}"] if option.env else []
    notes += [f"{' and '.join(option.roles)} only"] if len(option.roles) == 1 else []
    notes += ["the same on every server"] if option.critical else []
    return [f".B {names}", text + (f" ({'; '.join(notes)})" if notes else "")]


if __name__ == "__main__":
    print(man_page(), end="")
