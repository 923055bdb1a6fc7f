"""projected volumes: ConfigMaps, Secrets, downward API and service account tokens in one folder.

Source: pkg/volume/projected/projected.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.kubelet.pod import containers, init_containers
from k3py.kubelet.volumes.atomic_writer import FilePayload
from k3py.kubelet.volumes.payload import write_volume
from k3py.kubelet.volumes.projection import mode_of, project_config_map, project_downward, project_secret

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.volumes.interface import VolumeContext

DEFAULT_EXPIRATION_S: Final = 3600


class ProjectedVolume:
    """Several sources as files in memory."""

    source = "projected"

    async def set_up(self, volume: JsonObject, context: VolumeContext) -> Path:
        """Write or update the files."""
        mode = mode_of(volume["projected"])
        files: dict[str, FilePayload] = {}
        for source in volume["projected"].get("sources") or ():
            if "configMap" in source:
                files |= await project_config_map(source["configMap"], mode, context)
            elif "secret" in source:
                files |= await project_secret(source["secret"], mode, context)
            elif "downwardAPI" in source:
                files |= project_downward(source["downwardAPI"], mode, context)
            elif "serviceAccountToken" in source:
                files |= await _token(source["serviceAccountToken"], mode, context)
        return await write_volume(
            context.path_of("projected", volume["name"]), files, context, in_memory=True
        )


async def _token(source: JsonObject, mode: int, context: VolumeContext) -> dict[str, FilePayload]:
    token = await context.objects.token(
        audience=source.get("audience", ""),
        expiration_s=int(source.get("expirationSeconds") or DEFAULT_EXPIRATION_S),
        path_key=source["path"],
    )
    uid = _common_user(context.pod)
    if uid is not None or context.fs_group is not None:
        mode = 0o600
    return {source["path"]: FilePayload(token.encode(), mode, uid)}


def _common_user(pod: JsonObject) -> int | None:
    """Return the user that all containers run as when there is one: then only it may read a token."""
    of_pod = (pod["spec"].get("securityContext") or {}).get("runAsUser")
    users = {
        (one.get("securityContext") or {}).get("runAsUser", of_pod)
        for one in (*init_containers(pod), *containers(pod))
    }
    user = users.pop() if len(users) == 1 else None
    return None if user is None else int(user)
