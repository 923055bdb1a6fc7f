"""Security contexts of sandboxes and containers in CRI's words. Pure.

Source: pkg/kubelet/kuberuntime/security_context.go, pkg/securitycontext v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.kubelet.environment import ContainerConfigError
from k3py.kubelet.pod import is_host_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

MASKED_PATHS: Final = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def namespace_options(pod: JsonObject, *, target_id: str = "") -> JsonObject:
    """Return CRI's NamespaceOption; `target_id`: container whose processes an ephemeral container sees."""
    spec = pod["spec"]
    pid = "CONTAINER"
    if spec.get("hostPID"):
        pid = "NODE"
    elif target_id:
        pid = "TARGET"
    elif spec.get("shareProcessNamespace"):
        pid = "POD"
    options: JsonObject = {
        "network": "NODE" if is_host_network(pod) else "POD",
        "ipc": "NODE" if spec.get("hostIPC") else "POD",
        "pid": pid,
    }
    if target_id:
        options["target_id"] = target_id
    return options


def is_privileged(container: JsonObject) -> bool:
    """Say whether a container is privileged."""
    return bool((container.get("securityContext") or {}).get("privileged"))


def sandbox_security(pod: JsonObject, containers: Sequence[JsonObject]) -> JsonObject:
    """Return CRI's LinuxSandboxSecurityContext."""
    own = pod["spec"].get("securityContext") or {}
    document: JsonObject = {
        "namespace_options": namespace_options(pod),
        "privileged": any(is_privileged(one) for one in containers),
        "supplemental_groups": supplemental_groups(own),
        "seccomp": _profile(own.get("seccompProfile") or {"type": "RuntimeDefault"}),
    }
    if own.get("runAsUser") is not None:
        document["run_as_user"] = {"value": own["runAsUser"]}
    if own.get("runAsGroup") is not None and own.get("runAsUser") is not None:
        document["run_as_group"] = {"value": own["runAsGroup"]}
    return document


def supplemental_groups(own: JsonObject, extra: Sequence[int] = ()) -> list[int]:
    """Return supplementalGroups, fsGroup and `extra` without repetition."""
    groups = [int(one) for one in own.get("supplementalGroups") or ()]
    if own.get("fsGroup") is not None:
        groups.append(int(own["fsGroup"]))
    return list(dict.fromkeys((*groups, *extra)))


def container_security(
    pod: JsonObject, container: JsonObject, *, image_uid: int | None, image_user: str, target_id: str = ""
) -> JsonObject:
    """Return CRI's LinuxContainerSecurityContext.

    Args:
        pod: the pod.
        container: the container.
        image_uid: the image's numeric user, None when it has none or a name.
        image_user: the image's user by name, "" when it has none or a number.
        target_id: container whose processes an ephemeral container sees.

    Raises:
        ContainerConfigError: runAsNonRoot is not met or cannot be checked.
    """
    of_pod = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    both = {
        key: own.get(key, of_pod.get(key))
        for key in ("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile")
    }
    _check_non_root(both, image_uid, image_user)
    privileged = bool(own.get("privileged"))
    capabilities = own.get("capabilities") or {}
    document: JsonObject = {
        "namespace_options": namespace_options(pod, target_id=target_id),
        "privileged": privileged,
        "readonly_rootfs": bool(own.get("readOnlyRootFilesystem")),
        "no_new_privs": own.get("allowPrivilegeEscalation") is False,
        "supplemental_groups": supplemental_groups(of_pod),
        "capabilities": {
            "add_capabilities": list(capabilities.get("add") or ()),
            "drop_capabilities": list(capabilities.get("drop") or ()),
        },
        "seccomp": _profile(
            {"type": "Unconfined"} if privileged else both["seccompProfile"] or {"type": "Unconfined"}
        ),
    }
    if policy := of_pod.get("supplementalGroupsPolicy"):
        document["supplemental_groups_policy"] = policy
    if own.get("procMount") != "Unmasked" and not privileged:
        document["masked_paths"] = list(MASKED_PATHS)
        document["readonly_paths"] = list(READONLY_PATHS)
    if both["runAsUser"] is not None:
        document["run_as_user"] = {"value": both["runAsUser"]}
    elif image_uid is not None:
        document["run_as_user"] = {"value": image_uid}
    elif image_user:
        document["run_as_username"] = image_user
    if both["runAsGroup"] is not None:
        document["run_as_group"] = {"value": both["runAsGroup"]}
    return document


def _check_non_root(both: JsonObject, image_uid: int | None, image_user: str) -> None:
    if not both["runAsNonRoot"]:
        return
    if both["runAsUser"] is not None:
        if both["runAsUser"] == 0:
            raise ContainerConfigError("container's runAsUser breaks non-root policy")
        return
    if image_user:
        raise ContainerConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({image_user}), cannot verify user is non-root"
        )
    if not image_uid:
        raise ContainerConfigError("container has runAsNonRoot and image will run as root")


def _profile(profile: JsonObject) -> JsonObject:
    document: JsonObject = {"profile_type": profile.get("type") or "Unconfined"}
    if document["profile_type"] == "Localhost":
        document["localhost_ref"] = f"/var/lib/kubelet/seccomp/{profile.get('localhostProfile', '')}"
    return document
