"""Who serves an API group and version: this server itself, or an extension API server behind a Service.

Source: k8s.io/kube-aggregator/pkg/{registry/apiservice/strategy.go,apis/apiregistration/validation} v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column, value_at
from k3py.api.conditions import find_status, set_condition
from k3py.api.fielderror import invalid_value, not_supported, required
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.names import find_dns1035_faults, find_path_segment_faults, find_subdomain_faults
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.scalar import check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject

AVAILABLE: Final = "Available"
_MOST_GROUP_PRIORITY: Final = 20_000
_MOST_VERSION_PRIORITY: Final = 1_000
_MOST_PORT: Final = 65_535
_STATUSES: Final = ("False", "True", "Unknown")


class APIServiceStrategy(StatusStrategy):
    """See the module."""

    unconditional_update = False
    status_keeps = ("labels", "annotations", "finalizers", "ownerReferences")

    def default(self, obj: JsonObject) -> None:
        """A Service is spoken to over HTTPS."""
        service = (obj.get("spec") or {}).get("service")
        if service is not None and service.get("port") is None:
            service["port"] = 443

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """What this server serves itself is available; of others nothing is known yet."""
        super().prepare_create(obj, context)
        if (obj.get("spec") or {}).get("service") is None:
            obj["status"] = {"conditions": local_conditions((), context.now)}

    def validate_name(self, name: str) -> list[str]:
        """The rest of the name's rule is about the spec: see `validate`."""
        return find_path_segment_faults(name)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check name and spec."""
        return [*_validate_name(obj), *_validate_spec(obj.get("spec") or {})]

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Conditions are true, false or unknown."""
        conditions = (new.get("status") or {}).get("conditions") or ()
        return [
            not_supported(f"status.conditions[{index}].status", one.get("status", ""), _STATUSES)
            for index, one in enumerate(conditions)
            if one.get("status") not in _STATUSES
        ]


def local_conditions(conditions: tuple[JsonObject, ...] | list[JsonObject], now: str) -> list[JsonObject]:
    """Return the conditions of an APIService that this server serves itself."""
    return set_condition(
        conditions,
        AVAILABLE,
        "True",
        reason="Local",
        message="Local APIServices are always available",
        now=now,
    )


def _validate_name(obj: JsonObject) -> list[FieldError]:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    wanted = f"{spec.get('version', '')}.{spec.get('group', '')}"
    if name == wanted or find_path_segment_faults(name):
        return []
    return [invalid_value("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{wanted}"')]


def _validate_spec(spec: JsonObject) -> list[FieldError]:
    group, version = spec.get("group") or "", spec.get("version") or ""
    errors: list[FieldError] = []
    if not group and version != "v1":
        errors.append(required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    if group:
        errors += check_text(group, "spec.group", find_subdomain_faults)
    errors += check_text(version, "spec.version", find_dns1035_faults)
    errors += _check_priority(spec, "groupPriorityMinimum", _MOST_GROUP_PRIORITY)
    errors += _check_priority(spec, "versionPriority", _MOST_VERSION_PRIORITY)
    insecure, bundle = bool(spec.get("insecureSkipTLSVerify")), spec.get("caBundle") or ""
    service = spec.get("service")
    if service is None:
        if bundle:
            detail = "local APIServices may not have a caBundle"
            errors.append(invalid_value("spec.caBundle", f"{len(bundle) * 3 // 4} bytes", detail))
        if insecure:
            detail = "local APIServices may not have insecureSkipTLSVerify"
            errors.append(invalid_value("spec.insecureSkipTLSVerify", insecure, detail))
        return errors
    errors += [required(f"spec.service.{key}") for key in ("namespace", "name") if not service.get(key)]
    port = service.get("port", 0)
    if not 1 <= port <= _MOST_PORT:
        detail = f"port is not valid: must be between 1 and {_MOST_PORT}, inclusive"
        errors.append(invalid_value("spec.service.port", port, detail))
    if insecure and bundle:
        detail = "may not be true if caBundle is present"
        errors.append(invalid_value("spec.insecureSkipTLSVerify", insecure, detail))
    return errors


def _check_priority(spec: JsonObject, key: str, most: int) -> list[FieldError]:
    value = spec.get(key) or 0
    if 0 < value <= most:
        return []
    return [invalid_value(f"spec.{key}", value, f"must be positive and less than {most}")]


def _service(obj: JsonObject) -> str:
    service = value_at(obj, "spec.service")
    return f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"


def _available(obj: JsonObject) -> str:
    """Return the condition's status, with its reason where that is not good."""
    conditions = value_at(obj, "status.conditions", ())
    status = find_status(conditions, AVAILABLE)
    if not status:
        return "Unknown"
    reason = next((one.get("reason", "") for one in conditions if one["type"] == AVAILABLE), "")
    return status if status == "True" else f"{status} ({reason})"


KIND: Final = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    categories=("api-extensions",),
    namespaced=False,
    schema="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    strategy=APIServiceStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=(NAME, column("Service", _service), column("Available", _available), AGE),
    storage=StoragePolicy(prefix="apiregistration.k8s.io/apiservices"),
    storage_version_hash="InPBPD7+PqM=",
)
