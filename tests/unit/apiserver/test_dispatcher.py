import asyncio

import pytest

from k3py.api.status import ApiError
from k3py.api.user import AUTHENTICATED, User
from k3py.apiserver.interface import WatchResult
from tests.support.api import run_api

MERGE = "application/merge-patch+json"


@pytest.fixture
async def api():
    async with run_api() as api:
        yield api


def config_map(name="a", **more):
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **more}


async def refused(coroutine, code):
    with pytest.raises(ApiError) as caught:
        await coroutine
    assert caught.value.code == code, caught.value.message
    return caught.value


async def test_create_fills_in_what_the_server_owns_and_get_returns_it(api):
    made = await api.send("create", "configmaps", body=config_map(data={"k": "v"}))
    metadata = made["metadata"]
    assert metadata["namespace"] == "default"
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"].endswith("Z")
    assert int(metadata["resourceVersion"]) > 0
    assert await api.send("get", "configmaps", "a") == made


async def test_a_second_create_of_a_name_is_already_exists(api):
    await api.send("create", "configmaps", body=config_map())
    error = await refused(api.send("create", "configmaps", body=config_map()), 409)
    assert (error.reason, error.message) == ("AlreadyExists", 'configmaps "a" already exists')


async def test_a_missing_name_is_required_and_a_bad_one_invalid(api):
    error = await refused(api.send("create", "configmaps", body={"data": {}}), 422)
    assert error.details["causes"][0]["reason"] == "FieldValueRequired"
    assert error.details["causes"][0]["field"] == "metadata.name"
    error = await refused(api.send("create", "configmaps", body=config_map("BAD")), 422)
    assert error.details["kind"] == "ConfigMap"


async def test_a_generated_name_keeps_its_base_and_differs(api):
    body = {"metadata": {"generateName": "some-"}}
    names = {(await api.send("create", "configmaps", body=body))["metadata"]["name"] for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("some-") and len(name) == 10 for name in names)


async def test_unknown_fields_warn_or_are_refused_or_are_dropped_in_silence(api):
    warnings = []
    made = await api.send("create", "configmaps", body=config_map(dada={}), warnings=warnings)
    assert "dada" not in made
    assert warnings == ['unknown field "dada"']
    error = await refused(
        api.send("create", "configmaps", body=config_map("b", dada={}), fieldValidation="Strict"), 400
    )
    assert 'strict decoding error: unknown field "dada"' in error.message
    silent = []
    await api.send(
        "create", "configmaps", body=config_map("c", dada={}), fieldValidation="Ignore", warnings=silent
    )
    assert silent == []


async def test_an_apply_with_repeated_keys_warns_or_is_refused(api):
    def apply(**more):
        body = config_map("twice", data={"a": "2"})
        patch = {"body": body, "patch_type": "application/apply-patch+yaml", "repeated_keys": ["line 3: twice"]}
        return api.send("patch", "configmaps", "twice", fieldManager="me", **patch, **more)

    error = await refused(apply(fieldValidation="Strict"), 400)
    assert error.message == (
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 3: twice"
    )
    warnings = []
    await apply(warnings=warnings)
    await apply(fieldValidation="Warn", warnings=warnings)
    await apply(fieldValidation="Ignore", warnings=warnings)
    assert warnings == ["line 3: twice"] * 2


async def test_another_kind_or_version_or_namespace_in_the_body_is_a_bad_request(api):
    await refused(api.send("create", "configmaps", body={**config_map(), "kind": "Secret"}), 400)
    await refused(api.send("create", "configmaps", body={**config_map(), "apiVersion": "v2"}), 400)
    await refused(api.send("create", "configmaps", body=config_map(metadata={"namespace": "other"})), 400)


async def test_create_in_a_missing_namespace_is_not_found(api):
    error = await refused(api.send("create", "configmaps", body=config_map(), namespace="none"), 404)
    assert error.message == 'namespaces "none" not found'


