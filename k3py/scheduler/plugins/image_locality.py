"""Nodes that have the pod's images already are better, the more so the larger these are and the more nodes have them.

Source: kubernetes/pkg/scheduler/framework/plugins/imagelocality v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_MEBIBYTE: Final = 1024 * 1024
_LEAST_BYTES: Final = 23 * _MEBIBYTE
_MOST_BYTES_A_CONTAINER: Final = 1000 * _MEBIBYTE


class ImageLocality:
    """See the module."""

    NAME = "ImageLocality"

    def score(self, pod: PodInfo, cluster: SchedulerCache, nodes: Sequence[NodeInfo]) -> Sequence[int] | None:
        """Scale the bytes that are there between 23 MiB and 1000 MiB a container."""
        spec = pod.pod["spec"]
        containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        known = cluster.image_nodes
        images = [name for one in containers if (name := _full_name(one.get("image", ""))) in known]
        if not images:
            return None
        total = len(cluster.nodes())
        most = _MOST_BYTES_A_CONTAINER * len(containers)
        scores = []
        for node in nodes:
            there = sum(int(node.images.get(one, 0) * (known[one] / total)) for one in images)
            clamped = min(max(there, _LEAST_BYTES), most)
            scores.append(MAX_SCORE * (clamped - _LEAST_BYTES) // (most - _LEAST_BYTES))
        return scores


def _full_name(image: str) -> str:
    """Return the name with a tag; nodes report their images so."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
