"""Which pods are refused, and where the fault is reported (api-machinery.md §3.2)."""

from __future__ import annotations

import pytest

from k3py.api.object import deep_copy
from k3py.api.validation.pod_spec import validate_new_pod, validate_pod_template

BASE = {
    "containers": [
        {
            "name": "c",
            "image": "example.com/c:1",
            "imagePullPolicy": "Always",
            "terminationMessagePolicy": "File",
            "resources": {},
        }
    ],
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "terminationGracePeriodSeconds": 30,
    "securityContext": {},
}


def find(spec):
    return sorted((one.reason.removeprefix("FieldValue"), one.path) for one in validate_new_pod({"spec": spec}))


def with_spec(**fields):
    return {**deep_copy(BASE), **fields}


def with_container(**fields):
    spec = deep_copy(BASE)
    spec["containers"][0].update(fields)
    return spec


def test_a_plain_pod_is_fine():
    assert find(BASE) == []


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"name": ""}, [("Required", "name")]),
        ({"name": "Bad_Name"}, [("Invalid", "name")]),
        ({"image": ""}, [("Required", "image")]),
        ({"image": " padded "}, [("Invalid", "image")]),
        ({"imagePullPolicy": "Sometimes"}, [("NotSupported", "imagePullPolicy")]),
        ({"ports": [{"containerPort": 0, "protocol": "TCP"}]}, [("Required", "ports[0].containerPort")]),
        ({"ports": [{"containerPort": 65536, "protocol": "TCP"}]}, [("Invalid", "ports[0].containerPort")]),
        ({"ports": [{"containerPort": 1, "protocol": "X"}]}, [("NotSupported", "ports[0].protocol")]),
        (
            {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
            [("Duplicate", "ports[1].name")],
        ),
        ({"env": [{"name": "A=B"}]}, [("Invalid", "env[0].name")]),
        ({"env": [{"name": "A", "valueFrom": {}}]}, [("Invalid", "env[0].valueFrom")]),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.x"}}}]},
            [("Invalid", "env[0].valueFrom.fieldRef.fieldPath")],
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.phase"}}}]},
            [("NotSupported", "env[0].valueFrom.fieldRef.fieldPath")],
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a b"}}}]},
            [("Invalid", "env[0].valueFrom.secretKeyRef.key")],
        ),
        ({"envFrom": [{}]}, [("Invalid", "envFrom")]),
        (
            {"volumeMounts": [{"name": "none", "mountPath": "/a"}]},
            [("NotFound", "volumeMounts[0].name")],
        ),
        ({"resources": {"requests": {"cpu": "-1"}}}, [("Invalid", "resources.requests[cpu]")]),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            [("Invalid", "resources.requests")],
        ),
        ({"resources": {"limits": {"gpu": "1"}}}, [("Invalid", "resources.limits[gpu]")] * 2),
        (
            {"resources": {"limits": {"example.com/gpu": "500m"}}},
            [("Invalid", "resources.limits[example.com/gpu]")],
        ),
        ({"resources": {"limits": {"hugepages-2Mi": "4Mi"}}}, [("Forbidden", "resources")]),
        ({"livenessProbe": {"periodSeconds": 1}}, [("Required", "livenessProbe")]),
        (
            {"livenessProbe": {"exec": {"command": ["a"]}, "successThreshold": 2}},
            [("Invalid", "livenessProbe.successThreshold")],
        ),
        (
            {"readinessProbe": {"exec": {"command": ["a"]}, "terminationGracePeriodSeconds": 3}},
            [("Invalid", "readinessProbe.terminationGracePeriodSeconds")],
        ),
        (
            {"startupProbe": {"httpGet": {"path": "/", "port": "Bad_Name", "scheme": "FTP"}}},
            [("Invalid", "startupProbe.httpGet.port"), ("NotSupported", "startupProbe.httpGet.scheme")],
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}},
            [("Invalid", "lifecycle.preStop.sleep")],
        ),
        ({"securityContext": {"runAsUser": -1}}, [("Invalid", "securityContext.runAsUser")]),
        (
            {"securityContext": {"privileged": True, "allowPrivilegeEscalation": False}},
            [("Invalid", "securityContext")],
        ),
        (
            {"securityContext": {"seccompProfile": {"type": "Localhost"}}},
            [("Required", "securityContext.seccompProfile.localhostProfile")],
        ),
        (
            {"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]},
            [("Required", "restartPolicy")],
        ),
    ],
)
def test_a_fault_of_a_container_is_reported_at_its_field(fields, faults):
    wanted = sorted((reason, f"spec.containers[0].{path}") for reason, path in faults)
    assert find(with_container(**fields)) == wanted


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"containers": []}, [("Required", "containers")]),
        ({"restartPolicy": "Maybe"}, [("NotSupported", "restartPolicy")]),
        ({"dnsPolicy": "None"}, [("Required", "dnsConfig")]),
        ({"activeDeadlineSeconds": 0}, [("Invalid", "activeDeadlineSeconds")]),
        ({"hostname": "a.b"}, [("Invalid", "hostname")]),
        ({"nodeSelector": {"a b": "c"}}, [("Invalid", "nodeSelector")]),
        ({"volumes": [{"name": "v", "emptyDir": {}}] * 2}, [("Duplicate", "volumes[1].name")]),
        (
            {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/a"}}]},
            [("Forbidden", "volumes[0].hostPath")],
        ),
        (
            {"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "a", "path": "../b"}]}}]},
            [("Invalid", "volumes[0].configMap.items[0].path")],
        ),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]}, [("Invalid", "volumes[0].hostPath.path")]),
        ({"tolerations": [{"value": "a"}]}, [("Invalid", "tolerations[0].operator")]),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}]},
            [("Invalid", "tolerations[0].effect")],
        ),
        (
            {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}},
            [
                (
                    "Required",
                    "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
                )
            ],
        ),
        (
            {"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}]},
            [("Invalid", "topologySpreadConstraints[0].maxSkew")],
        ),
        ({"hostUsers": False, "hostPID": True}, [("Forbidden", "HostPID")]),
        ({"os": {"name": "plan9"}}, [("NotSupported", "os")]),
        ({"schedulingGates": [{"name": "a/b"}], "nodeName": "n"}, [("Forbidden", "nodeName")]),
        ({"ephemeralContainers": [{"name": "e", "image": "e"}]}, [("Forbidden", "ephemeralContainers")]),
        ({"resourceClaims": [{"name": "a"}]}, [("Invalid", "resourceClaims[0]")]),
        (
            {"securityContext": {"sysctls": [{"name": "a b", "value": "c"}]}},
            [("Invalid", "securityContext.sysctls[0].name")],
        ),
    ],
)
def test_a_fault_of_a_pod_is_reported_at_its_field(fields, faults):
    assert find(with_spec(**fields)) == sorted((reason, f"spec.{path}") for reason, path in faults)