async def test_a_stale_version_conflicts_and_none_overwrites(api):
    made = await api.send("create", "configmaps", body=config_map())
    await api.send("update", "configmaps", "a", {**made, "data": {"k": "1"}})
    await refused(api.send("update", "configmaps", "a", {**made, "data": {"k": "2"}}), 409)
    done = await api.send("update", "configmaps", "a", config_map(data={"k": "3"}))
    assert done["data"] == {"k": "3"}
    assert done["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_kind_may_demand_a_version_and_be_created_by_update(api):
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
    result = await api.result("update", "leases", "l", lease)
    assert result.status_code == 201
    error = await refused(api.send("update", "leases", "l", lease), 422)
    assert error.details["causes"][0]["field"] == "metadata.resourceVersion"
    await refused(api.send("update", "configmaps", "none", config_map("none")), 404)


async def test_an_update_without_change_keeps_the_version(api):
    made = await api.send("create", "configmaps", body=config_map(data={"k": "v"}))
    done = await api.send("update", "configmaps", "a", config_map(data={"k": "v"}))
    assert done["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_concurrent_patches_all_arrive(api):
    await api.send("create", "configmaps", body=config_map(data={}))
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(
                api.send("patch", "configmaps", "a", {"data": {f"k{number}": "v"}}, patch_type=MERGE)
            )
    assert len((await api.send("get", "configmaps", "a"))["data"]) == 10


async def test_patch_refuses_another_name_and_a_stale_version(api):
    made = await api.send("create", "configmaps", body=config_map())
    await refused(api.send("patch", "configmaps", "a", {"metadata": {"name": "b"}}, patch_type=MERGE), 400)
    await api.send("patch", "configmaps", "a", {"data": {"k": "v"}}, patch_type=MERGE)
    version = made["metadata"]["resourceVersion"]
    await refused(
        api.send("patch", "configmaps", "a", {"metadata": {"resourceVersion": version}}, patch_type=MERGE),
        409,
    )


async def test_status_and_spec_are_written_apart_and_generation_follows_spec(api):
    body = {
        "metadata": {"name": "r"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
        "status": {"replicas": 7},
    }
    made = await api.send("create", "replicasets", body=body)
    assert made["metadata"]["generation"] == 1
    assert made.get("status", {}).get("replicas", 0) == 0
    made["status"] = {"replicas": 3}
    made["spec"]["replicas"] = 9
    done = await api.send("update", "replicasets", "r", made, sub="status")
    assert (done["spec"]["replicas"], done["status"]["replicas"]) == (1, 3)
    scaled = await api.send(
        "patch", "replicasets", "r", {"spec": {"replicas": 5}}, sub="scale", patch_type=MERGE
    )
    assert (scaled["kind"], scaled["spec"], scaled["status"]["selector"]) == ("Scale", {"replicas": 5}, "a=b")
    now = await api.send("get", "replicasets", "r")
    assert (now["spec"]["replicas"], now["metadata"]["generation"]) == (5, 2)


async def test_dry_run_answers_and_stores_nothing(api):
    made = await api.send("create", "configmaps", body=config_map(), dryRun="All")
    assert "resourceVersion" not in made["metadata"]
    await refused(api.send("get", "configmaps", "a"), 404)
    await api.send("create", "configmaps", body=config_map())
    done = await api.send("update", "configmaps", "a", config_map(data={"k": "v"}), dryRun="All")
    assert done["data"] == {"k": "v"}
    await api.send("delete", "configmaps", "a", dryRun="All")
    assert not (await api.send("get", "configmaps", "a")).get("data")
    await refused(api.send("create", "configmaps", body=config_map("b"), dryRun="Some"), 422)


async def test_delete_answers_a_status_with_the_uid(api):
    made = await api.send("create", "configmaps", body=config_map())
    status = await api.send("delete", "configmaps", "a")
    assert status["status"] == "Success"
    assert status["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    await refused(api.send("get", "configmaps", "a"), 404)


async def test_delete_checks_preconditions(api):
    made = await api.send("create", "configmaps", body=config_map())
    await refused(api.send("delete", "configmaps", "a", {"preconditions": {"uid": "x"}}), 409)
    await refused(api.send("delete", "configmaps", "a", {"preconditions": {"resourceVersion": "1"}}), 409)
    uid = made["metadata"]["uid"]
    assert (await api.send("delete", "configmaps", "a", {"preconditions": {"uid": uid}}))[
        "status"
    ] == "Success"


async def test_finalizers_hold_a_deleted_object_until_the_last_is_gone(api):
    await api.send("create", "configmaps", body=config_map(metadata={"finalizers": ["example.com/a"]}))
    marked = await api.send("delete", "configmaps", "a", {"propagationPolicy": "Foreground"})
    assert marked["metadata"]["finalizers"] == ["example.com/a", "foregroundDeletion"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    more = {"metadata": {"finalizers": ["example.com/a", "foregroundDeletion", "example.com/b"]}}
    await refused(api.send("patch", "configmaps", "a", more, patch_type=MERGE), 422)
    await api.send("patch", "configmaps", "a", {"metadata": {"finalizers": None}}, patch_type=MERGE)
    await refused(api.send("get", "configmaps", "a"), 404)


async def test_a_bound_pod_goes_slowly_and_its_grace_can_only_shrink(api):
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}}
    await api.send("create", "serviceaccounts", body={"metadata": {"name": "default"}})
    await api.send("create", "pods", body=pod)
    first = await api.send("delete", "pods", "p")
    assert first["metadata"]["deletionGracePeriodSeconds"] == 30
    assert first["metadata"]["generation"] == 2
    longer = await api.send("delete", "pods", "p", {"gracePeriodSeconds": 60})
    assert longer["metadata"] == first["metadata"]
    shorter = await api.send("delete", "pods", "p", {"gracePeriodSeconds": 5})
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    await api.send("delete", "pods", "p", {"gracePeriodSeconds": 0})
    await refused(api.send("get", "pods", "p"), 404)


async def test_binding_sets_the_node_once(api):
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await api.send("create", "serviceaccounts", body={"metadata": {"name": "default"}})
    await api.send("create", "pods", body=pod)
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    assert (await api.send("create", "pods", "p", binding, sub="binding"))["status"] == "Success"
    bound = await api.send("get", "pods", "p")
    assert bound["spec"]["nodeName"] == "n"
    assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
    await refused(api.send("create", "pods", "p", binding, sub="binding"), 409)


async def test_a_namespace_goes_when_its_last_finalizer_is_finalized(api):
    await api.send("create", "namespaces", body={"metadata": {"name": "n"}})
    ending = await api.send("delete", "namespaces", "n")
    assert ending["status"]["phase"] == "Terminating"
    error = await refused(api.send("create", "configmaps", body=config_map(), namespace="n"), 403)
    assert error.details["causes"][0]["reason"] == "NamespaceTerminating"
    ending["spec"]["finalizers"] = []
    await api.send("update", "namespaces", "n", ending, sub="finalize")
    await refused(api.send("get", "namespaces", "n"), 404)


async def test_lists_select_and_refuse_unknown_fields(api):
    for name in ("a", "b", "c"):
        await api.send("create", "configmaps", body=config_map(name, metadata={"labels": {"n": name}}))
    some = await api.send("list", "configmaps", labelSelector="n in (a,c)")
    assert [one["metadata"]["name"] for one in some["items"]] == ["a", "c"]
    one = await api.send("list", "configmaps", fieldSelector="metadata.name=b")
    assert [one["metadata"]["name"] for one in one["items"]] == ["b"]
    error = await refused(api.send("list", "configmaps", fieldSelector="data.k=v"), 400)
    assert error.message == '"data.k" is not a known field selector: only "metadata.name", "metadata.namespace"'


async def test_deletecollection_deletes_what_is_selected(api):
    for name in ("a", "b"):
        await api.send("create", "configmaps", body=config_map(name, metadata={"labels": {"n": name}}))
    gone = await api.send("deletecollection", "configmaps", labelSelector="n=a")
    assert [one["metadata"]["name"] for one in gone["items"]] == ["a"]
    left = await api.send("list", "configmaps")
    assert [one["metadata"]["name"] for one in left["items"]] == ["b"]


async def test_watch_tells_what_happens_behind_a_version(api):
    made = await api.send("create", "configmaps", body=config_map())
    result = await api.result("watch", "configmaps", resourceVersion=made["metadata"]["resourceVersion"])
    assert isinstance(result, WatchResult)
    seen = []
    async with result.events as batches:
        await api.send("patch", "configmaps", "a", {"data": {"k": "v"}}, patch_type=MERGE)
        await api.send("delete", "configmaps", "a")
        async for batch in batches:
            seen += [item.type.value for item in batch]
            if "DELETED" in seen:
                break
    assert seen == ["MODIFIED", "DELETED"]


async def test_who_may_not_is_told_so(api):
    api.user = User(name="eve", groups=(AUTHENTICATED,))
    error = await refused(api.send("list", "configmaps"), 403)
    assert error.message == (
        'configmaps is forbidden: User "eve" cannot list resource "configmaps" in API group "" '
        'in the namespace "default"'
    )


async def test_a_role_gives_what_it_says_and_no_one_grants_more_than_they_have(api):
    role = {
        "metadata": {"name": "r"},
        "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]},
        ],
    }
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}],
    }
    await api.send("create", "roles", body=role)
    await api.send("create", "rolebindings", body=binding)
    await api.send("create", "configmaps", body=config_map())
    api.user = User(name="eve", groups=(AUTHENTICATED,))
    async with asyncio.timeout(2):
        while True:
            try:
                await api.send("get", "configmaps", "a")
                break
            except ApiError:
                await asyncio.sleep(0)
    review = {
        "spec": {"resourceAttributes": {"verb": "list", "resource": "configmaps", "namespace": "default"}}
    }
    await refused(api.send("list", "configmaps"), 403)
    less = {"metadata": {"name": "less"}, "rules": role["rules"][:1]}
    assert (await api.send("create", "roles", body=less))["metadata"]["name"] == "less"
    more = {
        "metadata": {"name": "m"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
    }
    error = await refused(api.send("create", "roles", body=more), 403)
    assert "attempting to grant RBAC permissions not currently held" in error.message
    await refused(api.send("create", "selfsubjectaccessreviews", body=review), 403)


async def test_a_service_gives_its_address_back_when_its_last_finalizer_goes(api):
    spec = {"clusterIP": "10.43.0.77", "ports": [{"port": 80}]}
    held = {"metadata": {"name": "s", "finalizers": ["example.com/a"]}, "spec": spec}
    await api.send("create", "services", body=held)
    await api.send("delete", "services", "s")
    await refused(api.send("create", "services", body={"metadata": {"name": "t"}, "spec": spec}), 422)
    await api.send("patch", "services", "s", {"metadata": {"finalizers": None}}, patch_type=MERGE)
    made = await api.send("create", "services", body={"metadata": {"name": "t"}, "spec": spec})
    assert made["spec"]["clusterIP"] == "10.43.0.77"


async def test_an_address_is_free_again_after_a_refused_or_dry_create(api):
    spec = {"clusterIP": "10.43.0.77", "ports": [{"port": 80}]}
    await api.send("create", "services", body={"metadata": {"name": "s"}, "spec": spec}, dryRun="All")
    await refused(api.send("create", "services", body={"metadata": {"name": "BAD"}, "spec": spec}), 422)
    made = await api.send("create", "services", body={"metadata": {"name": "s"}, "spec": spec})
    assert made["spec"]["clusterIP"] == "10.43.0.77"
