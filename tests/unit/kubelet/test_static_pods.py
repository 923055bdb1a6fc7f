"""Static pods: which files are pods, and how a node runs them and shows them in the API (api-machinery §6.8)."""

import json

import pytest
import yaml

from k3py.api.resource import PODS
from k3py.kubelet.static_pods import ManifestError, load_static_pods, read_static_pod
from k3py.runtime.fake import FakeRuntime
from tests.support.fake_client import FakeClient
from tests.support.kubelet import NODE, bound_pod, container, running_kubelet

MIRROR = "kubernetes.io/config.mirror"


def manifest(name="web", *command, **metadata):
    spec = {"containers": [container("c", *(command or ("sleep", "60")))], "terminationGracePeriodSeconds": 1}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, **metadata}, "spec": spec}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "manifests"
    path.mkdir()
    return path


def write(folder, document, name="web.yaml"):
    """Put a file there at once, as editors and tools do."""
    hidden = folder / f".{name}"
    hidden.write_text(yaml.safe_dump(document))
    hidden.rename(folder / name)


def test_a_pod_is_named_after_file_and_node_and_its_uid_follows_from_its_content(folder):
    write(folder, manifest())
    (first,) = load_static_pods(folder, "N1")
    assert (first["metadata"]["name"], first["metadata"]["namespace"]) == ("web-n1", "default")
    assert first["spec"]["nodeName"] == "N1"
    assert first["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"
    assert load_static_pods(folder, "N1") == [first]
    write(folder, manifest("web", "sleep", "61"))
    assert load_static_pods(folder, "N1")[0]["metadata"]["uid"] != first["metadata"]["uid"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "YAML"),
        ("[]", "kind"),
        (json.dumps({**manifest(), "kind": "Deployment"}), "kind"),
        (json.dumps({**manifest(), "metadata": {}}), "metadata.name"),
        (json.dumps({**manifest(), "spec": {"containers": []}}), "spec.containers"),
        (json.dumps({**manifest(), "spec": {"containers": [{"name": "c"}]}}), r"containers\[0\]"),
    ],
)
def test_what_is_no_pod_is_refused_by_name(folder, content, named):
    file = folder / "x.yaml"
    file.write_text(content)
    with pytest.raises(ManifestError, match=named):
        read_static_pod(file, NODE)


def test_bad_files_and_others_leave_the_good_ones_alone(folder, tmp_path):
    write(folder, manifest())
    write(folder, manifest(), "same.yaml")
    (folder / "bad.yaml").write_text("{")
    (folder / "README").write_text("hello")
    assert [one["metadata"]["name"] for one in load_static_pods(folder, NODE)] == [f"web-{NODE}"]
    assert load_static_pods(tmp_path / "missing", NODE) == []


def mirrors(bench):
    return {one["metadata"]["name"]: one for one in bench.client.objects(PODS)}


def is_running(bench, name=f"web-{NODE}"):
    found = mirrors(bench).get(name)
    return found is not None and found["status"].get("phase") == "Running"


async def test_it_runs_and_has_a_mirror_that_its_node_owns(tmp_path, folder):
    write(folder, manifest("web", labels={"app": "web"}))
    async with running_kubelet(tmp_path, static_pods=folder) as bench:
        await bench.until(lambda: is_running(bench))
        mirror = mirrors(bench)[f"web-{NODE}"]
        assert (
            mirror["metadata"]["annotations"][MIRROR]
            == mirror["metadata"]["annotations"]["kubernetes.io/config.hash"]
        )
        assert mirror["metadata"]["ownerReferences"][0]["kind"] == "Node"
        assert mirror["metadata"]["labels"] == {"app": "web"}
        assert len(bench.runtime.sandboxes) == 1


async def test_a_mirror_that_somebody_deletes_comes_back_and_nothing_stops(tmp_path, folder):
    write(folder, manifest())
    async with running_kubelet(tmp_path, static_pods=folder) as bench:
        await bench.until(lambda: is_running(bench))
        before, sandboxes = mirrors(bench)[f"web-{NODE}"]["metadata"]["uid"], set(bench.runtime.sandboxes)
        await bench.client.delete(PODS, f"web-{NODE}", namespace="default")
        await bench.until(
            lambda: is_running(bench) and mirrors(bench)[f"web-{NODE}"]["metadata"]["uid"] != before
        )
        assert set(bench.runtime.sandboxes) == sandboxes


async def test_files_that_come_change_and_go(tmp_path, folder):
    async with running_kubelet(tmp_path, static_pods=folder) as bench:
        write(folder, manifest())
        await bench.until(lambda: is_running(bench))
        first = mirrors(bench)[f"web-{NODE}"]["metadata"]["annotations"][MIRROR]
        write(folder, manifest("web", "sleep", "61"))
        await bench.until(
            lambda: (
                is_running(bench)
                and mirrors(bench)[f"web-{NODE}"]["metadata"]["annotations"][MIRROR] != first
            )
        )
        assert len(bench.runtime.sandboxes) == 1
        (folder / "web.yaml").unlink()
        await bench.until(lambda: not mirrors(bench) and not bench.runtime.sandboxes)


async def test_a_kubelet_that_begins_again_takes_its_static_pods_over_and_drops_mirrors_without_a_file(
    tmp_path, folder
):
    write(folder, manifest())
    async with FakeRuntime() as runtime:
        client = FakeClient(graceful_pods=True)
        async with running_kubelet(tmp_path, runtime=runtime, client=client, static_pods=folder) as bench:
            await bench.until(lambda: is_running(bench))
        sandboxes = set(runtime.sandboxes)
        left = bound_pod("old")
        left["metadata"]["annotations"] = {MIRROR: "x"}
        client.seed(PODS, left)
        async with running_kubelet(tmp_path, runtime=runtime, client=client, static_pods=folder) as bench:
            await bench.until(lambda: "old" not in mirrors(bench))
            await bench.until(lambda: is_running(bench))
            assert set(runtime.sandboxes) == sandboxes


async def test_a_mirror_that_is_deleted_while_its_status_is_written_comes_back(tmp_path, folder):
    write(folder, manifest())
    client = FakeClient(graceful_pods=True)
    patch, deleted = client.patch, []

    async def patch_and_delete(resource, name, body, **options):
        answer = await patch(resource, name, body, **options)
        ready = [one for one in answer["status"].get("conditions") or () if (one["type"], one["status"]) == ("Ready", "True")]
        if resource == PODS and not deleted and ready:  # the last thing there is to tell
            deleted.append(answer["metadata"]["uid"])
            await client.delete(PODS, name, namespace="default")  # whose event overtakes this answer
        return answer

    client.patch = patch_and_delete
    async with running_kubelet(tmp_path, client=client, static_pods=folder) as bench:
        await bench.until(lambda: is_running(bench) and deleted)
        await bench.until(lambda: is_running(bench) and mirrors(bench)[f"web-{NODE}"]["metadata"]["uid"] not in deleted)