def test_names_are_shared_by_all_sorts_of_containers():
    spec = with_spec(initContainers=[{**BASE["containers"][0]}])
    assert find(spec) == [("Duplicate", "spec.initContainers[0].name")]


def test_an_init_container_has_probes_only_when_it_goes_on_running():
    probe = {"exec": {"command": ["a"]}}
    once = {**BASE["containers"][0], "name": "i", "readinessProbe": probe}
    assert find(with_spec(initContainers=[once])) == [("Forbidden", "spec.initContainers[0].readinessProbe")]
    assert find(with_spec(initContainers=[{**once, "restartPolicy": "Always"}])) == []


def test_two_containers_cannot_have_one_port_of_the_host():
    def one(name):
        return {**BASE["containers"][0], "name": name, "ports": [{"containerPort": 80, "hostPort": 80}]}

    assert find(with_spec(containers=[one("a"), one("b")])) == [
        ("Duplicate", "spec.containers[1].ports[0].hostPort")
    ]


def test_a_template_may_have_an_image_that_is_filled_in_later():
    spec = with_container(image=" $IMAGE ")
    assert validate_pod_template({"spec": spec}, "spec.template") == []
    bad = {"metadata": {"labels": {"a b": "c"}}, "spec": {}}
    assert [one.path for one in validate_pod_template(bad, "spec.template")] == [
        "spec.template.labels",
        "spec.template.spec.containers",
    ]
