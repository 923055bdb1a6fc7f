"""Sets of fields of an object and their FieldsV1 form.

A path element is its FieldsV1 key: `f:name` a field, `k:{"name":"x"}` an entry of a keyed list, `v:"x"` an entry of a set, `i:0` an index.
Source: sigs.k8s.io/structured-merge-diff/v6/fieldpath.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from k3py.jsontypes import JsonObject, JsonValue

    Path = tuple[str, ...]


def field_element(name: str) -> str:
    """Return the path element of a field."""
    return f"f:{name}"


def key_element(keys: JsonObject) -> str:
    """Return the path element of an entry of a keyed list."""
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def value_element(value: JsonValue) -> str:
    """Return the path element of an entry of a set."""
    return "v:" + orjson.dumps(value).decode()


def format_path(path: Path) -> str:
    """Return a path as conflicts show it: .spec.containers[name="x"].image."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            keys = orjson.loads(rest)
            text += f"[{','.join(f'{name}={orjson.dumps(value).decode()}' for name, value in keys.items())}]"
        else:
            text += f"[={rest}]" if kind == "v" else f"[{rest}]"
    return text


_ORDER = {"f": 0, "k": 1, "v": 2, "i": 3}


def _rank(element: str) -> tuple[int, int, str]:
    kind = element[0]
    return (_ORDER[kind], int(element[2:]) if kind == "i" else 0, element)


class FieldSet:
    """A set of paths as a tree. Operations return new sets, which may share subtrees; only `insert` changes one in place."""

    __slots__ = ("children", "members")

    def __init__(self, members: Iterable[str] = (), children: dict[str, FieldSet] | None = None) -> None:
        self.members: set[str] = set(members)
        self.children: dict[str, FieldSet] = children or {}

    @classmethod
    def of(cls, paths: Iterable[Path]) -> FieldSet:
        """Build a set of paths."""
        result = cls()
        for path in paths:
            result.insert(path)
        return result

    def insert(self, path: Path) -> None:
        """Add a path; the empty path (the object itself) is no member of any set."""
        if path:
            self.reach(path[:-1]).members.add(path[-1])

    def reach(self, path: Path) -> FieldSet:
        """Return the part of the set below a path, made if there was none; to be filled in place."""
        node = self
        for element in path:
            child = node.children.get(element)
            if child is None:
                child = node.children[element] = FieldSet()
            node = child
        return node

    def __bool__(self) -> bool:
        return bool(self.members) or any(self.children.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldSet):
            return NotImplemented
        return set(self.paths()) == set(other.paths())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FieldSet({[format_path(path) for path in self.paths()]})"

    def paths(self) -> Iterator[Path]:
        """Yield all paths in FieldsV1 order."""
        for element in sorted(self.members | self.children.keys(), key=_rank):
            if element in self.members:
                yield (element,)
            if element in self.children:
                for rest in self.children[element].paths():
                    yield (element, *rest)

    def below(self, element: str) -> FieldSet | None:
        """Return the part of the set below an element, None when there is nothing."""
        return self.children.get(element)

    def union(self, other: FieldSet) -> FieldSet:
        """Return the paths of either."""
        if not other.members and not other.children:
            return self
        if not self.members and not self.children:
            return other
        children = dict(self.children)
        for element, child in other.children.items():
            mine = children.get(element)
            children[element] = child if mine is None else mine.union(child)
        return FieldSet(self.members | other.members, children)

    def intersection(self, other: FieldSet) -> FieldSet:
        """Return the paths of both."""
        children = {}
        for element, child in self.children.items():
            theirs = other.children.get(element)
            if theirs is not None and (common := child.intersection(theirs)):
                children[element] = common
        return FieldSet(self.members & other.members, children)

    def difference(self, other: FieldSet) -> FieldSet:
        """Return the paths of this set that are not, themselves, in the other."""
        children = {}
        for element, child in self.children.items():
            theirs = other.children.get(element)
            rest = child if theirs is None else child.difference(theirs)
            if rest:
                children[element] = rest
        return FieldSet(self.members - other.members, children)

    def without_below(self, other: FieldSet) -> FieldSet:
        """Return the paths that are neither in the other set nor below one of its paths."""
        children = {}
        for element, child in self.children.items():
            if element in other.members:
                continue
            theirs = other.children.get(element)
            rest = child if theirs is None else child.without_below(theirs)
            if rest:
                children[element] = rest
        return FieldSet(self.members - other.members, children)

    def to_fields_v1(self) -> JsonObject:
        """Return the FieldsV1 document."""
        result: JsonObject = {}
        for element in sorted(self.members | self.children.keys(), key=_rank):
            child = self.children.get(element)
            nested = child.to_fields_v1() if child else {}
            if nested and element in self.members:
                nested = {".": {}, **nested}
            if nested or element in self.members:
                result[element] = nested
        return result

    @classmethod
    def from_fields_v1(cls, document: JsonValue) -> FieldSet:
        """Read a FieldsV1 document.

        Raises:
            ValueError: malformed, or unknown kinds of path elements.
        """
        if not isinstance(document, dict):
            raise ValueError("FieldsV1 is no object")  # noqa: TRY004 - bad data, not a bad call
        result = cls()
        for element, nested in document.items():
            if element == ".":
                continue
            if element[:2] not in ("f:", "k:", "v:", "i:"):
                raise ValueError(f"unknown path element {element!r}")
            if element[0] == "k":
                element = key_element(orjson.loads(element[2:]))  # noqa: PLW2901 - canonical spelling
            elif element[0] == "i":
                int(element[2:])
            if not nested or "." in nested:
                result.members.add(element)
            if nested and (child := cls.from_fields_v1(nested)):
                result.children[element] = child
        return result
