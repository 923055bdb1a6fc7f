"""Server-side apply and the tracking of managers for all other writes. Pure: dicts in, dicts out, inputs are left alone.

What a handler does:
- create and update (POST, PUT, other PATCHes), after decode and `default`, before admission:
      new = update_managed_fields(old_or_None, new, manager=…, api_version=…, subresource=…, now=…, schemas=…)
- apply:
      merged = apply_configuration(live_or_None, config, manager=…, force=…, api_version=…, subresource=…, now=…, schemas=…)
  then decode and `default` the result (removed fields are null in it), admission, strategy, validation like an update (or a create when
  live was None). Faults of `config` raise ApiError: 400, 500 (schema, like upstream without a reason) or 409 with FieldManagerConflict.
- before storing an update or apply result: `keep_times_if_unchanged(old, new)`; it says whether the write is a no-op.

`now` is RFC 3339 with whole seconds. The type is found by api_version and the object's kind; custom resources pass `merge_type`
(`merge_type_of_structure` of their schema), without which maps are granular and lists atomic.
`reset_fields`: dotted paths that this (sub)resource may not write and so nobody gets to own through it; default: status for the main
resource, spec for the status subresource.
Source: k8s.io/apimachinery/pkg/util/managedfields v0.35; sigs.k8s.io/structured-merge-diff/v6/merge.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.object import deep_copy
from k3py.api.patch import typed
from k3py.api.patch.fieldset import FieldSet, field_element, format_path
from k3py.api.patch.json_patch import equal
from k3py.api.patch.managed_fields import (
    BEFORE_APPLY_MANAGER,
    Managed,
    ManagerId,
    applier,
    cap_updates,
    decode,
    encode,
    is_reset,
    updater,
)
from k3py.api.patch.merge_type import ANY
from k3py.api.status import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.api.patch.merge_type import MergeType
    from k3py.api.schema.schemas import Schemas
    from k3py.jsontypes import JsonObject, JsonValue

    Conflict = tuple[ManagerId, tuple[str, ...]]

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL: Final = "kubectl"
_RESET_FIELDS: Final = {"": ("status",), "status": ("spec",)}
# What a create wipes, apart from what nobody owns.
_WIPED: Final = ("metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds")
# Fields that nobody owns.
_STRIPPED: Final = (
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.clusterName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
)


@cache
def _paths(dotted: tuple[str, ...]) -> FieldSet:
    """Return a set that is made once: nobody inserts into a set that somebody else made."""
    return FieldSet.of(tuple(field_element(part) for part in path.split(".")) for path in dotted)


class _Conflicts(Exception):
    def __init__(self, found: list[Conflict]) -> None:
        super().__init__()
        self.found = found


class _Request:
    """What one write needs to know."""

    def __init__(self, merge_type: MergeType, manager: ManagerId, ignored: FieldSet, now: str) -> None:
        self.merge_type = merge_type
        self.manager = manager
        self.ignored = ignored
        self.now = now

    def update(self, live: JsonObject, new: JsonObject, managed: Managed, manager: ManagerId) -> None:
        """Give `manager` the fields by which `new` differs from `live`, and take them from the others."""
        comparison = typed.compare(live, new, self.merge_type)
        changed = comparison.without(self.ignored)
        taken = changed.modified.union(changed.added)
        lost = taken.union(comparison.removed)
        for other, fields in managed.sets.items():
            if fields.intersection(lost):
                managed.sets[other] = fields.difference(lost)
        own = taken.difference(_paths(_STRIPPED))
        if own:
            mine = managed.sets.get(manager)
            managed.sets[manager] = own if mine is None else mine.union(own)
            managed.times[manager] = self.now
        managed.drop_empty()
        cap_updates(managed)

    def apply(self, live: JsonObject, config: JsonObject, managed: Managed, *, force: bool) -> JsonObject:
        """Merge `config` into `live` for an applier and settle ownership in `managed`.

        Raises:
            _Conflicts: others own fields that would change, and `force` is false.
        """
        kind, manager = self.merge_type, self.manager
        merged: JsonObject = typed.merge(live, config, kind)
        last = managed.sets.get(manager)
        fields = typed.to_field_set(config, kind).without_below(self.ignored)
        sets = {**managed.sets, manager: fields}
        if last:
            merged = self._prune(merged, sets, last)
        comparison = typed.compare(live, merged, kind)
        changed = comparison.without(self.ignored)
        taken = changed.modified.union(changed.added)
        conflicts: list[Conflict] = []
        for other, owned in sets.items():
            if other != manager:
                contested = owned.intersection(taken)
                conflicts += [(other, path) for path in contested.paths()]
                if contested or owned.intersection(comparison.removed):
                    sets[other] = owned.difference(contested).difference(comparison.removed)
        if conflicts and not force:
            raise _Conflicts(conflicts)
        sets[manager] = fields.difference(_paths(_STRIPPED))
        managed.sets = sets
        managed.drop_empty()
        if last is None or not equal(live, merged):
            managed.times[manager] = self.now
        return merged

    def _prune(self, merged: JsonObject, sets: dict[ManagerId, FieldSet], last: FieldSet) -> JsonObject:
        """Remove what the manager owned and no longer applies, but for what anybody owns."""
        kind = self.merge_type
        last_named = typed.with_named_fields(last, kind)
        pruned = typed.remove(merged, last_named, kind) or {}
        owned = FieldSet()
        for fields in sets.values():
            owned = owned.union(fields)
        merged_set = typed.with_named_fields(typed.to_field_set(merged, kind), kind)
        pruned_set = typed.with_named_fields(typed.to_field_set(pruned, kind), kind)
        owned_set = typed.with_named_fields(owned, kind)
        pruned = typed.remove(merged, merged_set.difference(pruned_set.union(owned_set)), kind) or {}
        # What went with its container but was not the manager's stays.
        pruned_set = typed.with_named_fields(typed.to_field_set(pruned, kind), kind)
        gone = merged_set.difference(pruned_set).intersection(last_named)
        result: JsonObject = typed.remove(merged, gone, kind) or {}
        return result


def _ignored_fields(subresource: str, reset_fields: Sequence[str] | None) -> FieldSet:
    return _paths(_RESET_FIELDS.get(subresource, ()) if reset_fields is None else tuple(reset_fields))


def _bare(obj: JsonObject) -> JsonObject:
    """Return the object without managedFields, sharing the rest."""
    metadata = obj.get("metadata") or {}
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _with_managed(obj: JsonObject, managed: Managed) -> JsonObject:
    result = _bare(obj)
    if entries := encode(managed):
        result["metadata"]["managedFields"] = entries
    return result


def _decode_or_nothing(entries: JsonValue) -> Managed:
    try:
        return decode(entries)
    except (ValueError, AttributeError, TypeError):
        return Managed()


def _managed_of(live: JsonObject, new: JsonObject, subresource: str) -> Managed:
    """Return the entries that count: the client's own when it sent good ones to the main resource, else the live ones."""
    entries = (new.get("metadata") or {}).get("managedFields")
    if not subresource:
        if is_reset(entries):
            return Managed()
        sent = _decode_or_nothing(entries)
        if sent.sets:
            return sent
    return _decode_or_nothing((live.get("metadata") or {}).get("managedFields"))


