"""Who may talk to pods."""

from __future__ import annotations

from typing import Final

from k3py.api.columns import AGE, NAME, column, format_selector, value_at
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy


class Strategy(BaseStrategy):
    """See the module."""

    has_generation = True


KIND: Final = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    short_names=("netpol",),
    schema="io.k8s.api.networking.v1.NetworkPolicy",
    strategy=Strategy(),
    columns=(
        NAME,
        column("Pod-Selector", lambda obj: format_selector(value_at(obj, "spec.podSelector"))),
        AGE,
    ),
    storage=StoragePolicy(prefix="networkpolicies"),
    storage_version_hash="YpfwF18m1G8=",
)
