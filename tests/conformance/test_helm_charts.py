"""HelmCharts with the real helm: install, change by HelmChartConfig, a failure and its end, uninstall."""

import base64
import io
import json
import os
import tarfile
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.black_box import PROJECT, ApiError, BlackBox
from tests.support.played_node import PlayedNode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CHARTS_URL = "/apis/helm.cattle.io/v1/namespaces/kube-system"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    program = os.environ.get("K3PY_TEST_HELM", "")
    if not program:
        pytest.skip("needs helm: tests/support/helm/build makes it, K3PY_TEST_HELM names it")
    (tmp_path / "data/bin").mkdir(parents=True)
    (tmp_path / "data/server").mkdir()
    (tmp_path / "data/bin/helm").symlink_to(program)
    with BlackBox(tmp_path, "--disable=metrics-server,local-storage,servicelb") as running:
        yield running


def pack(folder):
    """Return the chart as an archive in base64."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder, arcname=folder.name)
    return base64.b64encode(packed.getvalue()).decode()


def make_chart(name, **spec):
    return {
        "kind": "HelmChart",
        "apiVersion": "helm.cattle.io/v1",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": spec,
    }


@contextmanager
def repository(folder):
    """A repository of charts that wants a password; yields its URL."""
    wanted = "Basic " + base64.b64encode(b"me:hush").decode()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.headers.get("Authorization") == wanted:
                super().do_GET()
            else:
                self.send_error(401)

        def log_message(self, *arguments):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def find(cluster, path):
    try:
        return cluster.request("GET", path)
    except ApiError as fault:
        if fault.code != 404:
            raise
        return None


def failed(cluster, name="site"):
    status = (find(cluster, f"{CHARTS_URL}/helmcharts/{name}") or {}).get("status") or {}
    return next((one for one in status.get("conditions") or () if one["type"] == "Failed"), {})


def test_a_chart_from_its_folder_to_its_end(cluster):
    cluster.until(lambda: find(cluster, f"{CHARTS_URL}/helmcharts") is not None, what="the kind", limit_s=60)
    spec = {"chartContent": pack(PROJECT / "tests/support/charts/web"), "targetNamespace": "site", "createNamespace": True}
    spec |= {"set": {"ingress.enabled": "false"}, "driver": "configmap"}
    chart = make_chart("site", **spec)
    cluster.request("POST", f"{CHARTS_URL}/helmcharts", chart)
    cluster.until(lambda: failed(cluster).get("status") == "False", what="the release", limit_s=60)
    data = "/api/v1/namespaces/site/configmaps/site"
    assert find(cluster, data)["data"]["greeting"] == "hello"
    assert find(cluster, "/apis/networking.k8s.io/v1/namespaces/site/ingresses/site") is None

    assert cluster.request("GET", "/api/v1/namespaces/site/configmaps?labelSelector=owner%3Dhelm")["items"]

    config = {**chart, "kind": "HelmChartConfig", "spec": {"valuesContent": "greeting: hi\n"}}
    cluster.request("POST", f"{CHARTS_URL}/helmchartconfigs", config)
    cluster.until(lambda: find(cluster, data)["data"]["greeting"] == "hi", what="the changed value", limit_s=60)

    patch = {"spec": {"valuesContent": "replicas: [not, a, number"}}
    cluster.request(
        "PATCH", f"{CHARTS_URL}/helmcharts/site", patch, content_type="application/merge-patch+json"
    )
    cluster.until(lambda: failed(cluster).get("status") == "True", what="the failure", limit_s=60)
    assert failed(cluster)["reason"] == "HelmFailed"

    cluster.request("DELETE", f"{CHARTS_URL}/helmcharts/site")
    cluster.until(lambda: find(cluster, f"{CHARTS_URL}/helmcharts/site") is None, what="the end", limit_s=60)
    assert find(cluster, data) is None
    assert not cluster.request("GET", "/api/v1/namespaces/site/configmaps?labelSelector=owner%3Dhelm")["items"]


def test_a_repository_with_a_password_in_the_manifests_folder(cluster, tmp_path):
    charts = tmp_path / "charts"
    charts.mkdir()
    (charts / "web-0.1.0.tgz").write_bytes(base64.b64decode(pack(PROJECT / "tests/support/charts/web")))
    entry = "{apiVersion: v2, name: web, version: 0.1.0, urls: [web-0.1.0.tgz]}"
    (charts / "index.yaml").write_text(f"apiVersion: v1\nentries: {{web: [{entry}]}}\n")
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "login", "namespace": "kube-system"}}
    secret |= {"type": "kubernetes.io/basic-auth", "stringData": {"username": "me", "password": "hush"}}
    with repository(charts) as url:
        spec = {"chart": "web", "repo": url, "version": "0.1.0", "targetNamespace": "default"}
        documents = [secret, make_chart("site", **spec, authSecret={"name": "login"})]
        file = tmp_path / "data/server/manifests/site.json"
        new = file.with_name(".site.json")
        new.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": documents}))
        new.rename(file)
        cluster.until(lambda: failed(cluster).get("status") == "False", what="the release", limit_s=60)
    assert find(cluster, "/api/v1/namespaces/default/configmaps/site")
    assert "hush" not in cluster.log.read_text()


def test_a_release_that_failed_is_installed_anew(cluster):
    cluster.until(lambda: find(cluster, f"{CHARTS_URL}/helmcharts") is not None, what="the kind", limit_s=60)
    content = pack(PROJECT / "tests/support/charts/database")
    chart = make_chart("db", chartContent=content, targetNamespace="default", timeout="2s")
    cluster.request("POST", f"{CHARTS_URL}/helmcharts", chart)  # no node: its hook cannot end
    cluster.until(lambda: failed(cluster, "db").get("status") == "True", what="the failure", limit_s=60)
    assert failed(cluster, "db")["reason"] == "HelmFailed"
    with PlayedNode(cluster):
        patch = {"spec": {"timeout": "60s"}}
        cluster.request("PATCH", f"{CHARTS_URL}/helmcharts/db", patch, content_type="application/merge-patch+json")
        cluster.until(lambda: failed(cluster, "db").get("status") == "False", what="the release", limit_s=90)
    assert find(cluster, "/apis/apps/v1/namespaces/default/statefulsets/db")
