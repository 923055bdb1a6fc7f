"""Judges pods by a level. Source: k8s.io/pod-security-admission/policy/registry.go v0.35."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.pod_security import checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.pod_security.labels import LevelVersion
    from k3py.jsontypes import JsonObject

    Check = Callable[[JsonObject, JsonObject, int], str]

# In the order in which findings are told: title, check.
_BASELINE: Final[tuple[tuple[str, Check], ...]] = (
    ("forbidden AppArmor profile", checks.check_apparmor),
    ("non-default capabilities", checks.check_default_capabilities),
    ("host namespaces", checks.check_host_namespaces),
    ("hostPath volumes", checks.check_host_path),
    ("hostPort", checks.check_host_ports),
    ("probe or lifecycle host", checks.check_probe_hosts),
    ("privileged", checks.check_privileged),
    ("procMount", checks.check_proc_mount),
    ("seLinuxOptions", checks.check_selinux),
    ("seccompProfile", checks.check_seccomp),
    ("forbidden sysctls", checks.check_sysctls),
    ("hostProcess", checks.check_host_process),
)
# These replace checks of the baseline that ask for less.
_REPLACED: Final = (checks.check_default_capabilities, checks.check_host_path, checks.check_seccomp)
_RESTRICTED: Final[tuple[tuple[str, Check], ...]] = (
    *((title, check) for title, check in _BASELINE if check not in _REPLACED),
    ("allowPrivilegeEscalation != false", checks.check_escalation),
    ("unrestricted capabilities", checks.check_dropped_capabilities),
    ("restricted volume types", checks.check_volume_types),
    ("runAsNonRoot != true", checks.check_non_root),
    ("runAsUser=0", checks.check_user),
    ("seccompProfile", checks.check_seccomp_set),
)
_CHECKS: Final = {"privileged": (), "baseline": _BASELINE, "restricted": _RESTRICTED}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a level forbids: its title and where it is."""

    title: str
    detail: str

    def __str__(self) -> str:
        return f"{self.title} ({self.detail})"


def evaluate(pod: JsonObject, policy: LevelVersion) -> list[Finding]:
    """Return what the level forbids about a pod or a pod template."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    return [
        Finding(title, detail)
        for title, check in _CHECKS[policy.level]
        if (detail := check(metadata, spec, policy.minor))
    ]
