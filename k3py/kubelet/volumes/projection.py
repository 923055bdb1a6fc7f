"""Files made of ConfigMaps, Secrets and the downward API: shared by their volumes and by projected ones.

Source: pkg/volume/{configmap,secret,downwardapi} v1.35.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from k3py.kubelet.downward import UnresolvableField, field_value, resource_value
from k3py.kubelet.volumes.atomic_writer import FilePayload
from k3py.kubelet.volumes.interface import VolumeContext, VolumeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject

DEFAULT_MODE: Final = 0o644


def mode_of(source: JsonObject) -> int:
    """Return defaultMode."""
    found = source.get("defaultMode")
    return DEFAULT_MODE if found is None else int(found)


async def project_config_map(source: JsonObject, mode: int, context: VolumeContext) -> dict[str, FilePayload]:
    """Return the files of a ConfigMap. Raises VolumeError when it or a key is missing and not optional."""
    found = await context.objects.config_map(source.get("name", ""))
    if found is None:
        return _missing("configmap", source.get("name", ""), source)
    data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    data |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return _pick("configmap", data, source, mode)


async def project_secret(source: JsonObject, mode: int, context: VolumeContext) -> dict[str, FilePayload]:
    """Return the files of a Secret; its name is in `secretName` (volume) or `name` (projection)."""
    name = source.get("secretName") or source.get("name", "")
    found = await context.objects.secret(name)
    if found is None:
        return _missing("secret", name, source)
    data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    return _pick("secret", data, source, mode)


def project_downward(source: JsonObject, mode: int, context: VolumeContext) -> dict[str, FilePayload]:
    """Return the files of the downward API."""
    files = {}
    for item in source.get("items") or ():
        try:
            if "fieldRef" in item:
                text = field_value(context.pod, item["fieldRef"]["fieldPath"], host_ips=context.host_ips)
            else:
                text = resource_value(context.pod, item["resourceFieldRef"], context.allocatable)
        except UnresolvableField as error:
            raise VolumeError(str(error)) from error
        own = item.get("mode")
        files[item["path"]] = FilePayload(text.encode(), mode if own is None else int(own))
    return files


def _missing(kind: str, name: str, source: JsonObject) -> dict[str, FilePayload]:
    if source.get("optional"):
        return {}
    raise VolumeError(f'{kind} "{name}" not found')


def _pick(kind: str, data: Mapping[str, bytes], source: JsonObject, mode: int) -> dict[str, FilePayload]:
    items = source.get("items")
    if not items:
        return {key: FilePayload(value, mode) for key, value in data.items()}
    files = {}
    for item in items:
        if item["key"] not in data:
            if source.get("optional"):
                continue
            raise VolumeError(f"{kind} references non-existent config key: {item['key']}")
        own = item.get("mode")
        files[item["path"]] = FilePayload(data[item["key"]], mode if own is None else int(own))
    return files
