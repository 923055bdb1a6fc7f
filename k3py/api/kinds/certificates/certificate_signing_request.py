"""Somebody asks a signer for a certificate; somebody else approves, a signer issues.

Three parts are written by three parties: the main resource by who asks, `approval` by who approves, `status` by who signs.
Source: kubernetes/pkg/registry/certificates/certificates/strategy.go and pkg/apis/certificates/validation v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, field_column, value_at
from k3py.api.duration import human_duration
from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, not_supported, required
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.certificate import validate_certificate, validate_request_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject

_DECISIONS: Final = ("Approved", "Denied")
_LASTING: Final = (*_DECISIONS, "Failed")
_CERTIFICATE: Final = "status.certificate"
_CONDITIONS: Final = "status.conditions"


class CertificateSigningRequestStrategy(StatusStrategy):
    """See the module."""

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Write down who asks."""
        super().prepare_create(obj, context)
        spec = obj.setdefault("spec", {})
        user = context.user
        for key in ("uid", "groups", "extra"):
            spec.pop(key, None)
        spec["username"] = user.name
        if user.uid:
            spec["uid"] = user.uid
        if user.groups:
            spec["groups"] = list(user.groups)
        if user.extra:
            spec["extra"] = {key: list(values) for key, values in user.extra.items()}

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Only metadata changes."""
        super().prepare_update(new, old, context)
        new["spec"] = old["spec"]

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Keep what was decided; complete times."""
        super().prepare_status_update(new, old, context)
        for decision in _DECISIONS:
            _keep_conditions(new, old, decision)
        _complete_times(new, old, context.now)

    def prepare_approval_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Only conditions change."""
        super().prepare_status_update(new, old, context)
        if "certificate" in old["status"]:
            new["status"]["certificate"] = old["status"]["certificate"]
        else:
            new["status"].pop("certificate", None)
        _complete_times(new, old, context.now)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check what is asked for, and what was answered."""
        status = obj.get("status") or {}
        return [
            *validate_request_spec(obj.get("spec") or {}),
            *_validate_conditions(status.get("conditions") or ()),
            *validate_certificate(status.get("certificate") or "", _CERTIFICATE),
        ]

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Neither decisions nor certificates come this way."""
        errors = [*self.validate(new), *_find_lost(new, old), *_find_new_decisions(new, old)]
        if _certificate_of(new) != _certificate_of(old):
            errors.append(forbidden_field(_CERTIFICATE, "updates may not set certificate content"))
        return errors

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """A certificate is issued once; decisions come through `approval`."""
        errors = [*self.validate(new), *_find_lost(new, old), *_find_new_decisions(new, old)]
        if _certificate_of(old) and _certificate_of(new) != _certificate_of(old):
            errors.append(
                forbidden_field(_CERTIFICATE, "updates may not modify existing certificate content")
            )
        return errors

    def validate_approval_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """A decision stays."""
        return [*self.validate(new), *_find_lost(new, old)]


def _certificate_of(obj: JsonObject) -> str:
    return (obj.get("status") or {}).get("certificate") or ""


def _conditions_of(obj: JsonObject, kind: str) -> list[JsonObject]:
    return [one for one in (obj.get("status") or {}).get("conditions") or () if one.get("type") == kind]


def _keep_conditions(new: JsonObject, old: JsonObject, kind: str) -> None:
    """Put the old conditions of a kind in the places of the new ones; a different number is for validation to refuse."""
    kept = _conditions_of(old, kind)
    if not kept or len(_conditions_of(new, kind)) != len(kept):
        return
    rest = iter(kept)
    new["status"]["conditions"] = [
        next(rest) if one.get("type") == kind else one for one in new["status"]["conditions"]
    ]


def _complete_times(new: JsonObject, old: JsonObject, now: str) -> None:
    conditions = (new.get("status") or {}).get("conditions") or ()
    for condition in conditions:
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = now
        if not condition.get("lastTransitionTime"):
            before = [
                one.get("lastTransitionTime")
                for one in _conditions_of(old, condition.get("type", ""))
                if one.get("status") == condition.get("status")
            ]
            condition["lastTransitionTime"] = next(filter(None, before), now)


def _validate_conditions(conditions: Sequence[JsonObject]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        path = f"{_CONDITIONS}[{index}]"
        kind, status = condition.get("type") or "", condition.get("status") or ""
        if not kind:
            errors.append(required(f"{path}.type"))
        elif kind in seen:
            errors.append(duplicate(f"{path}.type", kind))
        allowed = ("True",) if kind in _LASTING else ("False", "True", "Unknown")
        if not status:
            errors.append(required(f"{path}.status"))
        elif status not in allowed:
            errors.append(not_supported(f"{path}.status", status, allowed))
        if kind in _DECISIONS and (seen | {kind}).issuperset(_DECISIONS) and kind not in seen:
            errors.append(
                invalid_value(f"{path}.type", kind, "Approved and Denied conditions are mutually exclusive")
            )
        seen.add(kind)
    return errors


def _find_lost(new: JsonObject, old: JsonObject) -> list[FieldError]:
    return [
        forbidden_field(_CONDITIONS, f'updates may not remove a condition of type "{kind}"')
        for kind in _LASTING
        if len(_conditions_of(new, kind)) < len(_conditions_of(old, kind))
    ]


def _find_new_decisions(new: JsonObject, old: JsonObject) -> list[FieldError]:
    return [
        forbidden_field(_CONDITIONS, f'updates may not add a condition of type "{kind}"')
        for kind in _DECISIONS
        if len(_conditions_of(new, kind)) > len(_conditions_of(old, kind))
    ]


def _condition_text(obj: JsonObject) -> str:
    """Return the words of kubectl: Approved,Issued, Denied, Failed, Pending."""
    found = [kind for kind in _LASTING if _conditions_of(obj, kind)]
    words = ["Denied"] if "Denied" in found else ["Approved"] if "Approved" in found else ["Pending"]
    if "Failed" in found:
        words.append("Failed")
    if _certificate_of(obj):
        words.append("Issued")
    return ",".join(words)


def _requested_duration(obj: JsonObject) -> str:
    seconds = value_at(obj, "spec.expirationSeconds")
    return NONE if seconds is None else human_duration(seconds)


KIND: Final = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    short_names=("csr",),
    namespaced=False,
    schema="io.k8s.api.certificates.v1.CertificateSigningRequest",
    strategy=CertificateSigningRequestStrategy(),
    reset_fields=("spec", "status"),  # by all three ways
    subresources=(
        Subresource(name="approval", verbs=("get", "patch", "update")),
        Subresource(name="status", verbs=("get", "patch", "update")),
    ),
    columns=(
        NAME,
        AGE,
        field_column("SignerName", "spec.signerName"),
        field_column("Requestor", "spec.username"),
        column("RequestedDuration", _requested_duration),
        column("Condition", _condition_text),
    ),
    selectable_fields={"spec.signerName": lambda obj: value_at(obj, "spec.signerName", "")},
    storage=StoragePolicy(prefix="certificatesigningrequests"),
    storage_version_hash="95fRKMXA+00=",
)
