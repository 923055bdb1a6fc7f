"""Configuration files: `config.yaml`, then `config.yaml.d/*.yaml`, merged as K3s does (C-65 to C-69).

Per key the last file wins; a key with a trailing `+` appends to what is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject, JsonValue


class FileValue:
    """The texts of a key and the file that said so last."""

    __slots__ = ("source", "texts")

    def __init__(self, texts: list[str], source: Path) -> None:
        self.texts = texts
        self.source = source


def load_config_files(path: Path, *, required: bool) -> dict[str, FileValue]:
    """Read `path` and the files of `path`.d in alphabetical order.

    Raises:
        ConfigError: a required file is missing, cannot be read, is no YAML mapping, or a value is not text, number, bool or a list
            of these.
    """
    folder = path.with_name(path.name + ".d")
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if path.is_file():
        files.insert(0, path)
    elif required:
        raise ConfigError(f"--config: {path}: no such file")
    merged: dict[str, FileValue] = {}
    for file in files:
        for raw_key, value in _load_mapping(file).items():
            key = str(raw_key)
            texts = _texts_of(key, value, file)
            if key.endswith("+"):
                key = key[:-1]
                texts = [*(merged[key].texts if key in merged else ()), *texts]
            merged[key] = FileValue(texts, file)
    return merged


def _load_mapping(file: Path) -> JsonObject:
    import yaml  # noqa: PLC0415 - only needed where a file exists

    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config: {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config: {file}: not valid YAML: {' '.join(str(error).split())}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"--config: {file}: must hold a mapping of flag names to values")
    return loaded


def _texts_of(key: str, value: JsonValue, file: Path) -> list[str]:
    values = value if isinstance(value, list) else [value]
    texts = []
    for one in values:
        if isinstance(one, bool):
            texts.append("true" if one else "false")
        elif isinstance(one, str | int | float):
            texts.append(str(one))
        else:
            kind = "null" if one is None else type(one).__name__
            raise ConfigError(
                f"{file}: key {key!r}: must be text, a number, true, false or a list of these, not {kind}"
            )
    return texts
