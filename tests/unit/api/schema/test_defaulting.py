import pytest

from k3py.api.schema import load_schema


@pytest.fixture(scope="module")
def schemas():
    return load_schema()


def complete(schemas, api_version, kind, **obj):
    name = schemas.find_type_name(api_version, kind)
    decoded, unknown = schemas.decode(name, {"metadata": {"name": "a"}} | obj)
    assert unknown == []
    schemas.default(name, decoded)
    again, _ = schemas.decode(name, decoded)
    assert again == decoded, "defaults are in canonical form"
    schemas.default(name, again)
    assert again == decoded, "defaulting twice changes nothing"
    return decoded


def test_minimal_pod(schemas):
    pod = complete(schemas, "v1", "Pod", spec={"containers": [{"name": "c", "image": "nginx"}]})
    assert pod["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "Always",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [("a", "Always"), ("a:latest", "Always"), ("a:1", "IfNotPresent"), ("r:5000/a", "Always"), ("a@sha256:00", "IfNotPresent"), ("r:1/a:2", "IfNotPresent")],
)
def test_pull_policy_follows_the_tag(schemas, image, policy):
    pod = complete(schemas, "v1", "Pod", spec={"initContainers": [{"name": "c", "image": image}], "containers": []})
    assert pod["spec"]["initContainers"][0]["imagePullPolicy"] == policy


