"""The words of the command line, as the commands themselves tell them: from the tables of commands and flags, and from their --help."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.cli.kubectl.command_line import build_parser
from k3py.config.options import options_of
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.cli.command import Command

_OTHERS: Final = frozenset(("ctr", "crictl"))
"""Programs of their own, which a command replaces itself by."""
_FLAG: Final = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
_ACTIONS: Final = re.compile(r"(?<![\w|-])((?:[a-z][a-z-]*\|)+[a-z][a-z-]*)(?![\w|-])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """name: with its dashes; takes: "" = nothing, else "value", "file" or "folder"."""

    name: str
    takes: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A command: what it is called, what it does, its flags and what may stand behind it."""

    name: str
    help: str = ""
    flags: tuple[Flag, ...] = ()
    inner: tuple[Word, ...] = field(default=())


def describe(commands: Sequence[Command]) -> tuple[Word, ...]:
    """Return all commands with their flags."""
    return tuple(_describe(one) for one in commands)


def _describe(command: Command) -> Word:
    name = command.name
    if name in ("server", "agent"):
        return Word(name=name, help=command.help, flags=_from_table(name))
    if name == "kubectl":
        return Word(name=name, help=command.help, inner=_from_parser(build_parser()))
    if name in _OTHERS:
        return Word(name=name, help=command.help)
    text = _help_of(command)
    flags = tuple(Flag(name=one, takes="value") for one in dict.fromkeys(_FLAG.findall(text)))
    usage = text.partition("\n\n")[0]
    actions = [one for found in _ACTIONS.findall(usage) for one in found.split("|")]
    for found in re.findall(r"(?<![a-z] )\{([a-z0-9,-]+)\}", usage):
        actions += found.split(",")
    inner = tuple(Word(name=one, flags=flags) for one in dict.fromkeys(actions))
    return Word(name=name, help=command.help, flags=flags, inner=inner)


def _from_table(role: str) -> tuple[Flag, ...]:
    takes = {"bool": "", "path": "file"}
    return tuple(
        Flag(name=f"--{one.name}", takes=takes.get(one.value_type, "value"), help=one.help)
        for one in options_of(role)
    )


def _from_parser(parser: argparse.ArgumentParser) -> tuple[Word, ...]:
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {one.dest: one.help or "" for one in action._choices_actions}  # noqa: SLF001
            for name, inner in action.choices.items():
                flags = tuple(
                    Flag(name=option, takes="value" if one.nargs is None else "", help=one.help or "")
                    for one in inner._actions  # noqa: SLF001
                    for option in one.option_strings
                    if option.startswith("--")
                )
                found.append(
                    Word(name=name, help=helps.get(name, ""), flags=flags, inner=_from_parser(inner))
                )
    return tuple(found)


def _help_of(command: Command) -> str:
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(SystemExit, K3pyError),
    ):
        command.load()(["--help"])
    return said.getvalue()
