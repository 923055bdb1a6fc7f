"""Managers of a scale subresource: they own the replicas of the scaled object.

Source: k8s.io/apimachinery/pkg/util/managedfields/scalehandler.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.patch.fieldset import FieldSet, field_element
from k3py.api.patch.managed_fields import Managed, decode, encode

if TYPE_CHECKING:
    from k3py.api.patch.managed_fields import ManagerId
    from k3py.jsontypes import JsonObject, JsonValue

_SCALE_VERSION: Final = "autoscaling/v1"
_IN_SCALE: Final = FieldSet.of([(field_element("spec"), field_element("replicas"))])


def _path(dotted: str) -> FieldSet:
    return FieldSet.of([tuple(field_element(part) for part in dotted.lstrip(".").split("."))])


def _read(entries: JsonValue) -> Managed:
    try:
        return decode(entries)
    except ValueError:
        return Managed()


def _who(manager: ManagerId) -> tuple[str, str, str]:
    """Return the identity apart from the version, which differs between scale and object."""
    return manager.manager, manager.operation, manager.subresource


def scale_entries(entries: JsonValue, replicas_path: str) -> list[JsonObject]:
    """Return managedFields for the Scale of an object whose entries are given; `replicas_path` is the object's, dotted."""
    managed, path = _read(entries), _path(replicas_path)
    found = Managed()
    for manager, fields in managed.sets.items():
        if fields.intersection(path):
            known = manager._replace(api_version=_SCALE_VERSION) if manager.api_version else manager
            found.sets[known] = _IN_SCALE
            found.times[known] = managed.times.get(manager)
            found.versions[known] = _SCALE_VERSION
    return encode(found)


def object_entries(
    entries: JsonValue, scale: JsonValue, api_version: str, replicas_path: str
) -> list[JsonObject]:
    """Return the object's managedFields after its Scale was written.

    Args:
        entries: the object's before.
        scale: the Scale's after the write.
        api_version: of the object.
        replicas_path: of the object, dotted.
    """
    managed, scaled, path = _read(entries), _read(scale), _path(replicas_path)
    owners = {_who(manager): manager for manager, fields in scaled.sets.items() if fields}
    result = Managed(versions=dict(managed.versions), times=dict(managed.times))
    for manager, fields in managed.sets.items():
        if owners.pop(_who(manager), None) is None:
            result.sets[manager] = fields.difference(path)
        else:
            result.sets[manager] = fields.union(path)
    for manager in owners.values():
        known = manager._replace(api_version=api_version) if manager.api_version else manager
        result.sets[known] = path
        result.versions[known] = api_version
        result.times[known] = scaled.times.get(manager)
    result.drop_empty()
    return encode(result)