def update_managed_fields(
    old: JsonObject | None,
    new: JsonObject,
    *,
    manager: str,
    api_version: str,
    now: str,
    schemas: Schemas,
    subresource: str = "",
    merge_type: MergeType | None = None,
    reset_fields: Sequence[str] | None = None,
) -> JsonObject:
    """Return `new` with metadata.managedFields brought up to date for a create (`old` None) or update.

    An update without any difference changes no entry, and one of an object that nobody manages stays without entries.

    Args:
        old: the stored object, in the same version and canonical form as `new`.
        new: decoded and defaulted.
        manager: the query parameter fieldManager, or what `manager_of_user_agent` makes of the User-Agent.
        api_version: of the request.
        now: RFC 3339, whole seconds.
        schemas: where the type is found.
        subresource: "status", …, "" for the main resource.
        merge_type: of custom resources.
        reset_fields: see the module.
    """
    kind, zero = _type_of(new, api_version, schemas, merge_type)
    live = zero() if old is None else old
    managed = _managed_of(live, new, subresource)
    if not managed.sets and old is not None:
        return _with_managed(new, managed)
    identity = updater(manager, api_version, subresource)
    ignored = _ignored_fields(subresource, reset_fields)
    request = _Request(kind, identity, ignored.union(_paths(_WIPED)) if old is None else ignored, now)
    request.update(_bare(live), _bare(new), managed, identity)
    return _with_managed(new, managed)


def apply_configuration(
    live: JsonObject | None,
    config: JsonObject,
    *,
    manager: str,
    force: bool,
    api_version: str,
    now: str,
    schemas: Schemas,
    subresource: str = "",
    merge_type: MergeType | None = None,
    reset_fields: Sequence[str] | None = None,
) -> JsonObject:
    """Return the live object with an applied configuration merged in and managedFields settled.

    Args:
        live: the stored object, None when it does not exist yet.
        config: the parsed body of the apply patch.
        manager: the query parameter fieldManager (required for apply).
        force: take fields over from other managers.
        api_version: of the request path.
        now: RFC 3339, whole seconds.
        schemas: see `update_managed_fields`.
        subresource: see `update_managed_fields`.
        merge_type: see `update_managed_fields`.
        reset_fields: see the module.

    Raises:
        ApiError: 400 wrong version or managedFields in the body, 500 the body does not fit the schema, 409 conflicts.
    """
    _check_configuration(config, api_version)
    kind, zero = _type_of(config, api_version, schemas, merge_type)
    try:
        typed.validate(config, kind)
    except typed.TypedFault as fault:
        metadata = config.get("metadata") or {}
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        group, _, version = api_version.rpartition("/")
        text = f"failed to create typed patch object ({name}; {group}/{version}, Kind={config.get('kind')}): {fault}"
        raise ApiError(500, "", text) from fault
    identity = applier(manager, subresource)
    request = _Request(kind, identity, _ignored_fields(subresource, reset_fields), now)
    stored = zero() if live is None else live
    managed = _decode_or_nothing((stored.get("metadata") or {}).get("managedFields"))
    bare = _bare(stored)
    if not managed.sets and live is not None:
        first = updater(BEFORE_APPLY_MANAGER, api_version, subresource)
        request.update(_bare(zero()), bare, managed, first)
    managed.versions[identity] = api_version
    try:
        merged = request.apply(bare, config, managed, force=force)
    except _Conflicts as conflicts:
        found = conflicts.found
        if manager == _KUBECTL:
            allowed = _last_applied_fields(bare, kind)
            if allowed is not None:
                found = [one for one in found if one[1] not in allowed]
        if found:
            raise _conflict_error(found) from conflicts
        merged = request.apply(bare, config, managed, force=True)
    if manager == _KUBECTL:
        merged = _with_last_applied(merged, config)
    return deep_copy(_with_managed(merged, managed))  # type: ignore[no-any-return]


