"""Bounds and defaults of resources in a namespace."""

from __future__ import annotations

from typing import Final

from k3py.api.columns import CREATED_AT, NAME
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy


class Strategy(BaseStrategy):
    """See the module."""

    create_on_update = True


KIND: Final = Kind(
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    short_names=("limits",),
    schema="io.k8s.api.core.v1.LimitRange",
    strategy=Strategy(),
    columns=(NAME, CREATED_AT),
    storage=StoragePolicy(prefix="limitranges"),
    storage_version_hash="EBKMFVe6cwo=",
)
