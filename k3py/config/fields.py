"""Reads configuration documents field by field, strictly: a wrong type, a wrong value and an unknown field are errors that name the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from k3py.api.timestamps import parse_duration
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject, JsonValue

_NANOSECONDS = 1_000_000_000


class Fields:
    """An object of a document; `where` is how messages call it ("file: jwt[0].issuer")."""

    def __init__(self, value: JsonValue, where: str) -> None:
        """Take the object. Raises ConfigError: it is none."""
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: must be an object")
        self._left: JsonObject = dict(value)
        self.where = where

    def path(self, name: str) -> str:
        """Return how messages call a field."""
        separator = " " if self.where.endswith(":") else "."
        return f"{self.where}{separator}{name}"

    def fault(self, name: str, must: str) -> ConfigError:
        """Return an error about a field."""
        return ConfigError(f"{self.path(name)}: {must}")

    def has(self, name: str) -> bool:
        """Say whether a field is there and not null."""
        return self._left.get(name) is not None

    def text(self, name: str, *, default: str | None = "", allowed: Sequence[str] = ()) -> str:
        """Return a text; `default` None = it must be there and not empty; `allowed`: the only values."""
        value = self._left.pop(name, None)
        if value is None:
            value = default
        if not isinstance(value, str) or (default is None and not value):
            raise self.fault(name, "must be a text" + (" that is not empty" if default is None else ""))
        if allowed and value not in allowed:
            raise self.fault(name, f"{value!r}: must be {' or '.join(repr(one) for one in allowed)}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self._left.pop(name, None)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(name, "must be true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._left.pop(name, None) or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.fault(name, "must be a list of texts")
        return tuple(cast("list[str]", value))

    def number(self, name: str, *, default: int | None = None, least: int = 0) -> int:
        """Return a whole number; `default` None = it must be there."""
        value = self._left.pop(name, None)
        if value is None:
            value = default
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.fault(name, f"must be a whole number of {least} or more")
        return value

    def seconds(self, name: str, *, default: float) -> float:
        """Return a duration such as "30s", in seconds."""
        value = self._left.pop(name, None)
        if value is None:
            return default
        try:
            return parse_duration(value if isinstance(value, str) else "") / _NANOSECONDS
        except ValueError as error:
            raise self.fault(name, "must be a duration such as 30s or 5m") from error

    def raw(self, name: str) -> JsonValue:
        """Return whatever is there, unchecked."""
        return self._left.pop(name, None)

    def object(self, name: str, *, required: bool = False) -> Fields | None:
        """Return an object, None when it is not there."""
        value = self._left.pop(name, None)
        if value is None and not required:
            return None
        return Fields(value, self.path(name))

    def objects(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        value = self._left.pop(name, None) or []
        if not isinstance(value, list):
            raise self.fault(name, "must be a list")
        return [Fields(one, f"{self.path(name)}[{index}]") for index, one in enumerate(value)]

    def rest(self) -> JsonObject:
        """Return what nobody has read yet."""
        left, self._left = self._left, {}
        return left

    def finish(self) -> None:
        """Refuse what nobody read. Raises ConfigError."""
        if self._left:
            raise ConfigError(f"{self.path(min(self._left))}: is not known")


def load_document(file: Path, flag: str, kind: str, versions: Sequence[str]) -> Fields:
    """Read a YAML or JSON file that must hold one object of a kind and one of `versions`. Blocking.

    Raises:
        ConfigError: it cannot be read or is something else.
    """
    fields = Fields(load_raw_document(file, flag), f"{file}:")
    fields.text("kind", default=None, allowed=(kind,))
    fields.text("apiVersion", default=None, allowed=tuple(versions))
    return fields


def load_raw_document(file: Path, flag: str) -> JsonValue:
    """Read a YAML or JSON file; messages show nothing of its content. Blocking. Raises ConfigError."""
    import yaml  # noqa: PLC0415 - only who has such a file needs it

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigError(f"{flag}: '{file}': {why}") from error
    try:
        document: JsonValue = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" (line {mark.line + 1})" if mark is not None else ""
        raise ConfigError(f"{flag}: '{file}': is not YAML{at}") from None
    return document
