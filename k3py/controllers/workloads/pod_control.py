"""Creating and deleting pods on behalf of an owner, with upstream's events and slow start.

Source: RealPodControl and slowStartBatch in kubernetes/pkg/controller/controller_utils.go v1.35.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from k3py.api.object import deep_copy
from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.controllers.ownership import make_controller_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.controllers.interface import Recorder
    from k3py.jsontypes import JsonObject


def make_pod(owner: JsonObject, resource: Resource, *, name: str = "") -> JsonObject:
    """Return the pod that the owner's template describes, owned by it; without `name` the server makes one up."""
    template = deep_copy(owner["spec"]["template"])
    metadata = template.get("metadata") or {}
    prefix = f"{owner['metadata']['name']}-"[:247]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            **({"name": name} if name else {"generateName": prefix}),
            "namespace": owner["metadata"]["namespace"],
            **{key: metadata[key] for key in ("labels", "annotations", "finalizers") if metadata.get(key)},
            "ownerReferences": [make_controller_reference(owner, resource)],
        },
        "spec": template.get("spec") or {},
    }


class PodControl:
    """Creates and deletes pods of owners and tells about it."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder

    async def create(self, owner: JsonObject, pod: JsonObject) -> ApiError | None:
        """Create one pod; a namespace that is going is no failure, for then the owner goes too."""
        try:
            made = await self._client.create(PODS, pod, namespace=owner["metadata"]["namespace"])
        except ApiError as error:
            if error.has_cause("NamespaceTerminating"):
                return None
            self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
            return error
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        return None

    async def create_all(
        self, owner: JsonObject, pods: Sequence[JsonObject], on_missing: Callable[[], None]
    ) -> ApiError | None:
        """Create in batches of 1, 2, 4, …, so that a template that fails does so once and not for every pod.

        on_missing is called for each pod that failed or was not tried. Returns the first failure.
        """
        at, batch = 0, 1
        while at < len(pods):
            part = pods[at : at + batch]
            results = await asyncio.gather(  # noqa: TID251 - failures are wanted as values
                *(self.create(owner, pod) for pod in part)
            )
            at += len(part)
            batch *= 2
            failures = [one for one in results if one is not None]
            if failures:
                for _ in range(len(failures) + len(pods) - at):
                    on_missing()
                return failures[0]
        return None

    async def delete(self, owner: JsonObject, pod: JsonObject) -> ApiError | None:
        """Delete one pod. A pod that is gone already is told as 404 and without an event."""
        metadata = pod["metadata"]
        try:
            await self._client.delete(
                PODS, metadata["name"], namespace=metadata["namespace"], uid=metadata["uid"]
            )
        except ApiError as error:
            if error.code != 404:
                self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
            return error
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}")
        return None
