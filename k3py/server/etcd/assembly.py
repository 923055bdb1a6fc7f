"""Puts together what a server with a member runs besides its etcd."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from k3py.client.local_informers import LocalInformerFactory
from k3py.controllers.base import ControllerLoop
from k3py.datastore.drivers.etcd import EtcdBackend
from k3py.server.etcd.layout import EtcdLayout
from k3py.server.etcd.membership import open_membership
from k3py.server.etcd.node_members import NodeMembers

if TYPE_CHECKING:
    from k3py.config.server import ServerConfig
    from k3py.datastore.interface import Backend
    from k3py.server.control_plane import ControlPlane
    from k3py.util.supervise import Component


def build_member_parts(config: ServerConfig, plane: ControlPlane, backend: Backend) -> list[Component]:
    """Make the controller of Nodes and members, in starting order; have renewed certificates used. Blocking (reads the member's name)."""
    layout = EtcdLayout(data_dir=config.data_dir)
    if isinstance(backend, EtcdBackend):
        leaf = layout.tls / "client"
        plane.renewal_hooks.append(
            partial(backend.reload_certificate, leaf.with_suffix(".crt"), leaf.with_suffix(".key"))
        )
    client = plane.client("system:k3py-supervisor", "system:masters", user_agent="k3py-etcd")
    informers = LocalInformerFactory(client)
    controller = NodeMembers(
        client,
        informers,
        node_name="" if config.disable_agent else config.node_name,
        member_name=layout.name_file.read_text(encoding="utf-8").strip(),
        address=config.node_ip,
        ask=partial(open_membership, layout),
    )
    return [informers, ControllerLoop(controller)]
