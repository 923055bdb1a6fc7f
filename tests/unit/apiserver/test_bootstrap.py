import pytest

from k3py.api.kinds import ALL
from k3py.api.status import ApiError
from k3py.apiserver.assembly import ApiOptions
from k3py.apiserver.bootstrap import complete, read_objects
from tests.support.api import run_api


@pytest.fixture
async def api():
    async with run_api() as api:
        await api.assembly.bootstrap()
        yield api


async def test_namespaces_policy_and_the_kubernetes_service_are_made(api):
    names = [one["metadata"]["name"] for one in (await api.send("list", "namespaces"))["items"]]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    service = await api.send("get", "services", "kubernetes")
    assert service["spec"]["clusterIP"] == "10.43.0.1"
    assert service["spec"]["ports"][0]["port"] == 443
    admin = await api.send("get", "clusterroles", "admin")
    assert any("secrets" in (rule.get("resources") or ()) for rule in admin["rules"])


async def test_a_second_run_writes_nothing(api):
    before = (await api.send("get", "clusterroles", "edit"))["metadata"]["resourceVersion"]
    storage = api.assembly.dispatcher.services.storage
    revision = storage.current_revision
    await api.assembly.bootstrap()
    assert storage.current_revision == revision
    assert (await api.send("get", "clusterroles", "edit"))["metadata"]["resourceVersion"] == before


async def test_a_rule_that_was_taken_away_comes_back_and_one_that_was_added_stays(api):
    role = await api.send("get", "clusterroles", "view")
    own = {"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]}
    wanted = role["rules"]
    role["rules"] = [own]
    await api.send("update", "clusterroles", "view", role)
    await api.assembly.bootstrap()
    rules = (await api.send("get", "clusterroles", "view"))["rules"]
    assert own in rules
    assert all(rule in rules for rule in wanted)


async def test_an_object_that_opted_out_is_left_alone(api):
    role = await api.send("get", "clusterroles", "system:discovery")
    role["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
    role["rules"] = []
    await api.send("update", "clusterroles", "system:discovery", role)
    await api.assembly.bootstrap()
    assert not (await api.send("get", "clusterroles", "system:discovery"))["rules"]


async def test_a_subject_that_was_taken_away_comes_back(api):
    binding = await api.send("get", "clusterrolebindings", "cluster-admin")
    wanted = binding["subjects"]
    binding["subjects"] = []
    await api.send("update", "clusterrolebindings", "cluster-admin", binding)
    await api.assembly.bootstrap()
    assert (await api.send("get", "clusterrolebindings", "cluster-admin"))["subjects"] == wanted


async def test_default_namespaces_cannot_be_deleted(api):
    with pytest.raises(ApiError) as caught:
        await api.send("delete", "namespaces", "kube-system")
    assert caught.value.code == 403


def test_admin_edit_and_view_hold_the_rules_that_they_aggregate():
    roles = {one["metadata"]["name"]: one for one in read_objects() if one["kind"] == "ClusterRole"}
    view = roles["view"]["rules"]
    assert view
    assert all(rule in roles["edit"]["rules"] for rule in view)
    assert all(rule in roles["admin"]["rules"] for rule in roles["edit"]["rules"])


async def test_extension_servers_find_whom_to_trust_and_a_changed_authority_is_written():
    for data in ({"client-ca-file": "one"}, {"client-ca-file": "two"}):
        async with run_api(options=ApiOptions(extension_authentication=data)) as api:
            await api.assembly.bootstrap()
            found = await api.send(
                "get", "configmaps", "extension-apiserver-authentication", namespace="kube-system"
            )
            assert found["data"] == data


def test_a_present_object_is_completed_only_where_it_differs():
    kind = next(one for one in ALL if one.kind == "ConfigMap")
    present = {"metadata": {"name": "a", "uid": "u"}, "data": {"k": "old"}}
    assert complete(kind, present, {"metadata": {"name": "a"}, "data": {"k": "old"}}) is None
    changed = complete(kind, present, {"metadata": {"name": "a"}, "data": {"k": "new"}})
    assert changed == {"metadata": {"name": "a", "uid": "u"}, "data": {"k": "new"}}


async def test_levels_and_schemas_of_flow_control_are_made_and_follow_ours_unless_kept(api):
    names = {one["metadata"]["name"] for one in (await api.send("list", "prioritylevelconfigurations"))["items"]}
    assert {"exempt", "catch-all", "workload-high"} <= names
    schemas = {one["metadata"]["name"]: one for one in (await api.send("list", "flowschemas"))["items"]}
    assert {"exempt", "catch-all", "probes"} <= set(schemas)
    followed, kept = schemas["probes"], schemas["global-default"]
    kept["metadata"]["annotations"]["apf.kubernetes.io/autoupdate-spec"] = "false"
    for one in (followed, kept):
        one["spec"]["matchingPrecedence"] = 77
        await api.send("update", "flowschemas", one["metadata"]["name"], body=one)
    await api.assembly.bootstrap()
    assert (await api.send("get", "flowschemas", "probes"))["spec"]["matchingPrecedence"] == 2
    assert (await api.send("get", "flowschemas", "global-default"))["spec"]["matchingPrecedence"] == 77


async def test_the_spec_of_what_every_server_has_is_fixed(api):
    for plural in ("flowschemas", "prioritylevelconfigurations"):
        one = await api.send("get", plural, "catch-all")
        one["metadata"].setdefault("labels", {})["a"] = "b"
        await api.send("update", plural, "catch-all", body=one)
        one = await api.send("get", plural, "catch-all")
        if plural == "flowschemas":
            one["spec"]["matchingPrecedence"] = 9000
        else:
            one["spec"]["limited"]["nominalConcurrencyShares"] = 1
        with pytest.raises(ApiError) as caught:
            await api.send("update", plural, "catch-all", body=one)
        assert [cause["field"] for cause in caught.value.details["causes"]] == ["spec"]


async def test_another_address_of_the_server_is_told_to_the_cluster():
    async with run_api(options=ApiOptions(advertise_address="192.0.2.1")) as api:
        await api.assembly.bootstrap()
        await api.assembly.advertise("192.0.2.2")
        slices = await api.send("get", "endpointslices", "kubernetes")
        assert [one["addresses"] for one in slices["endpoints"]] == [["192.0.2.2"]]
        endpoints = await api.send("get", "endpoints", "kubernetes")
        assert [one["ip"] for one in endpoints["subsets"][0]["addresses"]] == ["192.0.2.2"]
