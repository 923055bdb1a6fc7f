"""What containers of the fake runtime do: a few commands, understood well enough that a test reads the same on a real runtime.

A command becomes a `Script`: lines to write, pauses, an exit code, and how it takes the stop signal. Understood are `sleep`, `true`,
`false`, `echo`, `pause`, `cat` and `sh -c` with `;` or `&&` between them, `exit N`, `trap '…' TERM`, redirection to stderr (`>&2`).
As on Linux, a first process without a handler ignores SIGTERM, so only `trap` and an image's own program end on it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Step:
    """Wait `pause_s`, then write `text` (if any) to `stream`; None waits for ever."""

    pause_s: float | None = 0.0
    stream: str = "stdout"
    text: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """What a container does after its start.

    Attributes:
        steps: In order; the container exits with `exit_code` behind the last one.
        exit_code: 0-255.
        term_exit_code: Exit code on SIGTERM; None = the signal is ignored, and only SIGKILL (137) ends it.
        start_error: When set, start_container fails with this message.
        reason: The reason in the status; "" = "Completed" or "Error" by the exit code; e.g. "OOMKilled".
    """

    steps: tuple[Step, ...] = ()
    exit_code: int = 0
    term_exit_code: int | None = None
    start_error: str = ""
    reason: str = ""


FOREVER: Final = Step(pause_s=None)
SERVER: Final = Script(steps=(FOREVER,), term_exit_code=0)
"""An image's own program when no command is given: serves until it is asked to stop."""

_SEPARATORS: Final = frozenset({";", "&&"})


def parse_command(argv: Sequence[str], *, environment: dict[str, str] | None = None) -> Script:
    """Return what `argv` does; an unknown program is a script whose start fails, as runc reports it."""
    if not argv:
        return SERVER
    program = argv[0].rsplit("/", 1)[-1]
    if program in ("sh", "ash", "bash") and len(argv) > 2 and argv[1].startswith("-") and "c" in argv[1]:
        return _parse_shell(argv[2], environment or {})
    step, code = _simple(program, argv[1:], environment or {}, quoted=True)
    if step is None:
        return Script(
            start_error=f'failed to create containerd task: exec: "{argv[0]}": executable file not found in $PATH: unknown'
        )
    return Script(steps=(step,), exit_code=code)


def _simple(
    program: str, arguments: Sequence[str], environment: dict[str, str], *, quoted: bool = False
) -> tuple[Step | None, int]:
    """One command → (step, exit code); step None = no such program."""
    match program:
        case "sleep":
            text = arguments[0] if arguments else "0"
            return (FOREVER if text in ("inf", "infinity") else Step(pause_s=float(text))), 0
        case "pause":
            return FOREVER, 0
        case "true" | ":" | "cat" | "mkdir" | "touch":
            return Step(), 0
        case "false":
            return Step(), 1
        case "echo":
            stream = "stderr" if ">&2" in arguments or "1>&2" in arguments else "stdout"
            words = [word for word in arguments if word not in (">&2", "1>&2")]
            if not quoted:
                words = [environment.get(word[1:], "") if word.startswith("$") else word for word in words]
            return Step(stream=stream, text=" ".join(words) + "\n"), 0
    return None, 127


def _parse_shell(text: str, environment: dict[str, str]) -> Script:
    """`sh -c` of a flat list of commands."""
    lexer = shlex.shlex(text.replace("\n", ";"), posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = list(lexer)
    script = Script()
    command: list[str] = []
    last_code = 0
    skip = False
    for word in [*words, ";"]:
        if word not in _SEPARATORS:
            command.append(word)
            continue
        if command and command[0] == "while":  # taken as endless
            return replace(script, steps=(*script.steps, FOREVER))
        if command and not skip:
            script, last_code, ended = _run(script, command, environment)
            if ended:
                return replace(script, exit_code=last_code)
        skip = word == "&&" and last_code != 0
        command = []
    return replace(script, exit_code=last_code)


def _run(script: Script, command: list[str], environment: dict[str, str]) -> tuple[Script, int, bool]:
    """Add one command of a shell text; return (script, its code, whether the shell ends)."""
    if command[0] == "exec":
        command = command[1:]
    if command[0] == "exit":
        return script, int(command[1]) if len(command) > 1 else 0, True
    if command[0] == "trap":
        action = command[1].split()
        code = int(action[1]) if len(action) > 1 and action[0] == "exit" else 0
        return replace(script, term_exit_code=code), 0, False
    step, code = _simple(command[0], command[1:], environment)
    if step is None:
        step = Step(stream="stderr", text=f"sh: {command[0]}: not found\n")
    return replace(script, steps=(*script.steps, step)), code, False


def output_of(script: Script) -> tuple[bytes, bytes, float]:
    """Return (stdout, stderr, duration in s; inf when it never ends) of a script, for exec."""
    out = {"stdout": "", "stderr": ""}
    duration = 0.0
    for step in script.steps:
        duration += float("inf") if step.pause_s is None else step.pause_s
        out[step.stream] += step.text
    return out["stdout"].encode(), out["stderr"].encode(), duration
