"""HelmCharts with the real helm: install, change by HelmChartConfig, a failure and its end, uninstall."""

import base64
import io
import os
import tarfile

import pytest

from tests.support.black_box import PROJECT, ApiError, BlackBox

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


def find(cluster, path):
    try:
        return cluster.request("GET", path)
    except ApiError as fault:
        if fault.code != 404:
            raise
        return None


def failed(cluster):
    status = (find(cluster, f"{CHARTS_URL}/helmcharts/site") or {}).get("status") or {}
    return next((one for one in status.get("conditions") or () if one["type"] == "Failed"), {})


def test_a_chart_from_its_folder_to_its_end(cluster):
    cluster.until(lambda: find(cluster, f"{CHARTS_URL}/helmcharts") is not None, what="the kind", limit_s=60)
    spec = {"chartContent": pack(PROJECT / "tests/support/charts/web"), "targetNamespace": "site", "createNamespace": True}
    spec["set"] = {"ingress.enabled": "false"}
    chart = {
        "kind": "HelmChart",
        "apiVersion": "helm.cattle.io/v1",
        "metadata": {"name": "site", "namespace": "kube-system"},
        "spec": spec,
    }
    cluster.request("POST", f"{CHARTS_URL}/helmcharts", chart)
    cluster.until(lambda: failed(cluster).get("status") == "False", what="the release", limit_s=60)
    data = "/api/v1/namespaces/site/configmaps/site"
    assert find(cluster, data)["data"]["greeting"] == "hello"
    assert find(cluster, "/apis/networking.k8s.io/v1/namespaces/site/ingresses/site") is None

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
    assert not cluster.request("GET", "/api/v1/namespaces/site/secrets?labelSelector=owner%3Dhelm")["items"]
