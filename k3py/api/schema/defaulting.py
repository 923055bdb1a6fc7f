"""Defaults of built-in types: the plain ones from the table and the conditional ones of `defaults/`, compiled to closures.

A type's hook runs first, then its plain defaults, then those of its fields' types: upstream's order. Types without any defaults below
them cost nothing. Resource lists are rounded up to thousandths on the way.
Source: k8s.io/kubernetes/pkg/apis/*/defaults.go v1.35 through the table of defaults.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from k3py.api import quantity
from k3py.api.object import deep_copy
from k3py.api.schema.table import SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.schema.table import Field, TypeTable
    from k3py.jsontypes import JsonObject, JsonValue

    Default = Callable[[JsonObject], None]

# Go package (short) → module with HOOKS: type's short name → function of an object of that type.
_HOOK_MODULES: Final = {
    "io.k8s.api.core.v1": "k3py.api.schema.defaults.core",
    "io.k8s.api.apps.v1": "k3py.api.schema.defaults.apps",
    "io.k8s.api.batch.v1": "k3py.api.schema.defaults.batch",
    "io.k8s.api.autoscaling.v1": "k3py.api.schema.defaults.autoscaling",
    "io.k8s.api.autoscaling.v2": "k3py.api.schema.defaults.autoscaling",
    "io.k8s.api.networking.v1": "k3py.api.schema.defaults.networking",
    "io.k8s.api.rbac.v1": "k3py.api.schema.defaults.rbac",
    "io.k8s.api.resource.v1": "k3py.api.schema.defaults.resource",
    "io.k8s.api.storage.v1": "k3py.api.schema.defaults.storage",
    "io.k8s.api.admissionregistration.v1": "k3py.api.schema.defaults.admissionregistration",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": "k3py.api.schema.defaults.apiextensions",
}
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
# A PodTemplate's labels, a schema's properties: nothing below metadata or in recursive schemas has defaults.
_BARE: Final = frozenset(("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",))


def _nothing(_: JsonObject) -> None:
    return


class Defaulters:
    """Defaulters by type name, compiled at first use and kept."""

    def __init__(self, table: TypeTable) -> None:
        self._table = table
        self._ready: dict[str, Default] = {}

    def get(self, name: str) -> Default:
        """Return the defaulter of a type; one that does nothing for unknown types."""
        return self._find(name) or _nothing

    def _find(self, name: str) -> Default | None:
        """Return the defaulter, None when there is nothing to default below the type."""
        if name in self._ready:
            known = self._ready[name]
            return None if known is _nothing else known
        self._ready[name] = _nothing  # a recursive type meets this; recursive types have no defaults
        kind = self._table.find(name)
        if kind is None or kind.special or name in _BARE:
            return None
        package, _, short = name.rpartition(".")
        hook = self._find_hook(package, short)
        plain = [
            (one.json, one.default, one.pointer)
            for one in kind.json_fields.values()
            if one.default is not None
        ]
        children = [
            (one.json, child) for one in kind.json_fields.values() if (child := self._child(one)) is not None
        ]
        inlined = [
            found for one in kind.fields if one.inline and (found := self._hook_of(one.type)) is not None
        ]
        if hook is None and not plain and not children and not inlined:
            return None
        hooks = tuple(inlined) if hook is None else (hook, *inlined)

        def default(obj: JsonObject) -> None:
            for one in hooks:
                one(obj)
            for field, value, pointer in plain:
                present = obj.get(field)
                # A pointer's zero was said by somebody (replicas: 0), another field's zero is nobody's.
                if present is None or (not present and not pointer):
                    obj[field] = deep_copy(value) if isinstance(value, dict | list) else value
            for field, child in children:
                entry = obj.get(field)
                if entry is not None:
                    child(entry)

        self._ready[name] = default
        return default

    def _hook_of(self, name: str) -> Default | None:
        package, _, short = name.rpartition(".")
        return self._find_hook(package, short)

    def _find_hook(self, package: str, short: str) -> Default | None:
        module = _HOOK_MODULES.get(package)
        if module is None:
            return None
        hooks: dict[str, Default] = import_module(module).HOOKS
        return hooks.get(f"{package.rpartition('.')[2]}.{short}") or hooks.get(short)

    def _child(self, one: Field) -> Callable[[JsonValue], None] | None:
        if one.type == _QUANTITY and one.card == "map":
            return _round_list
        if one.type in SCALARS:
            return None
        child = self._find(one.type)
        if child is None:
            return None
        if one.card == "rep":

            def default_list(entries: JsonValue) -> None:
                for entry in entries:
                    child(entry)

            return default_list
        if one.card == "map":

            def default_map(entries: JsonValue) -> None:
                for entry in entries.values():
                    child(entry)

            return default_map
        return child


def _round_list(entries: JsonValue) -> None:
    for name, text in entries.items():
        if not text.isdigit():
            entries[name] = quantity.round_up_to_milli(text)