def test_requests_follow_limits_in_pods_but_not_in_templates(schemas):
    spec = {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1u", "memory": "1Gi"}, "requests": {"memory": "1"}}}]}
    pod = complete(schemas, "v1", "Pod", spec=spec)
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1m", "memory": "1Gi"}, "requests": {"cpu": "1m", "memory": "1"}}
    template = complete(schemas, "v1", "PodTemplate", template={"spec": spec})["template"]["spec"]
    assert template["containers"][0]["resources"]["requests"] == {"memory": "1"}
    assert "enableServiceLinks" not in template


def test_host_network_copies_ports(schemas):
    pod = complete(schemas, "v1", "Pod", spec={"hostNetwork": True, "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]})
    assert pod["spec"]["containers"][0]["ports"] == [{"hostPort": 80, "containerPort": 80, "protocol": "TCP"}]


def test_a_zero_under_a_pointer_is_no_absence(schemas):
    volumes = [{"name": "c", "configMap": {"name": "x", "defaultMode": 0}}]
    pod = complete(schemas, "v1", "Pod", spec={"containers": [], "terminationGracePeriodSeconds": 0, "volumes": volumes})
    assert pod["spec"]["terminationGracePeriodSeconds"] == 0
    assert pod["spec"]["volumes"] == volumes


def test_old_and_new_names_of_fields_are_kept_equal(schemas):
    for field in ("serviceAccount", "serviceAccountName"):
        pod = complete(schemas, "v1", "Pod", spec={"containers": [], field: "robot"}, status={"podIP": "10.0.0.1"})
        assert (pod["spec"]["serviceAccount"], pod["spec"]["serviceAccountName"]) == ("robot", "robot")
        assert pod["status"]["podIPs"] == [{"ip": "10.0.0.1"}]
    node = complete(schemas, "v1", "Node", spec={"podCIDR": "10.0.0.0/24"})
    assert node["spec"]["podCIDRs"] == ["10.0.0.0/24"]


def test_probes_volumes_and_references(schemas):
    probe = {"httpGet": {"port": 80}}
    volumes = [{"name": "e"}, {"name": "s", "secret": {"secretName": "x"}}, {"name": "h", "hostPath": {"path": "/"}}]
    env = [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    pod = complete(schemas, "v1", "Pod", spec={"containers": [{"name": "c", "livenessProbe": probe, "env": env}], "volumes": volumes})
    container = pod["spec"]["containers"][0]
    assert container["livenessProbe"] == {
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert pod["spec"]["volumes"] == [
        {"name": "e", "emptyDir": {}},
        {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
        {"name": "h", "hostPath": {"path": "/", "type": ""}},
    ]


def test_deployment(schemas):
    deployment = complete(schemas, "apps/v1", "Deployment", spec={"template": {"spec": {"containers": [{"name": "c"}]}}})
    spec = deployment["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    recreate = complete(schemas, "apps/v1", "Deployment", spec={"strategy": {"type": "Recreate"}, "replicas": 0})
    assert (recreate["spec"]["strategy"], recreate["spec"]["replicas"]) == ({"type": "Recreate"}, 0)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"type": "ClusterIP", "internalTrafficPolicy": "Cluster"}),
        ({"type": "NodePort"}, {"type": "NodePort", "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster"}),
        ({"type": "ExternalName"}, {"type": "ExternalName"}),
        (
            {"type": "LoadBalancer", "sessionAffinity": "ClientIP"},
            {
                "type": "LoadBalancer",
                "internalTrafficPolicy": "Cluster",
                "externalTrafficPolicy": "Cluster",
                "allocateLoadBalancerNodePorts": True,
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            },
        ),
        ({"externalIPs": ["1.2.3.4"]}, {"type": "ClusterIP", "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster", "externalIPs": ["1.2.3.4"]}),
    ],
)
def test_service(schemas, spec, expected):
    service = complete(schemas, "v1", "Service", spec={"ports": [{"port": 80}]} | spec)
    assert service["spec"] == {"ports": [{"protocol": "TCP", "port": 80, "targetPort": 80}], "sessionAffinity": "None"} | expected


def test_secret_merges_texts(schemas):
    secret = complete(schemas, "v1", "Secret", data={"a": "eA==", "b": "eA=="}, stringData={"b": "y"})
    assert (secret["data"], secret["type"], "stringData" in secret) == ({"a": "eA==", "b": "eQ=="}, "Opaque", False)


def test_namespace_and_node(schemas):
    namespace = complete(schemas, "v1", "Namespace")
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}
    assert namespace["status"] == {"phase": "Active"}
    node = complete(schemas, "v1", "Node", status={"capacity": {"cpu": "2"}})
    assert node["status"]["allocatable"] == {"cpu": "2"}


def test_role_bindings(schemas):
    binding = complete(
        schemas,
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        roleRef={"kind": "Role", "name": "r"},
        subjects=[{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}],
    )
    assert binding["roleRef"]["apiGroup"] == binding["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"
    assert "apiGroup" not in binding["subjects"][1]


def test_endpoints_and_slices(schemas):
    endpoints = complete(schemas, "v1", "Endpoints", subsets=[{"ports": [{"port": 1}]}])
    assert endpoints["subsets"][0]["ports"] == [{"port": 1, "protocol": "TCP"}]
    found = complete(schemas, "discovery.k8s.io/v1", "EndpointSlice", ports=[{"port": 1}], addressType="IPv4", endpoints=[])
    assert found["ports"] == [{"name": "", "protocol": "TCP", "port": 1}]


def test_pod_level_requests_are_the_containers_sums(schemas):
    containers = [{"name": n, "resources": {"requests": {"cpu": "100m"}}} for n in "ab"]
    pod = complete(schemas, "v1", "Pod", spec={"containers": containers, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}})
    assert pod["spec"]["resources"]["requests"] == {"cpu": "200m", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("batch/v1", "Job"), ("batch/v1", "CronJob"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("autoscaling/v2", "HorizontalPodAutoscaler"),
     ("networking.k8s.io/v1", "NetworkPolicy"), ("storage.k8s.io/v1", "CSIDriver"), ("storage.k8s.io/v1", "StorageClass"), ("v1", "PersistentVolumeClaim"),
     ("v1", "PersistentVolume"), ("v1", "ReplicationController"), ("scheduling.k8s.io/v1", "PriorityClass"), ("v1", "LimitRange"),
     ("apiextensions.k8s.io/v1", "CustomResourceDefinition")],
)  # fmt: skip
def test_other_kinds_default_stably(schemas, api_version, kind):
    complete(schemas, api_version, kind)


def test_job(schemas):
    spec = complete(schemas, "batch/v1", "Job", spec={"template": {}})["spec"]
    assert {k: v for k, v in spec.items() if k != "template"} == {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 6,
        "manualSelector": False,
        "completionMode": "NonIndexed",
        "suspend": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    }


def test_a_zero_that_was_said_is_kept(schemas):
    deployment = complete(schemas, "apps/v1", "Deployment", spec={"replicas": 0, "revisionHistoryLimit": 0})
    assert deployment["spec"]["replicas"] == 0
    assert deployment["spec"]["revisionHistoryLimit"] == 0
    pod = complete(schemas, "v1", "Pod", spec={"containers": [], "terminationGracePeriodSeconds": 0})
    assert pod["spec"]["terminationGracePeriodSeconds"] == 0
