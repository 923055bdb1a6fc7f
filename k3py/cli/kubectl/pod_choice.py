"""Which pod is meant by `pod/NAME`, `deployment/NAME`, `service/NAME`. Source: kubectl v0.35 pkg/polymorphichelpers attachablepodforobject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.resource import PODS
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject


async def find_pod(session: Session, word: str) -> tuple[JsonObject, JsonObject]:
    """Return the named object and one of its pods, ready ones first, then running, then the newest.

    Raises:
        K3pyError: it has none.
        ApiError: it is not there.
    """
    kind, slash, name = word.partition("/")
    if not slash:
        pod = await session.client.get(PODS, word, namespace=session.namespace)
        return pod, pod
    resource = await session.find_resource(kind)
    obj = await session.client.get(resource, name, namespace=session.namespace_for(resource))
    if resource == PODS:
        return obj, obj
    spec = obj.get("spec") or {}
    selector = spec.get("selector") or {}
    labels = selector.get(
        "matchLabels", selector if resource.kind in ("Service", "ReplicationController") else {}
    )
    if not labels:
        raise K3pyError(f"cannot attach to *{resource.kind}: selector for {resource.plural}/{name} is empty")
    text = ",".join(f"{key}={value}" for key, value in labels.items())
    found = (await session.client.list(PODS, namespace=session.namespace, label_selector=text)).items
    if not found:
        raise K3pyError(f"timed out waiting for the condition: {word} has no pods")
    return obj, min(found, key=_rank)


def _rank(pod: JsonObject) -> tuple[bool, bool, str]:
    ready = any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions") or ()
    )
    return not ready, pod["status"].get("phase") != "Running", str(pod["metadata"]["name"])
