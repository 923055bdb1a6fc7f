"""From command line, environment and files to typed values: flags win over environment, environment over files (C-68)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, Never

from k3py.config.config_file import load_config_files
from k3py.config.options import options_of, why_not
from k3py.config.value import Value, read_value
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.config.config_file import FileValue
    from k3py.config.option import Option


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


def build_parser(role: str) -> argparse.ArgumentParser:
    """Return the parser of `k3py server` or `k3py agent`; values come out as lists of texts."""
    parser = _Parser(
        prog=f"k3py {role}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_DESCRIPTIONS[role],
    )
    groups: dict[str, argparse._ArgumentGroup] = {}
    for option in options_of(role):
        group = groups.setdefault(option.theme, parser.add_argument_group(option.theme))
        names = [f"--{option.name}"] + ([f"-{option.short}"] if option.short else [])
        group.add_argument(
            *names,
            dest=option.field,
            action="append",
            metavar=option.value_type.upper().replace("-", "_"),
            help=_help_of(option),
        )
    return parser


def load_values(role: str, arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, Value]:
    """Return the value of every flag of `role` by its field name.

    Raises:
        ConfigError: unknown flag or key, or a value that cannot be used; names flag, value, source and what is allowed.
        SystemExit: `--help` was asked for (code 0).
    """
    options = options_of(role)
    _refuse_not_yet(arguments)
    parsed: dict[str, list[str] | None] = vars(
        build_parser(role).parse_args(_spell_out_bools(options, arguments))
    )
    from_files = _load_files(options, parsed, environ)
    values: dict[str, Value] = {}
    for option in options:
        texts, source = _choose(option, parsed, environ, from_files)
        values[option.field] = _read(option, texts, source)
    return values


def load_defaults(role: str) -> dict[str, Value]:
    """Return the value that every flag of `role` has when nobody gives one."""
    return {one.field: _read(one, [one.default], f"--{one.name}") for one in options_of(role)}


def _refuse_not_yet(arguments: Sequence[str]) -> None:
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0]
        if argument.startswith("--") and (why := why_not(name)):
            raise ConfigError(f"--{name}: {why}")


def _spell_out_bools(options: Sequence[Option], arguments: Sequence[str]) -> list[str]:
    bools = {f"--{one.name}" for one in options if one.value_type == "bool"}
    return [f"{argument}=true" if argument in bools else argument for argument in arguments]


def _load_files(
    options: Sequence[Option],
    parsed: Mapping[str, list[str] | None],
    environ: Mapping[str, str],
) -> dict[str, FileValue]:
    option = next(one for one in options if one.name == "config")
    named = (parsed.get("config") or [environ.get(option.env, "")])[-1]
    found = load_config_files(Path(named or option.default), required=bool(named))
    by_key = {one.name: one for one in options} | {one.short: one for one in options if one.short}
    result: dict[str, FileValue] = {}
    for key, value in found.items():
        known = by_key.get(key)
        if known is None and (why := why_not(key)):
            raise ConfigError(f"{value.source}: key {key!r}: {why}")
        if known is None or known.name == "config":
            allowed = ", ".join(sorted(one.name for one in options if one.name != "config"))
            raise ConfigError(f"{value.source}: unknown key {key!r}; allowed: {allowed}")
        result[known.name] = value
    return result


def _choose(
    option: Option,
    parsed: Mapping[str, list[str] | None],
    environ: Mapping[str, str],
    from_files: Mapping[str, FileValue],
) -> tuple[list[str], str]:
    if (given := parsed.get(option.field)) is not None:
        return given, f"--{option.name}"
    if option.env and environ.get(option.env):
        return [environ[option.env]], f"--{option.name} (environment variable {option.env})"
    if option.name in from_files:
        value = from_files[option.name]
        return value.texts, f"--{option.name} (key {option.name!r} in {value.source})"
    return [option.default], f"--{option.name}"


def _read(option: Option, texts: list[str], source: str) -> Value:
    if option.value_type == "list":
        return read_value("list", ",".join(texts))
    if option.value_type == "arguments":
        return tuple(text for text in texts if text)
    text = texts[-1] if texts else ""
    try:
        return read_value(option.value_type, text)
    except ValueError as error:
        shown = "the given value" if option.secret else repr(text)
        raise ConfigError(f"{source}: {shown}: {error}") from None


def _help_of(option: Option) -> str:
    text = option.help
    if option.default:
        text += f" (default: {option.default})"
    if option.env:
        text += f" [${option.env}]"
    return text.replace("%", "%%")


_DESCRIPTIONS: Final = {
    "server": "Run a Kubernetes server and, unless --disable-agent is given, a node.",
    "agent": "Run a node that joins a server.",
}
