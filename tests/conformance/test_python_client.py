"""The official Python client: every kind of the thin whole, watches, patch types, the dynamic client, paging."""

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def api(cluster):
    """A client from the administrator's kubeconfig."""
    settings = client.Configuration()
    config.load_kube_config(str(cluster.kubeconfig), client_configuration=settings)
    with client.ApiClient(settings) as made:
        yield made


@pytest.fixture
def core(api):
    return client.CoreV1Api(api)


@pytest.fixture
def apps(api):
    return client.AppsV1Api(api)


def meta(name, **more):
    return client.V1ObjectMeta(name=name, **more)


def template(**spec):
    containers = [client.V1Container(name="c", image="i", resources=client.V1ResourceRequirements(requests={"cpu": "100m"}))]
    pod = client.V1PodSpec(containers=containers, node_selector={"never": "there"}, **spec)
    return client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": "x"}), spec=pod)


def objects(namespace):
    """One object a kind, with the client class that knows it and the suffix of its methods."""
    selector = client.V1LabelSelector(match_labels={"app": "x"})
    subject = client.RbacV1Subject(kind="User", name="u", api_group="rbac.authorization.k8s.io")
    rule = client.V1PolicyRule(api_groups=[""], resources=["pods"], verbs=["get"])
    role = client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="Role", name="x")
    cluster_role = client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="view")
    name = f"py-{namespace}"
    involved = client.V1ObjectReference(kind="Pod", name="x", namespace=namespace)
    return {
        "namespaced_config_map": (client.CoreV1Api, client.V1ConfigMap(metadata=meta("x"), data={"a": "1"})),
        "namespaced_secret": (client.CoreV1Api, client.V1Secret(metadata=meta("x"), string_data={"a": "1"})),
        "namespaced_service_account": (client.CoreV1Api, client.V1ServiceAccount(metadata=meta("x"))),
        "namespaced_service": (
            client.CoreV1Api,
            client.V1Service(metadata=meta("x"), spec=client.V1ServiceSpec(ports=[client.V1ServicePort(port=80)])),
        ),
        "namespaced_pod": (client.CoreV1Api, client.V1Pod(metadata=meta("x"), spec=template().spec)),
        "namespaced_event": (client.CoreV1Api, client.CoreV1Event(metadata=meta("x"), involved_object=involved, reason="R")),
        "namespace": (client.CoreV1Api, client.V1Namespace(metadata=meta(name))),
        "node": (client.CoreV1Api, client.V1Node(metadata=meta(name))),
        "namespaced_deployment": (
            client.AppsV1Api,
            client.V1Deployment(metadata=meta("x"), spec=client.V1DeploymentSpec(selector=selector, template=template(), replicas=0)),
        ),
        "namespaced_replica_set": (
            client.AppsV1Api,
            client.V1ReplicaSet(metadata=meta("y"), spec=client.V1ReplicaSetSpec(selector=selector, template=template(), replicas=0)),
        ),
        "namespaced_lease": (client.CoordinationV1Api, client.V1Lease(metadata=meta("x"), spec=client.V1LeaseSpec(holder_identity="me"))),
        "namespaced_role": (client.RbacAuthorizationV1Api, client.V1Role(metadata=meta("x"), rules=[rule])),
        "namespaced_role_binding": (
            client.RbacAuthorizationV1Api,
            client.V1RoleBinding(metadata=meta("x"), role_ref=role, subjects=[subject]),
        ),
        "cluster_role": (client.RbacAuthorizationV1Api, client.V1ClusterRole(metadata=meta(name), rules=[rule])),
        "cluster_role_binding": (
            client.RbacAuthorizationV1Api,
            client.V1ClusterRoleBinding(metadata=meta(name), role_ref=cluster_role, subjects=[subject]),
        ),
    }


@pytest.mark.parametrize("suffix", objects("x"))
def test_life_of(api, namespace, suffix):
    family, body = objects(namespace)[suffix]
    calls = family(api)
    place = [namespace] if suffix.startswith("namespaced") else []

    def call(verb, *arguments, **options):
        return getattr(calls, f"{verb}_{suffix}")(*arguments, **options)

    created = call("create", *place, body)
    name = created.metadata.name
    assert created.metadata.uid
    found = call("read", name, *place)
    assert found.metadata.uid == created.metadata.uid
    assert name in {one.metadata.name for one in call("list", *place).items}
    while True:
        found.metadata.labels = {**(found.metadata.labels or {}), "seen": "yes"}
        try:
            replaced = call("replace", name, *place, found)
            break
        except ApiException as conflict:
            # A controller may have been faster (nodes get taints): as any client, read again.
            if conflict.status != 409:
                raise
            found = call("read", name, *place)
    assert replaced.metadata.labels["seen"] == "yes"
    assert replaced.metadata.resource_version != created.metadata.resource_version
    patched = call("patch", name, *place, {"metadata": {"annotations": {"note": "x"}}})
    assert patched.metadata.annotations["note"] == "x"
    call("delete", name, *place, grace_period_seconds=0)
    if suffix != "namespace":
        with pytest.raises(ApiException) as gone:
            call("read", name, *place)
        assert gone.value.status == 404
        assert gone.value.reason == "Not Found"


