"""Operations on typed values: validate, list the fields, compare, merge, remove fields.

Absent and null differ: absent is `ABSENT`, null is None and stands for any type. Source: sigs.k8s.io/structured-merge-diff/v6/typed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.api.patch.fieldset import FieldSet, field_element, format_path, key_element, value_element
from k3py.api.patch.json_patch import equal
from k3py.api.patch.merge_type import ANY, MergeType
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue

    Path = tuple[str, ...]

ABSENT: Final = object()
_GRANULAR_MAP: Final = MergeType("map")
_ATOMIC_LIST: Final = MergeType("list", relation="atomic")
_SCALAR: Final = MergeType("scalar")
_DUPLICATE: Final = "duplicate entries for key "


class TypedFault(K3pyError):
    """A value that does not fit its type; `errors` are (path, text)."""

    def __init__(self, errors: list[tuple[Path, str]]) -> None:
        lines = [f"{format_path(path)}: {text}" if path else text for path, text in errors]
        super().__init__(
            lines[0] if len(lines) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in lines)
        )


def _deduce(kind: MergeType, value: JsonValue) -> MergeType:
    """Return what an "any" is, by its value."""
    if kind.kind != "any":
        return kind
    if isinstance(value, dict):
        return _GRANULAR_MAP
    return _ATOMIC_LIST if isinstance(value, list) else _SCALAR


def element_of(kind: MergeType, entry: JsonValue, index: int) -> str:
    """Return the path element of a list's entry.

    Raises:
        ValueError: the entry has not what its list type needs.
    """
    if kind.relation == "map":
        if not isinstance(entry, dict):
            raise ValueError("associative list with keys may not have non-map elements")
        keys = {}
        for name in kind.keys:
            value = entry.get(name, ABSENT)
            if value is ABSENT:
                value = kind.key_defaults.get(name, ABSENT)
            if value is ABSENT:
                raise ValueError(
                    f'associative list with keys has an element that omits key field "{name}" '
                    "(and doesn't have default value)"
                )
            keys[name] = value
        return key_element(keys)
    if kind.relation == "set":
        if isinstance(entry, dict | list) or entry is None:
            raise ValueError("associative lists without keys may only have scalar elements")
        return value_element(entry)
    return f"i:{index}"


def validate(value: JsonValue, kind: MergeType, *, allow_duplicates: bool = False) -> None:
    """Check an applied configuration: types, known fields, no repeated keys (which live objects may have).

    Raises:
        TypedFault: with all findings.
    """
    errors: list[tuple[Path, str]] = []
    _validate(value, kind, (), errors)
    if allow_duplicates:
        errors = [one for one in errors if not one[1].startswith(_DUPLICATE)]
    if errors:
        raise TypedFault(errors)


def _validate(value: JsonValue, kind: MergeType, path: Path, errors: list[tuple[Path, str]]) -> None:
    kind = _deduce(kind, value)
    if value is None:
        return
    if kind.kind == "scalar":
        if not _fits(value, kind.scalar):
            expected = {"bool": "boolean", "number": "numeric (int or float)", "": "scalar"}
            errors.append((path, f"expected {expected.get(kind.scalar, kind.scalar)}, got {value!r}"))
    elif kind.kind == "list":
        if isinstance(value, list):
            _validate_list(value, kind, path, errors)
        else:
            errors.append((path, f"expected list, got {value!r}"))
    elif isinstance(value, dict):
        for name, entry in value.items():
            found = kind.find(name)
            if found is None:
                errors.append(((*path, field_element(name)), "field not declared in schema"))
            else:
                _validate(entry, found, (*path, field_element(name)), errors)
    else:
        errors.append((path, f"expected map, got {value!r}"))


def _validate_list(
    value: list[JsonValue], kind: MergeType, path: Path, errors: list[tuple[Path, str]]
) -> None:
    seen: set[str] = set()
    for index, entry in enumerate(value):
        try:
            element = element_of(kind, entry, index)
        except ValueError as error:
            errors.append((path, f"element {index}: {error}"))
            continue
        if element in seen:
            shown = format_path((element,)).replace("[=", "[")
            errors.append((path, f"{_DUPLICATE}{shown}"))
        seen.add(element)
        _validate(entry, kind.element, (*path, element), errors)


def _fits(value: JsonValue, scalar: str) -> bool:
    if isinstance(value, dict | list):
        return False
    if scalar == "string":
        return isinstance(value, str)
    if scalar == "bool":
        return isinstance(value, bool)
    if scalar == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def to_field_set(value: JsonValue, kind: MergeType) -> FieldSet:
    """Return the fields that a value sets."""
    found = FieldSet()
    _collect(value, kind, (), found)
    return found


def _collect(value: JsonValue, kind: MergeType, path: Path, found: FieldSet) -> None:
    kind = _deduce(kind, value)
    if kind.kind == "scalar" or kind.relation == "atomic":
        found.insert(path)
    elif kind.kind == "list":
        for element, entries in _index(value, kind).items():
            if len(entries) == 1:
                _collect(entries[0], kind.element, (*path, element), found)
            found.insert((*path, element))
    else:
        for name, entry in (value or {}).items():
            inner = (*path, field_element(name))
            _collect(entry, kind.find(name) or ANY, inner, found)
            if entry is None or entry == {} or name not in kind.fields:
                found.insert(inner)


def _index(value: JsonValue, kind: MergeType) -> dict[str, list[JsonValue]]:
    """Return a list's entries by path element; stored lists may hold an element more than once."""
    result: dict[str, list[JsonValue]] = {}
    for at, entry in enumerate(value if isinstance(value, list) else ()):
        try:
            element = element_of(kind, entry, at)
        except ValueError:
            continue
        result.setdefault(element, []).append(entry)
    return result


