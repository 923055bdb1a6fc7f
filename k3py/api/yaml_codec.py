"""YAML 1.1 as sigs.k8s.io/yaml reads and writes it: through JSON, so that all keys are strings and the rest is JSON's types."""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING

import orjson
import yaml

from k3py.api.status import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.jsontypes import JsonValue


class _Loader(yaml.CSafeLoader):
    """Reads times as the text that they are."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class _Pairs(list["tuple[JsonValue, JsonValue]"]):
    """A mapping with all its keys, repeated ones too."""


class _PairsLoader(_Loader):
    """Reads mappings as `_Pairs`."""


def _construct_pairs(loader: _PairsLoader, node: yaml.MappingNode) -> _Pairs:
    loader.flatten_mapping(node)
    return _Pairs(
        (loader.construct_object(key, deep=True), loader.construct_object(value, deep=True))
        for key, value in node.value
    )


_PairsLoader.add_constructor("tag:yaml.org,2002:map", _construct_pairs)


class _Dumper(yaml.CSafeDumper):
    """Never writes anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def load(body: bytes) -> JsonValue:
    """Return the first document. Raises ApiError 400."""
    loader = _Loader(body)
    try:
        return _to_json(loader.get_data())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error
    finally:
        loader.dispose()


def load_all(body: bytes) -> list[JsonValue]:
    """Return all documents; empty ones are left out. Raises ApiError 400."""
    try:
        return [_to_json(one) for one in yaml.load_all(body, _Loader) if one is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error


def to_raw_json(body: bytes) -> bytes:
    """Return the first document as JSON text in which repeated keys are still repeated. Raises ApiError 400."""
    loader = _PairsLoader(body)
    try:
        return _raw_json(loader.get_data()).encode()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error
    finally:
        loader.dispose()


def find_repeated_keys(body: bytes) -> list[str]:
    """Return what Go's strict decoder says of keys that stand twice in a mapping of the first document, by lines.

    Source: go.yaml.in/yaml/v2 decode.go (setMapIndex): the line is that of the second value.
    """
    loader = _Loader(body)
    try:
        return [text for _, text in sorted(_iter_repeated(loader, loader.get_single_node()))]
    except (yaml.YAMLError, RecursionError):
        return []  # told by whoever reads the document
    finally:
        loader.dispose()


def _iter_repeated(loader: _Loader, root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            seen: set[JsonValue] = set()
            for key_node, value_node in node.value:
                waiting.append(value_node)
                if not isinstance(key_node, yaml.ScalarNode):
                    continue
                key = loader.construct_object(key_node)
                if key in seen:
                    shown = orjson.dumps(key).decode() if isinstance(key, str) else _to_key(key)
                    line = value_node.start_mark.line + 1
                    yield line, f"line {line}: key {shown} already set in map"
                seen.add(key)


def _raw_json(value: JsonValue) -> str:
    if isinstance(value, _Pairs):
        pairs = (f"{_raw_json(_to_key(key))}:{_raw_json(one)}" for key, one in value)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_raw_json(one) for one in value) + "]"
    return orjson.dumps(_to_json(value)).decode()


def dump(document: JsonValue) -> bytes:
    """Return the document as YAML with sorted keys."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=1 << 20, sort_keys=True
    )
    return text.encode()


def _to_json(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {_to_key(key): _to_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(one) for one in value]
    if isinstance(value, set):
        return {_to_key(one): None for one in value}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def _to_key(key: JsonValue) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if key is None:
        return "null"
    return str(key)
