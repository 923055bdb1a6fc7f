"""What else is on the machine: ports that are taken, another Kubernetes, programs that k3py needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.cli.doctor.finding import error, fine, warning
from k3py.runtime.program import MissingProgram, get_cni_dir, get_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine

_LISTEN: Final = "0A"
_VXLAN_PORT: Final = 8472
_KUBELETS: Final = ("kubelet", "k3s", "k3s-server", "k3s-agent", "k0s", "microk8s", "rke2")
_PLACES: Final = {
    "/etc/rancher/k3s": "K3s",
    "/etc/kubernetes/manifests": "kubeadm",
    "/var/lib/k0s": "k0s",
    "/var/snap/microk8s": "MicroK8s",
    "/etc/rancher/rke2": "RKE2",
}


def check_ports(machine: Machine) -> Iterator[Finding]:
    """The ports that k3py listens on, while it does not run."""
    wanted = []
    if machine.role == "server":
        wanted.append(("tcp", "--https-listen-port", int(str(machine.values["https_listen_port"]))))
    if machine.runs_pods:
        wanted.append(("tcp", "--kubelet-port", int(str(machine.values["kubelet_port"]))))
        if machine.values.get("flannel_backend", "vxlan") == "vxlan":
            wanted.append(("udp", "VXLAN", _VXLAN_PORT))
    if machine.pid:
        yield fine(
            "ports", f"{', '.join(str(port) for _, _, port in wanted)}: k3py runs (process {machine.pid})"
        )
        return
    taken = [
        (flag, port, holder)
        for protocol, flag, port in wanted
        if (holder := _holder(machine, protocol, port))
    ]
    for flag, port, holder in taken:
        yield error(
            "ports",
            f"port {port} ({flag}) is taken by {holder}",
            "k3py cannot listen there and ends when it starts",
            f"ss -lptun 'sport = :{port}'   # stop that program, or choose another {flag}"
            if flag[:2] == "--"
            else f"ss -lun 'sport = :{port}'   # stop that program",
        )
    if not taken:
        yield fine("ports", f"{', '.join(str(port) for _, _, port in wanted)} are free")


def _holder(machine: Machine, protocol: str, port: int) -> str:
    """Return who listens: "NAME (process N)", or "the kernel or a hidden process"; "" = nobody."""
    for table in (protocol, f"{protocol}6"):
        for line in machine.read(f"/proc/net/{table}").splitlines()[1:]:
            words = line.split()
            if int(words[1].rpartition(":")[2], 16) == port and (protocol == "udp" or words[3] == _LISTEN):
                return _owner(machine, words[9])
    return ""


def _owner(machine: Machine, inode: str) -> str:
    for folder in machine.path("/proc").glob("[0-9]*"):
        try:
            links = [str(one.readlink()) for one in (folder / "fd").iterdir()]
        except OSError:
            continue
        if f"socket:[{inode}]" in links:
            return f"{machine.read(f'/proc/{folder.name}/comm')} (process {folder.name})"
    return "the kernel or a process that is not shown"


def check_neighbours(machine: Machine) -> Iterator[Finding]:
    """Another Kubernetes on this machine: two kubelets fight over pods, mounts and rules."""
    found = False
    for pid, words in machine.processes():
        name = Path(words[0]).name
        if name in _KUBELETS and machine.runs_pods:
            found = True
            unit = (
                f"systemctl disable --now {name}" if name != "k3s-server" else "systemctl disable --now k3s"
            )
            yield error(
                "neighbours",
                f"{name} runs (process {pid})",
                "two kubelets fight over pods' mounts, networks and rules",
                unit,
            )
    for place, name in _PLACES.items():
        if machine.exists(place) and not found:
            found = True
            yield warning(
                "neighbours",
                f"{place} is there: {name} is or was installed",
                "what it left (rules, mounts, CNI settings) can be in k3py's way, and it may start at the next boot",
                "remove it with its own tool (k3s-uninstall.sh, kubeadm reset, k0s reset, snap remove microk8s)",
            )
    for config in sorted(machine.path("/etc/cni/net.d").glob("*.conf*")):
        if "k3py" not in config.name and machine.exists("/sys/class/net/cni0") and not machine.pid:
            found = True
            yield warning(
                "neighbours",
                f"{config.name} in /etc/cni/net.d and a bridge cni0 of somebody else's",
                "k3py's bridge has that name, too",
                "ip link delete cni0",
            )
            break
    if not found:
        yield fine("neighbours", "no other Kubernetes")


def check_programs(machine: Machine) -> Iterator[Finding]:
    """Programs that nodes start."""
    if not machine.runs_pods or machine.root != Path("/"):
        return
    lacking = []
    wanted = (
        ("containerd", "runc", "nft", "ip")
        if not machine.values["container_runtime_endpoint"]
        else ("nft", "ip")
    )
    for name in wanted:
        try:
            get_program(name)
        except MissingProgram as failure:
            lacking.append(str(failure))
    try:
        get_cni_dir()
    except MissingProgram as failure:
        lacking.append(str(failure))
    for text in lacking:
        found = re.search(r"apt-get install [\w-]+", text)
        yield error(
            "programs",
            text.partition(": ")[0],
            "a node cannot start without it",
            found[0] if found else "install it",
        )
    if not lacking:
        yield fine("programs", "containerd, runc, nft and the CNI plugins are there")
