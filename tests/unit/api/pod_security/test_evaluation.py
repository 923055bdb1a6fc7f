"""Levels of pod security, each check by an offender and the words for it (api-machinery.md §4.9)."""

from __future__ import annotations

import pytest

from k3py.api.object import deep_copy
from k3py.api.pod_security.evaluation import evaluate
from k3py.api.pod_security.labels import LATEST, LevelVersion, read_policy, validate_policy_labels

SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(context=None, annotations=None, container=None, **spec):
    one = {"name": "c", "image": "i", "securityContext": {**SAFE, **(context or {})}, **(container or {})}
    return {"metadata": {"annotations": annotations or {}}, "spec": {"containers": [one], **spec}}


def find(obj, level, minor=LATEST):
    return [str(one) for one in evaluate(obj, LevelVersion(level, minor))]


@pytest.mark.parametrize(
    ("obj", "finding"),
    [
        (pod(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
        (pod({"privileged": True}), 'privileged (container "c" must not set securityContext.privileged=true)'),
        (
            pod({"capabilities": {"add": ["SYS_TIME", "CHOWN", "NET_ADMIN"]}}),
            ('non-default capabilities (container "c" must not include "NET_ADMIN", "SYS_TIME" in '
            "securityContext.capabilities.add)"),
        ),
        (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "v")'),
        (
            pod(container={"ports": [{"containerPort": 1, "hostPort": 8080}]}),
            'hostPort (container "c" uses hostPort 8080)',
        ),
        (
            pod(container={"livenessProbe": {"tcpSocket": {"host": "example.com", "port": 1}}}),
            'probe or lifecycle host (container "c" uses probe or lifecycle host "example.com")',
        ),
        (
            pod(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
            'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
        ),
        (
            pod(securityContext={"seLinuxOptions": {"type": "spc_t", "user": "u"}}),
            'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
        ),
        (
            pod({"procMount": "Unmasked"}),
            'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            pod({"seccompProfile": {"type": "Unconfined"}}),
            'seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (pod(securityContext={"sysctls": [{"name": "kernel.msgmax"}]}), "forbidden sysctls (kernel.msgmax)"),
        (
            pod(securityContext={"windowsOptions": {"hostProcess": True}}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
    ],
)
def test_baseline_forbids_what_reaches_the_host(obj, finding):
    assert find(obj, "baseline") == [finding]
    assert find(obj, "privileged") == []


@pytest.mark.parametrize(
    ("obj", "finding"),
    [
        (
            pod({"allowPrivilegeEscalation": None}),
            'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)',
        ),
        (
            pod({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}),
            'unrestricted capabilities (container "c" must not include "CHOWN" in securityContext.capabilities.add)',
        ),
        (
            pod(volumes=[{"name": "v", "nfs": {}}, {"name": "w", "secret": {}}]),
            'restricted volume types (volume "v" uses restricted volume type "nfs")',
        ),
        (
            pod({"runAsNonRoot": None}),
            'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
        ),
        (
            pod({"runAsNonRoot": False}, securityContext={"runAsNonRoot": True}),
            'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)',
        ),
        (pod({"runAsUser": 0}), 'runAsUser=0 (container "c" must not set runAsUser=0)'),
        (
            pod({"seccompProfile": None}),
            ('seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
            '"Localhost")'),
        ),
    ],
)
def test_restricted_asks_for_the_best_practice(obj, finding):
    assert find(obj, "restricted") == [finding]


def test_a_pod_that_keeps_to_all_is_let_in():
    assert find(pod(), "restricted") == []
    assert find(pod({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}), "restricted") == []


def test_all_sorts_of_containers_are_looked_at():
    obj = pod()
    bad = deep_copy(obj["spec"]["containers"][0]) | {"name": "i", "securityContext": {**SAFE, "privileged": True}}
    for field in ("initContainers", "ephemeralContainers"):
        assert find({**obj, "spec": {**obj["spec"], field: [bad]}}, "baseline")


def test_what_the_pod_sets_counts_for_containers_that_are_silent():
    obj = pod(
        {"runAsNonRoot": None, "seccompProfile": None},
        securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    )
    assert find(obj, "restricted") == []


def test_users_of_its_own_make_root_harmless():
    assert find(pod({"runAsNonRoot": False, "runAsUser": 0}, hostUsers=False), "restricted") == []


def test_an_older_version_knows_fewer_rules():
    probing = pod(container={"livenessProbe": {"httpGet": {"host": "x", "port": 1}}})
    assert find(probing, "baseline", 33) == []
    assert find(pod({"capabilities": {}}), "restricted", 21) == []


def test_labels_choose_the_level_and_warnings_follow_enforcement():
    prefix = "pod-security.kubernetes.io/"
    assert str(read_policy(None, "enforce")) == "privileged:latest"
    labels = {f"{prefix}enforce": "baseline", f"{prefix}enforce-version": "v1.25"}
    assert str(read_policy(labels, "enforce")) == "baseline:v1.25"
    assert str(read_policy(labels, "warn")) == "baseline:v1.25"
    assert str(read_policy({**labels, f"{prefix}warn": "restricted"}, "warn")) == "restricted:latest"
    assert read_policy({f"{prefix}enforce": "Baseline"}, "enforce").level == "restricted"


def test_labels_that_mean_nothing_are_faults():
    prefix = "pod-security.kubernetes.io/"
    labels = {f"{prefix}enforce": "bogus", f"{prefix}warn-version": "1.2", f"{prefix}audit-version": "latest"}
    assert [one.path for one in validate_policy_labels(labels)] == [
        f"metadata.labels[{prefix}enforce]",
        f"metadata.labels[{prefix}warn-version]",
    ]
