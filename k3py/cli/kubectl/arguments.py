"""The order of words on the command line: as with kubectl, flags may stand anywhere between names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def sort_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the words with each command's flags before its names, which is the one order that argparse reads in all cases."""
    flags: list[str] = []
    names: list[str] = []
    at = 0
    subparsers = next((one for one in parser._actions if isinstance(one, argparse._SubParsersAction)), None)  # noqa: SLF001 - argparse has no other way to ask
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-") or word == "-":
            if subparsers is not None:
                chosen = subparsers.choices.get(word)
                rest = words[at:] if chosen is None else sort_arguments(chosen, words[at:])
                return [*flags, word, *rest]
            names.append(word)
            continue
        action = parser._option_string_actions.get(word)  # noqa: SLF001 - see above
        if action is not None and action.nargs == "?" and word.startswith("--"):
            # Whose value can be left out: it stands behind "=", never in the next word.
            word = f"{word}={action.const}"
        flags.append(word)
        if _takes_next(parser, word) and at < len(words):
            flags.append(words[at])
            at += 1
    return [*flags, *names]


def _takes_next(parser: argparse.ArgumentParser, word: str) -> bool:
    """Whether the word behind a flag is its value."""
    known = parser._option_string_actions  # noqa: SLF001 - see above
    action = known.get(word)
    if action is None and not word.startswith("--"):
        # Several letters in one word: only the last one can take the next.
        for index, letter in enumerate(word[1:], start=1):
            action = known.get(f"-{letter}")
            if action is None or _has_value(action):
                return action is not None and index == len(word) - 1
        return False
    return action is not None and "=" not in word and _has_value(action)


def _has_value(action: argparse.Action) -> bool:
    return action.nargs is None
