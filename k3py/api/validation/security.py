"""Security contexts, operating systems, user namespaces. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, not_supported, required, too_long
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.scalar import (
    check_choice,
    check_descending_path,
    check_known,
    check_range,
    check_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_MOST_ID: Final = 2**31 - 1
_PROFILES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_PROC_MOUNTS: Final = ("Default", "Unmasked")
_SYSCTL: Final = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?\Z")
_LONGEST_SYSCTL: Final = 253
_LONGEST_APPARMOR: Final = 4095
_MOST_GMSA_BYTES: Final = 64 * 1024
_LONGEST_USER: Final = 104
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BAD_USER: Final = re.compile(r'["/\\:;|=,+*?<>@\[\]]')
_NETBIOS: Final = re.compile(r'[^"/\\:*?<>|.]([^"/\\:*?<>|]{0,14})?\Z')
_WINDOWS_POD: Final = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
)
_WINDOWS_CONTAINER: Final = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)
_ID_FIELDS: Final = ("runAsUser", "runAsGroup")


def validate_security_context(context: JsonObject, path: str, *, host_users: bool) -> list[FieldError]:
    """Check the security context of a container."""
    errors: list[FieldError] = []
    for field in _ID_FIELDS:
        errors += check_range(context.get(field), f"{path}.{field}", 0, _MOST_ID)
    proc_mount = context.get("procMount")
    if proc_mount is not None:
        errors += check_known(proc_mount, f"{path}.procMount", _PROC_MOUNTS)
        if proc_mount == "Unmasked" and host_users:
            detail = "`hostUsers` must be false to use `Unmasked`"
            errors.append(invalid_value(f"{path}.procMount", proc_mount, detail))
    errors += _validate_profiles(context, path)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid_value(path, context, detail))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(invalid_value(path, context, detail))
    return errors


def validate_pod_security_context(spec: JsonObject, path: str) -> list[FieldError]:
    """Check the security context of a pod; `path` is that of the spec."""
    context = spec.get("securityContext")
    if context is None:
        return []
    where = f"{path}.securityContext"
    errors: list[FieldError] = []
    for field in ("fsGroup", *_ID_FIELDS):
        errors += check_range(context.get(field), f"{where}.{field}", 0, _MOST_ID)
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        errors += check_range(group, f"{where}.supplementalGroups[{index}]", 0, _MOST_ID)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid_value(f"{where}.shareProcessNamespace", True, detail))
    errors += _validate_sysctls(context.get("sysctls") or (), f"{where}.sysctls")
    for field, allowed in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("Recursive",)),
    ):
        if context.get(field) is not None:
            errors += check_known(context[field], f"{where}.{field}", allowed)
    return errors + _validate_profiles(context, where)


def _validate_profiles(context: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if context.get("seccompProfile") is not None:
        errors += _validate_seccomp(context["seccompProfile"], f"{path}.seccompProfile")
    if context.get("windowsOptions") is not None:
        errors += _validate_windows_options(context["windowsOptions"], f"{path}.windowsOptions")
    if context.get("appArmorProfile") is not None:
        errors += _validate_apparmor(context["appArmorProfile"], f"{path}.appArmorProfile")
    return errors


def _validate_seccomp(profile: JsonObject, path: str) -> list[FieldError]:
    errors = check_choice(profile.get("type", ""), f"{path}.type", _PROFILES)
    file, where = profile.get("localhostProfile"), f"{path}.localhostProfile"
    if profile.get("type") == "Localhost":
        if file is None:
            errors.append(required(where, "must be set when seccomp type is Localhost"))
        else:
            errors += check_descending_path(file, where)
    elif file is not None:
        errors.append(invalid_value(where, profile, "can only be set when seccomp type is Localhost"))
    return errors


def _validate_apparmor(profile: JsonObject, path: str) -> list[FieldError]:
    kind, where = profile.get("type", ""), f"{path}.localhostProfile"
    name: str = profile.get("localhostProfile") or ""
    if not kind:
        return [required(f"{path}.type", "type is required when appArmorProfile is set")]
    if kind not in _PROFILES:
        return [not_supported(f"{path}.type", kind, _PROFILES)]
    if kind != "Localhost":
        detail = "can only be set when AppArmor type is Localhost"
        given = profile.get("localhostProfile") is not None
        return [invalid_value(where, name, detail)] if given else []
    if not name.strip():
        return [required(where, "must be set when AppArmor type is Localhost")]
    errors = []
    if name != name.strip():
        errors.append(invalid_value(where, name, "must not be padded with whitespace"))
    if len(name) > _LONGEST_APPARMOR:
        errors.append(too_long(where, _LONGEST_APPARMOR))
    return errors


def _validate_sysctls(sysctls: JsonValue, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, one in enumerate(sysctls):
        name, where = one.get("name", ""), f"{path}[{index}].name"
        if not name:
            errors.append(required(where))
        elif len(name) > _LONGEST_SYSCTL or not _SYSCTL.match(name):
            detail = f"must have at most {_LONGEST_SYSCTL} characters and match regex {_SYSCTL.pattern[:-2]}"
            errors.append(invalid_value(where, name, detail))
        elif name in seen:
            errors.append(duplicate(where, name))
        seen.add(name)
    return errors


def _validate_windows_options(options: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    name = options.get("gmsaCredentialSpecName")
    if name is not None:
        errors += check_text(name, f"{path}.gmsaCredentialSpecName", find_subdomain_faults)
    spec, where = options.get("gmsaCredentialSpec"), f"{path}.gmsaCredentialSpec"
    if spec is not None:
        if not spec:
            errors.append(invalid_value(where, spec, "gmsaCredentialSpec cannot be an empty string"))
        elif len(spec.encode()) > _MOST_GMSA_BYTES:
            errors.append(invalid_value(where, "", f"size must be under {_MOST_GMSA_BYTES} bytes"))
    user = options.get("runAsUserName")
    if user is not None:
        errors += check_text(user, f"{path}.runAsUserName", _find_user_faults)
    return errors


def _find_user_faults(name: str) -> list[str]:
    if not name:
        return ["runAsUserName cannot be an empty string"]
    if _CONTROL.search(name):
        return ["runAsUserName cannot contain control characters"]
    *domain, user = name.split("\\")
    faults = []
    if len(domain) > 1:
        faults.append("runAsUserName cannot contain more than one backslash")
    if domain and not (_NETBIOS.match(domain[0]) or not find_subdomain_faults(domain[0].lower())):
        faults.append("runAsUserName's Domain is neither a NetBios name nor a DNS name")
    if not user:
        faults.append("runAsUserName's User cannot be empty")
    elif len(user) > _LONGEST_USER:
        faults.append(f"runAsUserName's User length must not be longer than {_LONGEST_USER} characters")
    elif _BAD_USER.search(user) or not user.strip(". "):
        faults.append("runAsUserName's User cannot contain certain characters or only dots and spaces")
    return faults


def validate_os(spec: JsonObject, path: str) -> list[FieldError]:
    """Check the operating system, and that nothing is set that it does not have."""
    system = (spec.get("os") or {}).get("name", "")
    if not system:
        return [required(f"{path}.os.name", "cannot be empty")]
    if system not in ("linux", "windows"):
        return [not_supported(f"{path}.os", system, ("linux", "windows"))]
    context, where = spec.get("securityContext") or {}, f"{path}.securityContext"
    if system == "linux":
        detail = "windows options cannot be set for a linux pod"
        contexts = [(context, where), *_iter_contexts(spec, path)]
        return [
            forbidden_field(f"{at}.windowsOptions", detail)
            for one, at in contexts
            if one.get("windowsOptions") is not None
        ]
    detail = "cannot be set for a windows pod"
    errors = [
        forbidden_field(f"{where}.{field}", detail)
        for field in _WINDOWS_POD
        if context.get(field) is not None
    ]
    errors += [
        forbidden_field(f"{path}.{field}", detail)
        for field in ("hostPID", "hostIPC", "hostUsers")
        if spec.get(field) is not None and (spec[field] or field == "hostUsers")
    ]
    if spec.get("shareProcessNamespace") is not None:
        errors.append(forbidden_field(f"{where}.shareProcessNamespace", detail))
    for one, at in _iter_contexts(spec, path):
        errors += [
            forbidden_field(f"{at}.{field}", detail)
            for field in _WINDOWS_CONTAINER
            if one.get(field) is not None
        ]
    return errors


def _iter_contexts(spec: JsonObject, path: str) -> Iterator[tuple[JsonObject, str]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield container.get("securityContext") or {}, f"{path}.{field}[{index}].securityContext"


def validate_host_users(spec: JsonObject, path: str) -> list[FieldError]:
    """A pod with users of its own cannot share the host's namespaces."""
    if spec.get("hostUsers") is not False:
        return []
    return [
        forbidden_field(f"{path}.{shown}", "when `hostUsers` is false")
        for field, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC"))
        if spec.get(field)
    ]
