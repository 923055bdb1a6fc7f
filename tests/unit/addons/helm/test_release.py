"""What helm is told for a chart."""

import base64

import orjson
import pytest

from k3py.addons.helm.release import References, ReleaseError, config_hash, plan_release


def chart(**spec):
    return {"metadata": {"name": "web", "namespace": "kube-system"}, "spec": spec}


def config(**spec):
    return {"metadata": {"name": "web", "namespace": "kube-system"}, "spec": spec}


def plan(chart, config=None, references=None):
    return plan_release(chart, config, references or References(), static="/data/static")


def test_a_chart_in_the_object_itself():
    content = base64.b64encode(b"archive").decode()
    found = plan(chart(chartContent=f"{content[:4]}\n{content[4:]}", targetNamespace="web", createNamespace=True))
    assert (found.name, found.namespace, found.chart) == ("web", "web", "./chart.tgz")
    assert found.files["chart.tgz"] == b"archive"
    assert found.options == ("--create-namespace", "--timeout=300s")
    assert found.policy == "reinstall"
    assert not found.uses_repository


def test_charts_elsewhere():
    assert plan(chart(chart="https://charts.example/web.tgz")).chart == "https://charts.example/web.tgz"
    assert plan(chart(chart="https://charts.example/web.tgz", driver="configmap")).driver == "configmap"
    assert plan(chart(chart="oci://registry.example/web", version="1.2")).options[0] == "--version=1.2"
    own = plan(chart(chart="https://%{KUBERNETES_API}%/static/charts/web.tgz"))
    assert (own.chart, own.namespace) == ("/data/static/charts/web.tgz", "kube-system")


def test_passwords_are_in_files_only():
    references = References(auth=("me", "hush"), ca="PEM", docker='{"auths": {"hush": {}}}')
    spec = {"chart": "web", "repo": "https://charts.example", "authPassCredentials": True, "plainHTTP": True}
    found = plan(chart(**spec), references=references)
    assert found.chart == "repository/web"
    assert found.uses_repository
    assert found.options == ("--ca-file=ca.crt", "--plain-http", "--timeout=300s")
    (entry,) = orjson.loads(found.files["repositories.json"])["repositories"]
    assert (entry["username"], entry["password"], entry["pass_credentials_all"]) == ("me", "hush", True)
    assert found.files["registry.json"] == b'{"auths": {"hush": {}}}'
    assert "hush" not in repr(found)
    assert "hush" not in repr(references)


def test_values_in_their_order():
    secrets = {("s", "a"): "from: s", ("t", "b"): "from: t"}
    spec = {
        "chart": "https://c.example/w.tgz",
        "valuesContent": "from: chart",
        "valuesSecrets": [{"name": "s", "keys": ["a"]}],
        "set": {"number": 3, "text": "a,b", "flag": "true", "none": None, "big": "007x"},
    }
    other = config(valuesContent="from: config", valuesSecrets=[{"name": "t", "keys": ["b"]}], failurePolicy="abort")
    found = plan(chart(**spec), other, References(values=secrets))
    texts = [found.files[one.removeprefix("--values=")] for one in found.options if one.startswith("--values=")]
    assert texts == [b"from: chart", b"from: s", b"from: config", b"from: t"]
    assert found.options[4:] == (
        "--set-string=big=007x", "--set=flag=true", "--set=none=null", "--set=number=3", "--set-string=text=a\\,b",
        "--timeout=300s",
    )  # fmt: skip
    assert found.policy == "abort"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "spec.chart"),
        ({"chart": "--post-renderer=x"}, "spec.chart"),
        ({"chart": "web"}, "spec.repo is not given"),
        ({"chart": "https://%{KUBERNETES_API}%/static/../../etc"}, "spec.chart"),
        ({"chartContent": "???"}, "spec.chartContent"),
        ({"chart": "https://c.example/w.tgz", "driver": "sql"}, "spec.driver: 'sql'"),
        ({"chart": "https://c.example/w.tgz", "timeout": "soon"}, "spec.timeout: 'soon'"),
        ({"chart": "https://c.example/w.tgz", "valuesSecrets": [{"name": "s", "keys": ["a"]}]}, "Secret s has no key a"),
    ],
)
def test_faults_name_the_field(spec, said):
    with pytest.raises(ReleaseError) as caught:
        plan(chart(**spec))
    assert said in str(caught.value)


def test_the_hash_follows_what_decides():
    secrets = {"valuesSecrets": [{"name": "s", "keys": ["a"]}]}
    first = config_hash(chart(chart="x", **secrets), None, References(values={("s", "a"): "1"}))
    assert first == config_hash(chart(chart="x", **secrets), None, References(values={("s", "a"): "1"}))
    assert first != config_hash(chart(chart="x", **secrets), None, References(values={("s", "a"): "2"}))
    assert first != config_hash(chart(chart="x", **secrets), config(valuesContent="a: b"), References())
    secrets["valuesSecrets"][0]["ignoreUpdates"] = True
    ignoring = [config_hash(chart(**secrets), None, References(values={("s", "a"): one})) for one in "12"]
    assert ignoring[0] == ignoring[1]
