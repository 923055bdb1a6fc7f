"""The part of a server that installs charts: defines the kinds, then works on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.addons.definitions import ensure_definition, wait_served
from k3py.addons.helm.controller import HelmController
from k3py.addons.helm.kinds import HELM_CHART_CONFIGS, HELM_CHARTS, definitions
from k3py.addons.helm.program import HelmProgram
from k3py.controllers.base import ControllerLoop
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k3py.client.interface import Client
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.controllers.interface import Recorder
    from k3py.server.control_plane import ControlPlane


class HelmCharts:
    """A Component; the server does not wait for it.

    Args:
        plane: whose API holds the charts.
        client: who reads and writes them.
        recorder: tells what happened.
        data_dir: where k3py's programs and static files are.
        kubeconfig: makes what helm reaches the API with.
    """

    name = "helm-controller"
    policy = Policy.RESTART

    def __init__(
        self,
        plane: ControlPlane,
        client: Client,
        recorder: Recorder,
        *,
        data_dir: Path,
        kubeconfig: Callable[[], Kubeconfig],
    ) -> None:
        self._plane = plane
        self._client = client
        self._recorder = recorder
        self._data_dir = data_dir
        self._kubeconfig = kubeconfig
        self._loop: ControllerLoop | None = None

    async def run(self, started: Callable[[], None]) -> None:
        """Work until cancelled."""
        started()
        for definition in definitions():
            await ensure_definition(self._client, definition)
        await wait_served(self._plane.kinds, HELM_CHARTS, HELM_CHART_CONFIGS)
        if self._loop is None:
            program = HelmProgram(self._data_dir / "bin", self._kubeconfig)
            controller = HelmController(
                self._client,
                self._plane.informers,
                self._recorder,
                program,
                static=self._data_dir / "server/static",
            )
            self._loop = ControllerLoop(controller)
        await self._loop.run(lambda: None)
