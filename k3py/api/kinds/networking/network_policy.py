"""Who may talk to pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column, format_selector, value_at
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.network_policy import validate_network_policy

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class NetworkPolicyStrategy(BaseStrategy):
    """See the module."""

    has_generation = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check whom the rules are about."""
        return validate_network_policy(obj.get("spec") or {})


KIND: Final = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    short_names=("netpol",),
    schema="io.k8s.api.networking.v1.NetworkPolicy",
    strategy=NetworkPolicyStrategy(),
    columns=(
        NAME,
        column("Pod-Selector", lambda obj: format_selector(value_at(obj, "spec.podSelector"))),
        AGE,
    ),
    storage=StoragePolicy(prefix="networkpolicies"),
    storage_version_hash="YpfwF18m1G8=",
)
