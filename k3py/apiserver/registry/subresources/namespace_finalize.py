"""namespaces/finalize: the namespace controller takes its finalizer off; the last one gone ends the namespace.

Source: pkg/registry/core/namespace/strategy.go (namespaceFinalizeStrategy) v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.fielderror import FieldError, invalid_value
from k3py.api.names import find_qualified_name_faults
from k3py.apiserver.registry.update import update_part
from k3py.apiserver.registry.updating import Part

if TYPE_CHECKING:
    from k3py.api.kind import WriteContext
    from k3py.apiserver.interface import ObjectResult
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject


async def handle_finalize(call: Call) -> ObjectResult:
    """Answer PUT. Raises ApiError, StorageError."""
    return await update_part(call, Part(prepare=_prepare, validate=_validate))


def _prepare(new: JsonObject, old: JsonObject, _context: WriteContext) -> None:
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def _validate(new: JsonObject, _old: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, name in enumerate((new.get("spec") or {}).get("finalizers") or ()):
        path = f"spec.finalizers[{index}]"
        faults = find_qualified_name_faults(name)
        errors += [invalid_value(path, name, fault) for fault in faults]
        if not faults and "/" not in name and name != "kubernetes":
            errors.append(
                invalid_value(
                    path, name, "name is neither a standard finalizer name nor is it fully qualified"
                )
            )
    return errors
