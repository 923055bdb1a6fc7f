"""The manifests folder against a real API server in this process."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest

from k3py.addons.manifests.addon import ADDONS
from k3py.addons.manifests.deployer import ManifestDeployer
from k3py.addons.manifests.object_set import ObjectSets
from k3py.addons.packaged.staging import PACKAGED, render_manifest, write_manifest
from k3py.api.resource import CONFIG_MAPS, EVENTS, SECRETS
from k3py.api.status import ApiError
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.client.events import EventRecorder
from k3py.client.local import LocalClient
from k3py.util.supervise import TaskScope
from tests.support.api_server import run_api_server

pytestmark = [pytest.mark.slow, pytest.mark.looptime(False)]

MAP = "{kind: ConfigMap, apiVersion: v1, metadata: {name: %s}, data: {a: '%s'}}\n---\n"
SECRET = "{kind: Secret, apiVersion: v1, metadata: {name: %s, namespace: kube-system}}\n---\n"
WIDGETS = """
kind: Widget
apiVersion: example.com/v1
metadata: {name: w, namespace: default}
spec: {a: 1}
---
kind: CustomResourceDefinition
apiVersion: apiextensions.k8s.io/v1
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


class Cluster:
    """An API server; `deploy` runs a deployer on its folder while the block lasts."""

    def __init__(self, client, kinds, folder):
        self.client, self.kinds, self.folder = client, kinds, folder

    @asynccontextmanager
    async def deploy(self, *disabled):
        recorder = EventRecorder(self.client, component="deploy")
        deployer = ManifestDeployer(
            self.folder, self.client, self.kinds, recorder, disabled=disabled, quiet_s=0.05
        )
        async with TaskScope() as scope:
            for one in (recorder, deployer):
                scope.spawn(one.run(lambda: None), name=one.name)
            yield
            scope.cancel()

    async def find(self, resource, name, namespace="default"):
        try:
            return await self.client.get(resource, name, namespace=namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    async def until(self, condition):
        async with asyncio.timeout(30):
            while not (value := await condition()):
                await asyncio.sleep(0.01)
            return value

    async def settled(self, name):
        """Wait until the file's present content is applied."""
        import hashlib

        (file,) = self.folder.rglob(f"{name}.*")
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()

        async def noted():
            addon = await self.find(ADDONS, name, "kube-system")
            return addon and addon["spec"]["checksum"] == checksum

        await self.until(noted)

    async def event(self, reason):
        async def found():
            events = await self.client.list(EVENTS, namespace="kube-system")
            return next((one for one in events.items if one["reason"] == reason), None)

        return await self.until(found)


@pytest.fixture
async def cluster(tmp_path):
    (tmp_path / "api").mkdir()
    async with run_api_server(tmp_path / "api") as server:
        user = User(name="admin", groups=(MASTERS, AUTHENTICATED))
        folder = tmp_path / "manifests"
        folder.mkdir()
        yield Cluster(LocalClient(server.assembly.dispatcher, user, "test"), server.kinds, folder)


async def test_files_are_applied_changed_pruned_and_stay(cluster):
    async with cluster.deploy():
        (cluster.folder / "sub").mkdir()
        file = cluster.folder / "sub/app.yaml"
        file.write_text(MAP % ("a", 1) + SECRET % "s" + WIDGETS)
        await cluster.settled("app")
        made = await cluster.find(CONFIG_MAPS, "a")
        assert made["data"] == {"a": "1"}
        assert made["metadata"]["annotations"]["objectset.rio.cattle.io/owner-name"] == "app"
        widget = cluster.kinds.find_by_kind("example.com/v1", "Widget").resource
        assert await cluster.find(widget, "w")
        assert (await cluster.event("AppliedManifest"))["involvedObject"]["kind"] == "Addon"
        # what the file names no longer goes, a kind that is not in it any more too
        file.write_text(MAP % ("a", 2) + MAP % ("b", 1))
        await cluster.settled("app")
        assert (await cluster.find(CONFIG_MAPS, "a"))["data"] == {"a": "2"}
        assert await cluster.find(CONFIG_MAPS, "b")
        assert await cluster.find(SECRETS, "s", "kube-system") is None
        # with the file nothing goes
        file.unlink()
        (cluster.folder / "next.json").write_text('{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "n"}}')
        await cluster.settled("next")
        assert await cluster.find(CONFIG_MAPS, "a")


async def test_a_start_repairs_and_writes_nothing_else(cluster):
    (cluster.folder / "app.yaml").write_text(MAP % ("a", 1) + MAP % ("b", 1))
    async with cluster.deploy():
        await cluster.settled("app")
    before = await cluster.find(CONFIG_MAPS, "b")
    addon = await cluster.find(ADDONS, "app", "kube-system")
    await cluster.client.delete(CONFIG_MAPS, "a", namespace="default")
    async with cluster.deploy():
        await cluster.until(lambda: cluster.find(CONFIG_MAPS, "a"))
        (cluster.folder / "z.yaml").write_text(MAP % ("z", 1))
        await cluster.settled("z")
    assert await cluster.find(CONFIG_MAPS, "b") == before
    assert await cluster.find(ADDONS, "app", "kube-system") == addon


async def test_a_kind_that_left_the_file_is_pruned_after_a_crash_too(cluster, monkeypatch):
    file = cluster.folder / "app.yaml"
    file.write_text(MAP % ("a", 1) + SECRET % "s")
    async with cluster.deploy():
        await cluster.settled("app")
    file.write_text(MAP % ("a", 2))
    reached = asyncio.Event()

    async def hang(*arguments):
        reached.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(ObjectSets, "prune", hang)
        async with cluster.deploy():
            await reached.wait()
    assert await cluster.find(SECRETS, "s", "kube-system")
    async with cluster.deploy():
        await cluster.settled("app")
    assert await cluster.find(SECRETS, "s", "kube-system") is None


async def test_skipped_and_disabled_files(cluster):
    for name in ("app", "other", "skipped"):
        (cluster.folder / f"{name}.yaml").write_text(MAP % (name, 1))
    (cluster.folder / "skipped.yaml.skip").touch()
    async with cluster.deploy():
        await cluster.settled("other")
        await cluster.settled("app")
    assert await cluster.find(CONFIG_MAPS, "skipped") is None
    async with cluster.deploy("app", "never-there"):

        async def gone():
            return not await cluster.find(ADDONS, "app", "kube-system") and not (cluster.folder / "app.yaml").exists()

        await cluster.until(gone)
    assert await cluster.find(CONFIG_MAPS, "app") is None
    assert await cluster.find(CONFIG_MAPS, "other")


async def test_a_disabled_folder_takes_all_its_files_away(cluster):
    (cluster.folder / "sub").mkdir()
    (cluster.folder / "sub/app.yaml").write_text(MAP % ("app", 1))
    async with cluster.deploy():
        await cluster.settled("app")
    async with cluster.deploy("sub"):

        async def gone():
            return not await cluster.find(CONFIG_MAPS, "app") and not (cluster.folder / "sub/app.yaml").exists()

        await cluster.until(gone)


async def test_of_two_files_with_one_name_the_second_is_refused(cluster):
    (cluster.folder / "sub").mkdir()
    (cluster.folder / "app.yaml").write_text(MAP % ("first", 1))
    (cluster.folder / "sub/app.yaml").write_text(MAP % ("second", 1))
    async with cluster.deploy():
        assert "sub/app.yaml" in (await cluster.event("ValidateManifestFailed"))["message"]
        assert await cluster.find(CONFIG_MAPS, "first")
        assert await cluster.find(CONFIG_MAPS, "second") is None


async def test_faults_are_told_and_the_rest_is_applied(cluster):
    async with cluster.deploy():
        (cluster.folder / "broken.yaml").write_text("a: [")
        (cluster.folder / "half.yaml").write_text(
            MAP % ("good", 1) + "{kind: ConfigMap, apiVersion: v1, metadata: {name: BAD}}"
        )
        (cluster.folder / "ok.yaml").write_text(MAP % ("ok", 1))
        await cluster.settled("ok")
        assert "broken.yaml" in (await cluster.event("ParseManifestFailed"))["message"]
        assert "ConfigMap BAD" in (await cluster.event("ApplyManifestFailed"))["message"]
        assert await cluster.find(CONFIG_MAPS, "good")


async def test_a_kind_that_comes_later_is_waited_for(cluster):
    widget, definition = WIDGETS.split("---\n")
    async with cluster.deploy():
        (cluster.folder / "widget.yaml").write_text(widget)
        await cluster.event("ApplyManifestFailed")
        replaced = cluster.folder / ".definition"
        replaced.write_text(definition)
        os.rename(replaced, cluster.folder / "definition.yaml")
        await cluster.settled("widget")


@pytest.mark.parametrize("name", [*PACKAGED, "traefik"])
async def test_packaged_manifests_are_accepted(cluster, name):
    variables = {"DEFAULT_LOCAL_STORAGE_PATH": "/storage", "TRAEFIK_IMAGE": "docker.io/library/traefik:v3.1"}
    write_manifest(cluster.folder, name, render_manifest(name, variables))
    async with cluster.deploy():
        await cluster.settled(name)
