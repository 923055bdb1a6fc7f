"""Helm and the three charts in tests/support/charts: install, upgrade, rollback, test, uninstall; hooks, lookups, definitions."""

import json
import os
import subprocess

import pytest

from tests.support.black_box import PROJECT, ApiError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.usefixtures("played_node")]

CHARTS = PROJECT / "tests" / "support" / "charts"


class Helm:
    def __init__(self, program, cluster, namespace):
        self._program = program
        self._cluster = cluster
        self.namespace = namespace
        folder = cluster.folder / "helm"
        self._environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}

    def run(self, *arguments):
        command = [self._program, "--namespace", self.namespace, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=self._environment, timeout=150)

    def __call__(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def find(self, group, plural, name):
        """Return an object of the namespace, None when there is none."""
        try:
            return self._cluster.request("GET", f"/{group}/namespaces/{self.namespace}/{plural}/{name}")
        except ApiError as fault:
            if fault.code != 404:
                raise
            return None

    def history(self, release):
        return [(one["revision"], one["status"]) for one in json.loads(self("history", release, "-o", "json"))]


@pytest.fixture
def helm(cluster, namespace):
    program = os.environ.get("K3PY_TEST_HELM", "")
    if not program:
        pytest.skip("needs helm: tests/support/helm/build makes it, K3PY_TEST_HELM names it")
    return Helm(program, cluster, namespace)


def test_install_upgrade_rollback_test_and_uninstall(helm):
    chart = str(CHARTS / "web")
    assert f"site says hello in {helm.namespace}." in helm("install", "site", chart, "--wait", "--timeout=60s")
    assert helm.find("apis/apps/v1", "deployments", "site")["status"]["readyReplicas"] == 1
    assert helm.find("apis/networking.k8s.io/v1", "ingresses", "site")
    (listed,) = json.loads(helm("list", "-o", "json"))
    assert (listed["name"], listed["status"], listed["chart"]) == ("site", "deployed", "web-0.1.0")

    helm("upgrade", "site", chart, "--wait", "--timeout=60s", "--set=replicas=3,greeting=hi,ingress.enabled=false")
    assert helm.find("apis/apps/v1", "deployments", "site")["status"]["readyReplicas"] == 3
    assert helm.find("api/v1", "configmaps", "site")["data"] == {"greeting": "hi", "revision": "2"}
    assert helm.find("apis/networking.k8s.io/v1", "ingresses", "site") is None
    assert json.loads(helm("get", "values", "site", "-o", "json"))["replicas"] == 3

    helm("rollback", "site", "1", "--wait", "--timeout=60s")
    assert helm.find("apis/apps/v1", "deployments", "site")["spec"]["replicas"] == 1
    assert helm.find("api/v1", "configmaps", "site")["data"]["greeting"] == "hello"
    assert helm.find("apis/networking.k8s.io/v1", "ingresses", "site")
    assert helm.history("site") == [(1, "superseded"), (2, "superseded"), (3, "deployed")]

    assert "Succeeded" in helm("test", "site", "--timeout=60s")
    helm("uninstall", "site", "--wait", "--timeout=60s")
    for group, plural in (("apis/apps/v1", "deployments"), ("api/v1", "services"), ("apis/networking.k8s.io/v1", "ingresses")):
        assert helm.find(group, plural, "site") is None
    assert json.loads(helm("list", "--all", "-o", "json")) == []


def test_hooks_run_before_and_after(helm):
    chart = str(CHARTS / "database")
    helm("install", "db", chart, "--wait", "--timeout=60s")
    assert helm.find("apis/batch/v1", "jobs", "db-pre-install")["status"]["succeeded"] == 1
    assert helm.find("apis/apps/v1", "statefulsets", "db")["status"]["readyReplicas"] == 2
    password = helm.find("api/v1", "secrets", "db")["data"]["password"]
    helm("upgrade", "db", chart, "--wait", "--timeout=60s", "--set=image=database:2")
    assert helm.find("apis/batch/v1", "jobs", "db-pre-upgrade")["status"]["succeeded"] == 1
    assert helm.find("api/v1", "secrets", "db")["data"]["password"] == password
    assert helm.find("apis/apps/v1", "statefulsets", "db")["status"]["updatedReplicas"] == 2
    helm("uninstall", "db", "--wait", "--timeout=60s")
    assert helm.find("apis/apps/v1", "statefulsets", "db") is None
    assert helm.find("api/v1", "configmaps", "db-goodbye")["data"] == {"last": "2"}


def test_an_upgrade_that_is_refused_goes_back(helm):
    chart = str(CHARTS / "web")
    helm("install", "site", chart, "--wait", "--timeout=60s")
    done = helm.run("upgrade", "site", chart, "--atomic", "--timeout=60s", "--set=replicas=-1,greeting=hi")
    assert done.returncode == 1
    assert "spec.replicas: Invalid value: -1" in done.stderr
    assert "has been rolled back due to atomic being set" in done.stderr, done.stderr
    assert [status for _, status in helm.history("site")] == ["superseded", "failed", "deployed"]
    assert helm.find("api/v1", "configmaps", "site")["data"]["greeting"] == "hello"


def test_a_chart_brings_its_own_kind(helm):
    chart = str(CHARTS / "widgets")
    helm("upgrade", "--install", "w", chart, "--wait", "--timeout=60s")
    widget = helm.find("apis/charts.example.com/v1", "widgets", "w")
    assert widget["spec"] == {"size": 3, "colour": "red"}
    assert widget["metadata"]["labels"]["served"] == "true"
    helm("upgrade", "--install", "w", chart, "--set=size=5")
    assert helm.find("apis/charts.example.com/v1", "widgets", "w")["spec"] == {"size": 5, "colour": "red"}
    refused = helm.run("upgrade", "w", chart, "--set=size=10")
    assert refused.returncode == 1
    assert "should be less than or equal to 9" in refused.stderr
    helm("rollback", "w", "1")
    assert helm.find("apis/charts.example.com/v1", "widgets", "w")["spec"]["size"] == 3
    helm("uninstall", "w")
    assert helm.find("apis/charts.example.com/v1", "widgets", "w") is None


def test_a_dry_run_asks_the_server_and_changes_nothing(helm):
    shown = helm("install", "site", str(CHARTS / "web"), "--dry-run=server")
    assert "kind: Deployment" in shown
    assert helm.find("apis/apps/v1", "deployments", "site") is None
