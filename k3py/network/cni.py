"""BridgeNetwork: pods on one bridge a node, configured as a CNI list that containerd's plugins read.

Addresses come from the node's pod range (host-local), host ports are led by portmap, pods reach themselves through their own Service by
hairpin, annotations bound their bandwidth; what leaves the cluster is hidden by `k3py.network.masquerade`. The list is the last in its folder:
runtimes take the first, so that any other network that somebody puts there wins, whenever it comes. The loopback interface is containerd's own doing, with the plugin of that name.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from k3py.network.interface import PodNetwork
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject

FILE_NAME: Final = "zz-k3py.conflist"
_FORMER_NAME: Final = "10-k3py.conflist"


class BridgeNetwork(PodNetwork):
    """A bridge with host-local addresses.

    Args:
        bridge: Name of the interface.
        mtu: 0 = the kernel's default.
        address_dir: Where host-local remembers leases; "" = its default, /var/lib/cni/networks. A folder that is emptied at boot
            forgets the addresses of pods that a power cut ended.
        with_bandwidth: there is a bandwidth plugin: pods' annotations kubernetes.io/ingress-bandwidth and egress-bandwidth count.
    """

    def __init__(
        self, *, bridge: str = "cni0", mtu: int = 0, address_dir: str = "", with_bandwidth: bool = False
    ) -> None:
        self._with_bandwidth = with_bandwidth
        self._bridge = bridge
        self._mtu = mtu
        self._address_dir = address_dir

    async def configure(self, *, pod_cidr: str, cni_conf_dir: Path) -> None:
        """Write the list; a file with the same content is left alone, so that containerd need not read it again."""
        data = orjson.dumps(self.plan(pod_cidr), option=orjson.OPT_INDENT_2) + b"\n"
        await asyncio.to_thread(_write, cni_conf_dir, data)

    def plan(self, pod_cidr: str) -> JsonObject:
        """Return the CNI configuration list for this range ("a.b.c.d/n", or two of them for dual stack, comma between)."""
        ranges = [[{"subnet": subnet.strip()}] for subnet in pod_cidr.split(",")]
        routes = [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in pod_cidr.split(",")]
        ipam: JsonObject = {"type": "host-local", "ranges": ranges, "routes": routes}
        if self._address_dir:
            ipam["dataDir"] = self._address_dir
        bridge: JsonObject = {
            "type": "bridge",
            "bridge": self._bridge,
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "forceAddress": False,
            "ipam": ipam,
        }
        if self._mtu:
            bridge["mtu"] = self._mtu
        plugins: list[JsonObject] = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
        if self._with_bandwidth:
            plugins.append({"type": "bandwidth", "capabilities": {"bandwidth": True}})
        return {"cniVersion": "0.4.0", "name": "k3py", "plugins": plugins}


def _write(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FORMER_NAME).unlink(missing_ok=True)
    path = folder / FILE_NAME
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data, mode=0o644)
