"""What each level forbids, one function a check. Source: k8s.io/pod-security-admission/policy v0.35.

A check gets metadata and spec of a pod and returns what is wrong with it, "" when nothing is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from k3py.jsontypes import JsonObject

_FIELDS: Final = ("initContainers", "containers", "ephemeralContainers")
_DEFAULT_CAPABILITIES: Final = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
_SELINUX_TYPES: Final = {"", "container_t", "container_init_t", "container_kvm_t"}
_SYSCTLS: Final = (
    (0, ("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies")),
    (0, ("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start")),
    (27, ("net.ipv4.ip_local_reserved_ports",)),
    (29, ("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout")),
    (29, ("net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes")),
    (32, ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")),
)
_VOLUME_TYPES: Final = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS: Final = ("postStart", "preStop")


def _containers(spec: JsonObject) -> Iterator[JsonObject]:
    for field in _FIELDS:
        yield from spec.get(field) or ()


def _context(owner: JsonObject) -> JsonObject:
    return owner.get("securityContext") or {}


def _quote(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _named(names: list[str], word: str = "container") -> str:
    return f"{_plural(word, len(names))} {_quote(names)}"


def _select(spec: JsonObject, is_bad: Callable[[JsonObject], bool]) -> list[str]:
    return [one.get("name", "") for one in _containers(spec) if is_bad(one)]


def _setters(pod: bool, names: list[str]) -> str:
    return " and ".join([*(["pod"] if pod else []), *([_named(names)] if names else [])])


def _is_windows(spec: JsonObject) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


def _has_own_users(spec: JsonObject) -> bool:
    return spec.get("hostUsers") is False


def check_host_namespaces(_metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """No network, processes or IPC of the host."""
    found = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return ", ".join(found)


def check_privileged(_metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """No privileged container."""
    names = _select(spec, lambda one: bool(_context(one).get("privileged")))
    return f"{_named(names)} must not set securityContext.privileged=true" if names else ""


def check_default_capabilities(_metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """No capability beyond those that runtimes give by default."""
    return _check_added(spec, _DEFAULT_CAPABILITIES)


def _check_added(spec: JsonObject, allowed: frozenset[str]) -> str:
    names, bad = [], set()
    for one in _containers(spec):
        added = set((_context(one).get("capabilities") or {}).get("add") or ()) - allowed
        if added:
            names.append(one.get("name", ""))
            bad |= added
    if not names:
        return ""
    return f"{_named(names)} must not include {_quote(sorted(bad))} in securityContext.capabilities.add"


def check_host_path(_metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """No directory of the host."""
    names = [one.get("name", "") for one in spec.get("volumes") or () if one.get("hostPath") is not None]
    return _named(names, "volume") if names else ""


def check_host_ports(_metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """No port of the host."""
    names, ports = [], set()
    for one in _containers(spec):
        used = {port["hostPort"] for port in one.get("ports") or () if port.get("hostPort")}
        if used:
            names.append(one.get("name", ""))
            ports |= used
    if not names:
        return ""
    verb = "uses" if len(names) == 1 else "use"
    listed = ", ".join(sorted(str(port) for port in ports))
    return f"{_named(names)} {verb} {_plural('hostPort', len(ports))} {listed}"


def check_probe_hosts(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """No probe or hook that goes to another host."""
    if minor < 34:
        return ""
    names: list[str] = []
    hosts: set[str] = set()
    for one in _containers(spec):
        handlers = [one.get(probe) or {} for probe in _PROBES]
        handlers += [(one.get("lifecycle") or {}).get(hook) or {} for hook in _HOOKS]
        used = {
            str((handler.get(action) or {}).get("host") or "")
            for handler in handlers
            for action in ("httpGet", "tcpSocket")
        } - {""}
        if used:
            names.append(one.get("name", ""))
            hosts |= used
    if not names:
        return ""
    verb = "uses" if len(names) == 1 else "use"
    return f"{_named(names)} {verb} probe or lifecycle {_plural('host', len(hosts))} {_quote(sorted(hosts))}"


def check_apparmor(metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """AppArmor stays on."""

    def is_bad(owner: JsonObject) -> bool:
        return bool((_context(owner).get("appArmorProfile") or {}).get("type") == "Unconfined")

    pod, names = is_bad(spec), _select(spec, is_bad)
    parts = []
    if pod or names:
        parts.append(f'{_setters(pod, names)} must not set AppArmor profile type to "Unconfined"')
    bad = [
        f"{key}={value}"
        for key, value in sorted((metadata.get("annotations") or {}).items())
        if key.startswith(_APPARMOR)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    ]
    if bad:
        parts.append(f"{_plural('annotation', len(bad))} {_quote(bad)}")
    return "; ".join(parts)


def check_selinux(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """SELinux labels a container as a container."""
    allowed = _SELINUX_TYPES | ({"container_engine_t"} if minor >= 31 else set())
    kinds: list[str] = []
    fields: set[str] = set()

    def is_bad(owner: JsonObject) -> bool:
        options = _context(owner).get("seLinuxOptions") or {}
        kind = options.get("type", "")
        bad = {field for field in ("user", "role") if options.get(field)}
        if kind not in allowed and kind not in kinds:
            kinds.append(kind)
        fields.update(bad)
        return kind not in allowed or bool(bad)

    pod, names = is_bad(spec), _select(spec, is_bad)
    if not pod and not names:
        return ""
    parts = [f"{_plural('type', len(kinds))} {_quote(kinds)}"] if kinds else []
    parts += [f"{field} may not be set" for field in ("user", "role") if field in fields]
    return f"{_setters(pod, names)} set forbidden securityContext.seLinuxOptions: {'; '.join(parts)}"


def check_proc_mount(_metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """/proc stays masked, but for pods with users of their own."""
    if _has_own_users(spec):
        return ""
    kinds: list[str] = []

    def is_bad(one: JsonObject) -> bool:
        kind = _context(one).get("procMount")
        if kind in (None, "Default"):
            return False
        kinds.append(kind)
        return True

    names = _select(spec, is_bad)
    return (
        f"{_named(names)} must not set securityContext.procMount to {_quote(sorted(set(kinds)))}"
        if names
        else ""
    )


def _is_unconfined(owner: JsonObject) -> bool:
    return bool((_context(owner).get("seccompProfile") or {}).get("type") == "Unconfined")


def check_seccomp(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """Seccomp is not switched off."""
    if minor < 19:
        return ""
    pod, names = _is_unconfined(spec), _select(spec, _is_unconfined)
    if not pod and not names:
        return ""
    return f'{_setters(pod, names)} must not set securityContext.seccompProfile.type to "Unconfined"'


def check_sysctls(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """Only sysctls that stay within the pod."""
    safe = {name for since, names in _SYSCTLS if minor >= since for name in names}
    found = [one.get("name", "") for one in _context(spec).get("sysctls") or ()]
    return ", ".join(name for name in found if name not in safe)


def check_host_process(_metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """No process of a Windows host."""

    def is_bad(owner: JsonObject) -> bool:
        return bool((_context(owner).get("windowsOptions") or {}).get("hostProcess"))

    pod, names = is_bad(spec), _select(spec, is_bad)
    if not pod and not names:
        return ""
    return f"{_setters(pod, names)} must not set securityContext.windowsOptions.hostProcess=true"


def check_escalation(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """A process gains no privilege that its parent has not."""
    if minor < 8 or (minor >= 25 and _is_windows(spec)):
        return ""
    names = _select(spec, lambda one: _context(one).get("allowPrivilegeEscalation") is not False)
    return f"{_named(names)} must set securityContext.allowPrivilegeEscalation=false" if names else ""


def check_dropped_capabilities(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """All capabilities are dropped; one may come back."""
    if minor < 22 or (minor >= 25 and _is_windows(spec)):
        return ""
    names = _select(
        spec, lambda one: "ALL" not in ((_context(one).get("capabilities") or {}).get("drop") or ())
    )
    parts = [f'{_named(names)} must set securityContext.capabilities.drop=["ALL"]'] if names else []
    parts.append(_check_added(spec, frozenset(("NET_BIND_SERVICE",))))
    return "; ".join(part for part in parts if part)


def check_volume_types(_metadata: JsonObject, spec: JsonObject, _minor: int) -> str:
    """Only volumes that the cluster provides."""
    names, kinds = [], set()
    for volume in spec.get("volumes") or ():
        bad = {key for key, value in volume.items() if key != "name" and value is not None} - _VOLUME_TYPES
        if bad:
            names.append(volume.get("name", ""))
            kinds |= bad
    if not names:
        return ""
    verb = "uses" if len(names) == 1 else "use"
    kind = _plural("type", len(kinds))
    return f"{_named(names, 'volume')} {verb} restricted volume {kind} {_quote(sorted(kinds))}"


def check_non_root(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """Nobody runs as root; with users of its own, a pod's root is none."""
    if minor >= 33 and _has_own_users(spec):
        return ""
    pod = _context(spec).get("runAsNonRoot")
    names = _select(spec, lambda one: _context(one).get("runAsNonRoot") is False)
    if pod is False or names:
        return f"{_setters(pod is False, names)} must not set securityContext.runAsNonRoot=false"
    if pod:
        return ""
    silent = _select(spec, lambda one: _context(one).get("runAsNonRoot") is None)
    return f"pod or {_named(silent)} must set securityContext.runAsNonRoot=true" if silent else ""


def check_user(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """Nobody asks for user 0."""
    if minor < 23 or (minor >= 33 and _has_own_users(spec)):
        return ""

    def is_bad(owner: JsonObject) -> bool:
        return _context(owner).get("runAsUser") == 0

    pod, names = is_bad(spec), _select(spec, is_bad)
    return f"{_setters(pod, names)} must not set runAsUser=0" if pod or names else ""


def check_seccomp_set(_metadata: JsonObject, spec: JsonObject, minor: int) -> str:
    """Seccomp is switched on."""
    if minor < 19 or (minor >= 25 and _is_windows(spec)):
        return ""
    pod, names = _is_unconfined(spec), _select(spec, _is_unconfined)
    if pod or names:
        return f'{_setters(pod, names)} must not set securityContext.seccompProfile.type to "Unconfined"'
    if (_context(spec).get("seccompProfile") or {}).get("type"):
        return ""
    silent = _select(spec, lambda one: not (_context(one).get("seccompProfile") or {}).get("type"))
    if not silent:
        return ""
    return f'pod or {_named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
