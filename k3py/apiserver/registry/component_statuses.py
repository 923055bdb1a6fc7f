"""GET and LIST of ComponentStatuses: the datastore, the scheduler and the controllers, as they are at the moment.

Source: kubernetes/pkg/registry/core/componentstatus v1.35.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.status import not_found
from k3py.apiserver.interface import ListResult, ObjectResult
from k3py.apiserver.registry.selection import parse_fields, parse_labels
from k3py.storage.interface import ListPage, ListQuery, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_DATASTORE: Final = "etcd-0"


class ComponentStatuses:
    """Answers for the kind; `follow` names what else there is beside the datastore."""

    def __init__(self) -> None:
        self._parts: dict[str, Sequence[str]] = {}
        self._health: Callable[[], Mapping[str, str | None]] = dict

    def follow(
        self, health: Callable[[], Mapping[str, str | None]], parts: Mapping[str, Sequence[str]]
    ) -> None:
        """Show parts ("scheduler", "controller-manager") by the health of their components (name → fault or None)."""
        self._health = health
        self._parts = dict(parts)

    async def handle(self, call: Call) -> ObjectResult | ListResult:
        """Return one status or all that are selected. Raises ApiError."""
        if call.request.name:
            for name, fault in (await self._faults(call)).items():
                if name == call.request.name:
                    return ObjectResult(kind=call.kind, document=_document(name, fault))
            raise not_found("", "componentstatus", call.request.name)
        labels, fields = parse_labels(call.request.options), parse_fields(call)
        views = [_View(name, fault) for name, fault in (await self._faults(call)).items()]
        chosen = [
            view
            for view in views
            if (labels is None or labels.matches(view.labels))
            and (fields is None or fields.matches(view.fields))
        ]
        return ListResult(kind=call.kind, page=ListPage(items=chosen, revision=0))

    async def _faults(self, call: Call) -> dict[str, str]:
        """Return name → what is wrong, "" = nothing, in the order of names."""
        health = self._health()
        faults = {_DATASTORE: await _datastore_fault(call)}
        for part, components in self._parts.items():
            found = ((one, health.get(one)) for one in components)
            faults[part] = "; ".join(f"{name}: {fault}" for name, fault in found if fault)
        return dict(sorted(faults.items()))


async def _datastore_fault(call: Call) -> str:
    namespaces = call.services.kinds.find("", "v1", "namespaces")
    if namespaces is None:
        return ""
    try:
        store = await call.services.storage.store_for(namespaces)
        await store.list(ListQuery(limit=1))
    except StorageError as error:
        return str(error)
    return ""


def _document(name: str, fault: str) -> JsonObject:
    condition = {"type": "Healthy", "status": "False" if fault else "True"}
    text = {"message": "", "error": fault} if fault else {"message": "ok"}
    return {
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "conditions": [{**condition, **text}],
    }


class _View:
    """A status as an object of a list."""

    namespace = ""
    uid = ""
    revision = 0

    def __init__(self, name: str, fault: str) -> None:
        self.name = name
        self.labels: Mapping[str, str] = {}
        self.fields: Mapping[str, str] = {"metadata.name": name, "metadata.namespace": ""}
        self.parsed = _document(name, fault)

    @cached_property
    def served(self) -> bytes:
        """The document's bytes."""
        return orjson.dumps(self.parsed)
