"""Puts the add-ons of a server together."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from k3py.addons.helm.kinds import HELM_CHART_CONFIGS, HELM_CHARTS
from k3py.addons.ingress.staging import IngressStaging
from k3py.addons.local_path.provisioner import PROVISIONER, LocalPathProvisioner
from k3py.addons.manifests.deployer import ManifestDeployer
from k3py.addons.manifests.files import find_manifests
from k3py.addons.packaged.staging import stage_manifests
from k3py.addons.service_lb.controller import ServiceLoadBalancer
from k3py.client.events import EventRecorder
from k3py.config.server import COMPONENTS
from k3py.controllers.base import ControllerLoop
from k3py.server.admin_kubeconfig import make_admin_kubeconfig
from k3py.server.kubelet_requests import KubeletRequests
from k3py.server.leadership import Led, make_election

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from k3py.client.local import LocalClient
    from k3py.config.server import ServerConfig
    from k3py.server.control_plane import ControlPlane
    from k3py.server.identity import ServerIdentity
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)


async def build_addons(
    config: ServerConfig, identity: ServerIdentity, plane: ControlPlane
) -> list[Component]:
    """Make the add-ons, in starting order; none of them keeps the server from being ready.

    Raises:
        OSError: the manifests folder cannot be written.
    """
    folder = config.data_dir / "server/manifests"
    variables = {
        "CLUSTER_DNS": config.cluster_dns.partition(",")[0],
        "CLUSTER_DOMAIN": config.cluster_domain,
        "DEFAULT_LOCAL_STORAGE_PATH": str(config.default_local_storage_path),
    }
    for name in await asyncio.to_thread(find_unknown, folder, config.disable):
        log.warning("--disable names no component, and no file or folder of the manifests folder: %s", name)
    await asyncio.to_thread(stage_manifests, folder, disabled=config.disable, variables=variables)
    client = plane.client("system:k3py-supervisor", "system:masters", user_agent="k3py-supervisor")
    recorder = EventRecorder(client, component="deploy", host=config.node_name)
    awaited = () if config.disable_helm_controller else (HELM_CHARTS, HELM_CHART_CONFIGS)
    deployer = ManifestDeployer(
        folder, client, plane.kinds, recorder, disabled=config.disable, awaited=awaited
    )
    controllers = _build_controllers(config, identity, plane, client, recorder)
    if (
        controllers and config.shares_datastore
    ):  # each server applies its own files, but one runs the controllers
        return [recorder, Led(client, make_election("k3py-addons", config.node_name), controllers), deployer]
    return [recorder, *controllers, deployer]


def find_unknown(folder: Path, disabled: Iterable[str]) -> list[str]:
    """Return the names that are neither components nor in the manifests folder. Blocking."""
    found = find_manifests(folder).files if folder.is_dir() else ()
    known = {*COMPONENTS, *(one.name for one in found), *(one.folder for one in found)}
    return [name for name in disabled if name not in known]


def _build_controllers(
    config: ServerConfig,
    identity: ServerIdentity,
    plane: ControlPlane,
    client: LocalClient,
    recorder: EventRecorder,
) -> list[Component]:
    parts: list[Component] = []
    if "local-storage" not in config.disable:
        told = recorder.named(PROVISIONER)
        requests = KubeletRequests(plane.dialer)
        parts.append(ControllerLoop(LocalPathProvisioner(client, plane.informers, told, requests)))
    if "servicelb" not in config.disable:
        told = recorder.named("service-lb-controller")
        port = config.https_listen_port
        parts.append(ControllerLoop(ServiceLoadBalancer(client, plane.informers, told, api_port=port)))
    if "traefik" not in config.disable:
        parts.append(ControllerLoop(IngressStaging(plane.informers, config.data_dir / "server/manifests")))
    if not config.disable_helm_controller:
        from k3py.server.helm import HelmCharts  # noqa: PLC0415 - not everybody has it

        parts.append(
            HelmCharts(
                plane,
                client,
                recorder.named("helm-controller"),
                data_dir=config.data_dir,
                kubeconfig=partial(make_admin_kubeconfig, config, identity, config.https_listen_port),
            )
        )
    return parts
