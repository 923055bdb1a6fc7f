"""Installs, upgrades and uninstalls releases as HelmCharts say."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Final

from k3py.addons.helm.kinds import HELM_CHART_CONFIGS, HELM_CHARTS
from k3py.addons.helm.program import HelmFailed, HelmMissing
from k3py.addons.helm.release import (
    References,
    ReleaseError,
    config_hash,
    driver_of,
    plan_release,
    target_namespace,
)
from k3py.addons.retries import Retries
from k3py.api.conditions import find_status, set_condition
from k3py.api.object import key_of, split_key
from k3py.api.resource import CONFIG_MAPS, SECRETS
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from k3py.addons.helm.program import HelmProgram
    from k3py.client.interface import Client, InformerFactory
    from k3py.controllers.interface import Recorder
    from k3py.errors import K3pyError
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

FINALIZER: Final = "wrangler.cattle.io/on-helm-chart-remove"
UNMANAGED: Final = "helmcharts.helm.cattle.io/unmanaged"
_FIRST_RETRY_S: Final = 10.0
_LONGEST_RETRY_S: Final = 600.0
_UNINSTALL_S: Final = 300.0


class HelmController:
    """A controller; see the module. static: the folder that charts of the API's own /static/ lie in."""

    name = "helm-controller"
    workers = 2

    def __init__(
        self,
        client: Client,
        informers: InformerFactory,
        recorder: Recorder,
        program: HelmProgram,
        *,
        static: Path,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._program = program
        self._static = static
        self._retries = Retries(first_s=_FIRST_RETRY_S, cap_s=_LONGEST_RETRY_S)
        self._written: dict[str, int] = {}  # revision of what was written last, by key
        charts, configs = informers.informer(HELM_CHARTS), informers.informer(HELM_CHART_CONFIGS)
        secrets = informers.informer(SECRETS)
        self._charts, self._configs = charts.lister, configs.lister
        self.watches: Sequence[Watch] = (
            Watch(charts, _key_of),
            Watch(configs, _key_of),
            Watch(secrets, self._keys_of_secret),
        )

    def _keys_of_secret(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if old is None and new is not None and not self._charts.list():
            return ()
        metadata = (new or old or {}).get("metadata", {})
        namespace, name = metadata.get("namespace", ""), metadata.get("name", "")
        return [
            key_of(owner)
            for lister in (self._charts, self._configs)
            for owner in lister.list(namespace)
            if any(one.get("name") == name for one in (owner.get("spec") or {}).get("valuesSecrets") or ())
        ]

    async def reconcile(self, key: str) -> float | None:
        """Bring one release in line with its chart."""
        namespace, name = split_key(key)
        chart = self._charts.find(namespace, name)
        if chart is None:
            self._retries.forget(key)
            self._written.pop(key, None)
            return None
        metadata = chart["metadata"]
        if int(metadata["resourceVersion"]) < self._written.get(key, 0):
            return None  # what was written here is not seen yet; its event brings us back
        if UNMANAGED in (metadata.get("annotations") or {}):
            return None
        if "deletionTimestamp" in metadata:
            return await self._remove(key, chart)
        if FINALIZER not in (metadata.get("finalizers") or ()):
            finalizers = [*(metadata.get("finalizers") or ()), FINALIZER]
            chart = await self._patch(chart, {"metadata": {"finalizers": finalizers}})
        return await self._install(key, chart)

    async def _install(self, key: str, chart: JsonObject) -> float | None:
        status = chart.get("status") or {}
        config = self._configs.find(chart["metadata"]["namespace"], chart["metadata"]["name"])
        wanted = ""
        try:
            references = await self._references(chart, config)
            wanted = config_hash(chart, config, references)
            if (
                status.get("configHash") == wanted
                and find_status(status.get("conditions"), "Failed") == "False"
            ):
                return None
            release = plan_release(chart, config, references, static=str(self._static))
            if self._aborted(status, wanted, release.policy):
                return None
            await self._program.install(release)
        except (HelmMissing, HelmFailed, ReleaseError) as error:
            return await self._fail(key, chart, error, wanted)
        self._retries.forget(key)
        message = f"Installed chart into namespace {release.namespace}"
        await self._tell(chart, "False", "Installed", message, wanted)
        self._recorder.event(chart, "Normal", "HelmInstalled", message)
        return None

    def _aborted(self, status: JsonObject, wanted: str, policy: str) -> bool:
        """Say whether this very configuration failed, and is not to be tried again."""
        failed = find_status(status.get("conditions"), "Failed") == "True"
        return policy == "abort" and failed and status.get("configHash") == wanted

    async def _fail(self, key: str, chart: JsonObject, error: K3pyError, wanted: str) -> float:
        reason = "HelmMissing" if isinstance(error, HelmMissing) else "HelmFailed"
        if isinstance(error, ReleaseError):
            reason = "InvalidChart"
        log.warning("chart cannot be installed", extra={"chart": key, "error": str(error)})
        # Only what helm itself was told and refused counts as tried.
        await self._tell(chart, "True", reason, str(error), wanted if isinstance(error, HelmFailed) else "")
        self._recorder.event(chart, "Warning", reason, str(error))
        return self._retries.next_s(key)

    async def _remove(self, key: str, chart: JsonObject) -> float | None:
        finalizers = list(chart["metadata"].get("finalizers") or ())
        if FINALIZER not in finalizers:
            return None
        try:
            await self._program.uninstall(
                chart["metadata"]["name"], target_namespace(chart), _UNINSTALL_S, driver=driver_of(chart)
            )
        except (HelmMissing, HelmFailed, ReleaseError) as error:
            self._recorder.event(chart, "Warning", "HelmUninstallFailed", str(error))
            return self._retries.next_s(key)
        self._retries.forget(key)
        finalizers.remove(FINALIZER)
        await self._patch(chart, {"metadata": {"finalizers": finalizers or None}})
        return None

    async def _tell(self, chart: JsonObject, failed: str, reason: str, message: str, config: str) -> None:
        """Write the conditions, if they say something else; Ready is the opposite of Failed, for `kubectl wait`."""
        status = chart.get("status") or {}
        conditions: list[JsonObject] = list(status.get("conditions") or ())
        now = format_time(clock.now())
        ready = "False" if failed == "True" else "True"
        for kind, value in (("Failed", failed), ("Ready", ready)):
            conditions = set_condition(conditions, kind, value, reason=reason, message=message, now=now)
        changed = {"configHash": config, "conditions": conditions}
        if {key: status.get(key) for key in changed} != changed:
            await self._patch(chart, {"status": changed}, subresource="status")

    async def _patch(self, chart: JsonObject, patch: JsonObject, *, subresource: str = "") -> JsonObject:
        metadata = chart["metadata"]
        changed = await self._client.patch(
            HELM_CHARTS,
            metadata["name"],
            patch,
            patch_type=PatchType.MERGE,
            namespace=metadata["namespace"],
            subresource=subresource,
        )
        self._written[key_of(chart)] = int(changed["metadata"]["resourceVersion"])
        return changed

    async def _references(self, chart: JsonObject, config: JsonObject | None) -> References:
        spec, namespace = chart["spec"], chart["metadata"]["namespace"]
        values: dict[tuple[str, str], str] = {}
        for owner in (spec, (config or {}).get("spec") or {}):
            for one in owner.get("valuesSecrets") or ():
                found = await self._secret(namespace, one.get("name", ""))
                values |= {(one["name"], key): found[key] for key in one.get("keys") or () if key in found}
        auth: tuple[str, str] | None = None
        if name := (spec.get("authSecret") or {}).get("name"):
            found = await self._secret(namespace, name)
            auth = (found.get("username", ""), found.get("password", ""))
        docker = ""
        if name := (spec.get("dockerRegistrySecret") or {}).get("name"):
            docker = (await self._secret(namespace, name)).get(".dockerconfigjson", "")
        authority = spec.get("repoCA") or ""
        if name := (spec.get("repoCAConfigMap") or {}).get("name"):
            data = await self._read(namespace, name)
            authority = "\n".join([authority, *data.values()]).strip()
        return References(values=values, auth=auth, docker=docker, ca=authority)

    async def _secret(self, namespace: str, name: str) -> dict[str, str]:
        try:
            found = await self._client.get(SECRETS, name, namespace=namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            raise ReleaseError(f"Secret {namespace}/{name} is missing") from error
        data = found.get("data") or {}
        return {key: base64.b64decode(text).decode(errors="replace") for key, text in data.items()}

    async def _read(self, namespace: str, name: str) -> dict[str, str]:
        try:
            found = await self._client.get(CONFIG_MAPS, name, namespace=namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            raise ReleaseError(f"ConfigMap {namespace}/{name} is missing") from error
        return dict(found.get("data") or {})


def _key_of(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    obj = new or old
    return (key_of(obj),) if obj is not None else ()