@dataclass(slots=True)
class Comparison:
    """The fields by which a new value differs from an old one."""

    added: FieldSet = field(default_factory=FieldSet)
    modified: FieldSet = field(default_factory=FieldSet)
    removed: FieldSet = field(default_factory=FieldSet)

    def without(self, ignored: FieldSet) -> Comparison:
        """Return the comparison without the ignored fields and what is below them."""
        return Comparison(
            self.added.without_below(ignored),
            self.modified.without_below(ignored),
            self.removed.without_below(ignored),
        )


def compare(old: JsonValue, new: JsonValue, kind: MergeType) -> Comparison:
    """Compare two values of a type."""
    result = Comparison()
    _compare(old, new, kind, (), result)
    return result


def _compare(old: JsonValue, new: JsonValue, kind: MergeType, path: Path, result: Comparison) -> None:
    if old is ABSENT and path:
        _add(new, kind, result.added.reach(path[:-1]), path[-1])
        return
    if old is new or old == new:  # C's comparison; that true equals 1 can only matter in untyped documents
        return
    leaf = False
    old_kind, new_kind = _deduce(kind, old), _deduce(kind, new)
    # Null and absent take the form of the other side; two forms are compared one after the other.
    if new is ABSENT or new is None:
        kinds = [old_kind]
    elif old is ABSENT or old is None or old_kind is new_kind:
        kinds = [new_kind]
    else:
        kinds = [old_kind, new_kind]
    for one in kinds:
        leaf = _compare_as(old, new, one, path, result) or leaf
    if not leaf:
        if old is ABSENT:
            result.added.insert(path)
        elif new is ABSENT:
            result.removed.insert(path)


def _add(new: JsonValue, kind: MergeType, parent: FieldSet, element: str) -> None:
    """Add a value that was not there before, and all below it: what a create is made of."""
    parent.members.add(element)
    one = _deduce(kind, ABSENT if new is None else new)
    if one.kind == "scalar" or one.relation == "atomic":
        return
    if one.kind == "list":
        if isinstance(new, list) and (index := _index(new, one)):
            inner = parent.reach((element,))
            for key, entries in index.items():
                if len(entries) == 1:
                    _add(entries[0], one.element, inner, key)
                else:
                    inner.members.add(key)
    elif isinstance(new, dict) and new:
        inner = parent.reach((element,))
        for name, entry in new.items():
            _add(entry, one.find(name) or ANY, inner, field_element(name))


def _compare_as(old: JsonValue, new: JsonValue, kind: MergeType, path: Path, result: Comparison) -> bool:
    """Compare as one kind; say whether the value is a leaf."""
    is_container = list if kind.kind == "list" else dict
    old_entries = old if isinstance(old, is_container) else None
    new_entries = new if isinstance(new, is_container) else None
    if kind.kind == "scalar" or kind.relation == "atomic" or (not old_entries and not new_entries):
        if old is ABSENT:
            result.added.insert(path)
        elif new is ABSENT:
            result.removed.insert(path)
        else:
            result.modified.insert(path)
        return True
    if kind.kind == "list":
        _compare_lists(old_entries, new_entries, kind, path, result)
        return False
    old_map: JsonObject = old_entries or {}  # type: ignore[assignment]
    new_map: JsonObject = new_entries or {}  # type: ignore[assignment]
    for name in {**old_map, **new_map}:
        found = kind.find(name) or ANY
        inner = (*path, field_element(name))
        _compare(old_map.get(name, ABSENT), new_map.get(name, ABSENT), found, inner, result)
    return False


