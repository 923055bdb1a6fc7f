"""The CSI drivers of a node."""

from __future__ import annotations

from typing import Final

from k3py.api.columns import AGE, NAME, column, value_at
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy


class Strategy(BaseStrategy):
    """See the module."""

    object_on_delete = True
    unconditional_update = False


KIND: Final = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    schema="io.k8s.api.storage.v1.CSINode",
    strategy=Strategy(),
    columns=(
        NAME,
        column("Drivers", lambda obj: len(value_at(obj, "spec.drivers", ())), kind="integer"),
        AGE,
    ),
    storage=StoragePolicy(prefix="csinodes"),
    storage_version_hash="Pe62DkZtjuo=",
)
