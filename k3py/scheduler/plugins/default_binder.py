"""Binds a pod by posting to its binding subresource. Source: kubernetes/pkg/scheduler/framework/plugins/defaultbinder v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.resource import PODS

if TYPE_CHECKING:
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject


class DefaultBinder:
    """See the module."""

    NAME = "DefaultBinder"

    async def bind(self, client: Client, pod: JsonObject, node_name: str) -> None:
        """Post the Binding; raises ApiError (409 when the pod is bound already)."""
        metadata = pod["metadata"]
        binding = {
            "kind": "Binding",
            "apiVersion": "v1",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "target": {"kind": "Node", "name": node_name},
        }
        await client.create(
            PODS, binding, namespace=metadata["namespace"], name=metadata["name"], subresource="binding"
        )
