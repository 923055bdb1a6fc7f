"""The one table of flags: name, environment variable, configuration key, default, type (spec/k3s.md §1.2, §1.3).

A row in a file of this folder is all that a new flag needs besides the code that uses it. Flags that K3s has and that are not here yet are
refused by name as unknown, never accepted and ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.config.options import cluster, components, datastore, general, networking, node, snapshots

if TYPE_CHECKING:
    from k3py.config.option import Option

OPTIONS: Final[tuple[Option, ...]] = (
    *general.OPTIONS,
    *networking.OPTIONS,
    *cluster.OPTIONS,
    *datastore.OPTIONS,
    *snapshots.OPTIONS,
    *components.OPTIONS,
    *node.OPTIONS,
)

NOT_YET: Final[dict[str, str]] = {
    "etcd-snapshot-reconcile-interval": "is not available yet: snapshots are listed from the folder itself",
    "helm-job-image": "has no meaning here: helm runs on the server, without job pods",
    "servicelb-namespace": "has no meaning here: the service load balancer has no pods",
    "system-default-registry": "has no meaning here: k3py brings no images of its own; --private-registry leads pulls to mirrors",
}
"""Flags of K3s, or beginnings of them, that are refused with a reason."""


def why_not(name: str) -> str:
    """Return why a flag of K3s is refused, "" for any other name."""
    return next(
        (why for prefix, why in NOT_YET.items() if name == prefix or name.startswith(f"{prefix}-")), ""
    )


def options_of(role: str) -> tuple[Option, ...]:
    """Return the flags of "server" or "agent"."""
    return tuple(one for one in OPTIONS if role in one.roles)