def _compare_lists(old: JsonValue, new: JsonValue, kind: MergeType, path: Path, result: Comparison) -> None:
    old_index, new_index = _index(old, kind), _index(new, kind)
    for element in {**old_index, **new_index}:
        before, after = old_index.get(element, []), new_index.get(element, [])
        inner = (*path, element)
        if len(before) <= 1 and len(after) <= 1:
            left, right = before[0] if before else ABSENT, after[0] if after else ABSENT
            _compare(left, right, kind.element, inner, result)
        elif len(before) >= 2 and len(after) >= 2:
            if not equal(before, after):
                result.modified.insert(inner)
        elif len(before) >= 2:
            if after:
                _compare(ABSENT, after[0], kind.element, inner, result)
            result.removed.insert(inner)
        else:
            if before:
                _compare(before[0], ABSENT, kind.element, inner, result)
            result.added.insert(inner)


def merge(live: JsonValue, config: JsonValue, kind: MergeType) -> JsonValue:
    """Return the live value with an applied configuration merged in; inputs are left alone, parts are shared."""
    if config is ABSENT:
        return live
    if live is ABSENT:
        return config
    kind = _deduce(kind, config if config is not None else live)
    if kind.kind == "scalar" or kind.relation == "atomic" or (not live and not config):
        return config
    if kind.kind == "list":
        live_list = live if isinstance(live, list) else []
        return _merge_lists(live_list, config if isinstance(config, list) else [], kind)
    live_map = live if isinstance(live, dict) else {}
    config_map = config if isinstance(config, dict) else {}
    result = dict(live_map)
    for name, value in config_map.items():
        result[name] = merge(live_map.get(name, ABSENT), value, kind.find(name) or ANY)
    return result


def _merge_lists(live: list[JsonValue], config: list[JsonValue], kind: MergeType) -> list[JsonValue]:
    """Merge keyed lists or sets: the configuration's order rules, live-only entries keep their place before what followed them."""
    live_elements = [element_of_or_none(kind, entry, at) for at, entry in enumerate(live)]
    config_elements = [element_of(kind, entry, at) for at, entry in enumerate(config)]
    live_index, config_index = _index(live, kind), dict(zip(config_elements, config, strict=True))
    shared = [element for element in config_elements if element in live_index]
    next_shared = shared.pop(0) if shared else None
    merged: set[str] = set()
    result: list[JsonValue] = []

    def take_config(element: str) -> None:
        merged.add(element)
        same = live_index.get(element, [])
        entry = same[0] if len(same) == 1 else ABSENT
        result.append(merge(entry, config_index[element], kind.element))

    at_live = at_config = 0
    while at_live < len(live) or at_config < len(config):
        element = live_elements[at_live] if at_live < len(live) else None
        if at_live < len(live) and at_config < len(config):
            if element == config_elements[at_config]:
                take_config(config_elements[at_config])
                at_live += 1
                at_config += 1
                next_shared = shared.pop(0) if shared else None
                continue
            if element in config_index and next_shared is not None and next_shared != element:
                at_live += 1
                continue
        if at_live < len(live):
            if element not in config_index:
                result.append(live[at_live])
                at_live += 1
                continue
            if element in merged:
                at_live += 1
        if at_config < len(config):
            element = config_elements[at_config]
            take_config(element)
            at_config += 1
            if next_shared == element:
                next_shared = shared.pop(0) if shared else None
    return result


def element_of_or_none(kind: MergeType, entry: JsonValue, index: int) -> str | None:
    """Return the path element of a stored entry, None when it has none."""
    try:
        return element_of(kind, entry, index)
    except ValueError:
        return None


def remove(value: JsonValue, fields: FieldSet, kind: MergeType) -> JsonValue:
    """Return the value without the given fields; a list or map that loses all its entries becomes null."""
    kind = _deduce(kind, value)
    if kind.kind == "scalar":
        return value
    if not value or kind.relation == "atomic" or not isinstance(value, dict | list):
        return None
    if isinstance(value, list):
        entries = []
        for at, entry in enumerate(value):
            element = element_of_or_none(kind, entry, at) or ""
            if element in fields.members:
                continue
            below = fields.below(element)
            entries.append(remove(entry, below, kind.element) if below else entry)
        return entries or None
    result = {}
    for name, entry in value.items():
        element = field_element(name)
        if element in fields.members:
            continue
        below = fields.below(element)
        result[name] = remove(entry, below, kind.find(name) or ANY) if below else entry
    return result or None


def with_named_fields(fields: FieldSet, kind: MergeType) -> FieldSet:
    """Return the set with the structs above its paths as members ("a.b" adds "a", when "a" is a struct's field)."""
    members = set(fields.members)
    children = {}
    for element, child in fields.children.items():
        inner = ANY
        if element.startswith("f:") and kind.kind in ("map", "any"):
            name = element[2:]
            if name in kind.fields:
                members.add(element)
            inner = kind.find(name) or ANY if kind.kind == "map" else ANY
        elif element.startswith("k:") and kind.kind == "list":
            inner = kind.element
        children[element] = with_named_fields(child, inner)
    return FieldSet(members, children)