def _type_of(
    obj: JsonObject, api_version: str, schemas: Schemas, merge_type: MergeType | None
) -> tuple[MergeType, Callable[[], JsonObject]]:
    """Return the merge type and what makes the object in which nothing is set, as Go's `new` does."""
    name = schemas.find_type_name(api_version, obj.get("kind", ""))
    if name is None:
        return merge_type or ANY, dict
    return merge_type or schemas.merge_type(name), lambda: schemas.decode(name, {})[0]


def _check_configuration(config: JsonObject, api_version: str) -> None:
    version = config.get("apiVersion")
    if version != api_version:
        text = f"Incorrect version specified in apply patch. Specified patch version: {version}, expected: {api_version}"
        raise bad_request(text)
    if not config.get("kind"):
        raise bad_request("Object 'Kind' is missing in the apply patch")
    if (config.get("metadata") or {}).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")


def _last_applied_fields(live: JsonObject, merge_type: MergeType) -> set[tuple[str, ...]] | None:
    """Return the fields of kubectl's annotation that still have its values, which `kubectl apply --server-side` may take over."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    if text is None:
        return None
    try:
        last = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    difference = typed.compare(last, live, merge_type)
    fields = typed.to_field_set(last, merge_type).difference(difference.modified)
    return set(fields.difference(difference.added).difference(difference.removed).paths())


def _with_last_applied(merged: JsonObject, config: JsonObject) -> JsonObject:
    """Keep kubectl's annotation in step, where an object has it, for clients that still apply on their side."""
    metadata = merged.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    if LAST_APPLIED not in annotations:
        return merged
    applied = deep_copy(config)
    (applied.get("metadata", {}).get("annotations") or {}).pop(LAST_APPLIED, None)
    text = orjson.dumps(applied).decode() + "\n"
    return {**merged, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def _describe(manager: ManagerId) -> str:
    text = f'"{manager.manager}"'
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    if manager.operation == "Update":
        text += f" using {manager.api_version}"
    return text


def _conflict_error(found: list[Conflict]) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_describe(manager)}",
            "field": format_path(path),
        }
        for manager, path in found
    ]
    if len(found) == 1:
        manager, path = found[0]
        text = f"Apply failed with 1 conflict: conflict with {_describe(manager)}: {format_path(path)}"
    else:
        lines = []
        for manager in sorted({one[0] for one in found}):
            lines.append(f"conflicts with {_describe(manager)}:")
            lines += [f"- {format_path(path)}" for other, path in found if other == manager]
        text = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", text, details={"causes": causes})


def manager_of_user_agent(user_agent: str) -> str:
    """Return the manager for a request without fieldManager: the User-Agent up to the first slash, at most 128 printable characters."""
    name = "".join(char for char in user_agent.partition("/")[0] if char.isprintable())
    return name.encode()[:128].decode(errors="ignore") or "unknown"


def keep_times_if_unchanged(old: JsonObject, new: JsonObject) -> bool:
    """Say whether `new` differs from `old` at most in the times of managedFields; if so, give it the old entries.

    Call it on the object that would be stored; if it returns True there is nothing to store.
    """
    bare_old, bare_new = _bare(old), _bare(new)
    if bare_old != bare_new or not equal(bare_old, bare_new):  # the first, quick one tells most
        return False
    old_entries = (old.get("metadata") or {}).get("managedFields") or []
    new_entries = (new.get("metadata") or {}).get("managedFields") or []

    def untimed(entries: JsonValue) -> list[JsonObject]:
        plain = [{key: value for key, value in one.items() if key != "time"} for one in entries]
        return sorted(plain, key=lambda one: (one.get("operation", ""), one.get("manager", ""), str(one)))

    if not equal(untimed(old_entries), untimed(new_entries)):
        return False
    if old_entries:
        new["metadata"]["managedFields"] = deep_copy(old_entries)
    return True
