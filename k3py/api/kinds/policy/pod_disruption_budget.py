"""How many pods may be missing at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, NAME, column, field, value_at
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class Strategy(WorkloadStrategy):
    """See the module."""

    unconditional_update = False
    empty_status: ClassVar[JsonObject] = {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    }


KIND: Final = Kind(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    short_names=("pdb",),
    schema="io.k8s.api.policy.v1.PodDisruptionBudget",
    strategy=Strategy(),
    subresources=(
        Subresource(
            name="status",
            verbs=(
                "get",
                "patch",
                "update",
            ),
        ),
    ),
    columns=(
        NAME,
        column("Min Available", lambda obj: str(value_at(obj, "spec.minAvailable", "N/A"))),
        column("Max Unavailable", lambda obj: str(value_at(obj, "spec.maxUnavailable", "N/A"))),
        field("Allowed Disruptions", "status.disruptionsAllowed", 0, kind="integer"),
        AGE,
    ),
    storage=StoragePolicy(prefix="poddisruptionbudgets"),
    storage_version_hash="EVWiDmWqyJw=",
)