def test_a_stale_replace_is_a_conflict_and_an_invalid_object_has_causes(core, namespace):
    made = core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta("c")))
    core.patch_namespaced_config_map("c", namespace, {"data": {"a": "1"}})
    with pytest.raises(ApiException) as fault:
        core.replace_namespaced_config_map("c", namespace, made)
    assert fault.value.status == 409
    bad = client.V1Pod(metadata=meta("p"), spec=client.V1PodSpec(containers=[client.V1Container(name="C", image="i")]))
    with pytest.raises(ApiException) as fault:
        core.create_namespaced_pod(namespace, bad)
    assert fault.value.status == 422
    assert '"field":"spec.containers[0].name"' in fault.value.body.replace(" ", "")


def test_patch_types(api, apps, core, namespace):
    spec = client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels={"app": "x"}), template=template(), replicas=0)
    apps.create_namespaced_deployment(namespace, client.V1Deployment(metadata=meta("d"), spec=spec))
    # A dict is a strategic patch for this client, a list a JSON patch.
    more = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s"}]}}}}
    found = apps.patch_namespaced_deployment("d", namespace, more)
    assert {one.name for one in found.spec.template.spec.containers} == {"c", "side"}
    found = apps.patch_namespaced_deployment("d", namespace, [{"op": "replace", "path": "/spec/minReadySeconds", "value": 3}])
    assert found.spec.min_ready_seconds == 3
    found = apps.patch_namespaced_deployment_scale("d", namespace, {"spec": {"replicas": 2}})
    assert found.spec.replicas == 2
    assert apps.read_namespaced_deployment_scale("d", namespace).spec.replicas == 2
    core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta("c"), data={"a": "1", "b": "2"}))
    found = core.patch_namespaced_config_map("c", namespace, {"data": {"a": None}}, _content_type="application/merge-patch+json")
    assert found.data == {"b": "2"}


def test_a_watch_from_a_version_sees_what_came_after_it(core, namespace):
    core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta("before")))
    version = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta("after")))
    core.delete_namespaced_config_map("before", namespace)
    watching = watch.Watch()
    seen = []
    for event in watching.stream(core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=20):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 2:
            watching.stop()
    assert seen == [("ADDED", "after"), ("DELETED", "before")]


def test_a_watch_ends_after_its_timeout(core, namespace):
    core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta("c")))
    names = [
        event["object"].metadata.name
        for event in watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=1)
    ]
    assert set(names) <= {"c", "kube-root-ca.crt"}
    assert "c" in names


def test_a_list_comes_in_pages(core, namespace):
    for n in range(7):
        core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta(f"c{n}", labels={"paged": "yes"})))
    names, token, pages = [], None, 0
    while True:
        page = core.list_namespaced_config_map(namespace, label_selector="paged", limit=3, _continue=token)
        names += [one.metadata.name for one in page.items]
        pages += 1
        token = page.metadata._continue
        if not token:
            break
        if pages == 1:
            # The pages are one moment's: what comes later is in none of them.
            core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta("c3a", labels={"paged": "yes"})))
    assert pages == 3
    assert names == [f"c{n}" for n in range(7)]


def test_delete_collection(core, namespace):
    for n in range(3):
        core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta(f"c{n}", labels={"go": "yes"})))
    core.delete_collection_namespaced_config_map(namespace, label_selector="go=yes")
    assert [one.metadata.name for one in core.list_namespaced_config_map(namespace).items] == ["kube-root-ca.crt"]


def test_the_dynamic_client_finds_kinds_and_applies(api, namespace):
    found = dynamic.DynamicClient(api)
    maps = found.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    maps.create(body=body, namespace=namespace)
    assert maps.get(name="c", namespace=namespace).data.a == "1"
    maps.patch(body={"data": {"a": "2"}}, name="c", namespace=namespace, content_type="application/merge-patch+json")
    applied = maps.server_side_apply(
        body={**body, "data": {"b": "3"}}, namespace=namespace, field_manager="me", force_conflicts=True
    )
    assert applied.data.to_dict() == {"a": "2", "b": "3"}
    names = [one["object"].metadata.name for one in maps.watch(namespace=namespace, timeout=1)]
    assert "c" in names
    maps.delete(name="c", namespace=namespace)
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    assert deployments.get(namespace=namespace).items == []
    assert deployments.subresources["scale"].kind == "Scale"


def test_versions_and_reviews(api):
    assert client.VersionApi(api).get_code().minor == "35"
    assert "apps" in {group.name for group in client.ApisApi(api).get_api_versions().groups}
    attributes = client.V1ResourceAttributes(verb="get", resource="pods", namespace="default")
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    assert client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed is True
    who = client.AuthenticationV1Api(api).create_self_subject_review(client.V1SelfSubjectReview())
    assert who.status.user_info.username == "system:admin"


def test_a_token_of_a_service_account_signs_in(api, core, cluster, namespace):
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    token = core.create_namespaced_service_account_token("default", namespace, request).status.token
    settings = client.Configuration(host=cluster.url, api_key={"authorization": f"Bearer {token}"})
    settings.ssl_ca_cert = api.configuration.ssl_ca_cert
    with client.ApiClient(settings) as mine:
        who = client.AuthenticationV1Api(mine).create_self_subject_review(client.V1SelfSubjectReview())
        assert who.status.user_info.username == f"system:serviceaccount:{namespace}:default"
        assert who.status.user_info.groups == [
            "system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated",
        ]
        with pytest.raises(ApiException) as fault:
            client.CoreV1Api(mine).list_namespaced_secret(namespace)
        assert fault.value.status == 403
