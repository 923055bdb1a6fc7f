"""What the kubelet does for pods, seen through kubectl with real containers."""

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"


def container(*command, name="c", **extra):
    return {"name": name, "image": IMAGE, **({"command": list(command)} if command else {}), **extra}


def shell(script, **extra):
    return container("sh", "-c", script, **extra)


@pytest.fixture
def make(server, namespace):
    """Create a pod and return a function that reads it."""

    def create(name, *containers, **spec):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers), **spec},
        }
        server.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(pod))
        return lambda: server.get("pod", name, "-n", namespace)

    return create


@pytest.fixture
def ended(server):
    def wait(read):
        return server.until(
            lambda: _if(read(), lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed")),
            what="the end of a pod",
        )

    return wait


@pytest.fixture
def ready(server):
    def wait(read):
        return server.until(lambda: _if(read(), is_ready), what="a ready pod")

    return wait


def _if(pod, condition):
    return pod if condition(pod) else None


def is_ready(pod):
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", [])
    )


def logs(server, namespace, *arguments):
    return server.kubectl("logs", "-n", namespace, *arguments).stdout


def test_environment_files_and_identity(server, namespace, make, ended):
    server.kubectl("create", "configmap", "cm", "--from-literal=a=1", "--from-literal=b=two", "-n", namespace)
    server.kubectl("create", "secret", "generic", "s", "--from-literal=pw=geheim", "-n", namespace)
    script = """
        echo "$B|$IP|$LIM|$CM_a|$PW|$KUBERNETES_SERVICE_HOST"
        cat /cm/b /sec/pw /sub/one; echo; cat /labels/labels; echo
        id -u; id -G; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo
        touch /x 2>/dev/null || echo read-only; touch /ed/x /mem/x && echo written; grep -c ' /mem tmpfs' /proc/mounts
        head -1 /etc/hosts; hostname; echo bye > /dev/termination-log
    """
    read = make(
        "files",
        shell(
            script,
            env=[
                {"name": "A", "value": "x$(KUBERNETES_SERVICE_PORT)"},
                {"name": "B", "value": "$(A)$$(A)"},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {
                    "name": "LIM",
                    "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
                },
                {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "s", "key": "pw"}}},
            ],
            envFrom=[{"configMapRef": {"name": "cm"}, "prefix": "CM_"}],
            resources={"limits": {"memory": "32Mi"}},
            securityContext={"readOnlyRootFilesystem": True},
            volumeMounts=[
                *({"name": name, "mountPath": f"/{name}"} for name in ("cm", "sec", "labels", "ed", "mem")),
                {"name": "cm", "mountPath": "/sub/one", "subPath": "a"},
            ],
        ),
        restartPolicy="Never",
        securityContext={"runAsUser": 1000, "runAsGroup": 2002, "fsGroup": 3003},
        volumes=[
            {"name": "cm", "configMap": {"name": "cm"}},
            {"name": "sec", "secret": {"secretName": "s", "defaultMode": 256}},
            {
                "name": "labels",
                "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]},
            },
            {"name": "ed", "emptyDir": {}},
            {"name": "mem", "emptyDir": {"medium": "Memory"}},
        ],
    )
    pod = ended(read)
    address = pod["status"]["podIP"]
    assert logs(server, namespace, "files").splitlines() == [
        f"x443$(A)|{address}|32|1|geheim|10.43.0.1",
        "twogeheim1",
        'app="files"',
        "1000",
        "2002 3003",
        namespace,
        "read-only",
        "written",
        "1",
        "# Kubernetes-managed hosts file.",
        "files",
    ]
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "bye\n"


def test_a_changed_config_map_reaches_a_running_pod_and_a_missing_one_holds_it_up(
    server, namespace, make, ready
):
    read = make(
        "cm",
        shell("sleep 1000", volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", "configMap": {"name": "later"}}],
    )
    server.until(
        lambda: "FailedMount" in server.kubectl("get", "events", "-n", namespace).stdout, what="FailedMount"
    )
    server.kubectl("create", "configmap", "later", "--from-literal=a=one", "-n", namespace)
    ready(read)

    def content():
        return server.kubectl("exec", "cm", "-n", namespace, "--", "cat", "/v/a").stdout

    assert content() == "one"
    server.kubectl("patch", "configmap", "later", "-n", namespace, "-p", '{"data":{"a":"two"}}')
    server.until(lambda: content() == "two", limit_s=5, what="the new content")


@pytest.mark.parametrize("wrap", [dict, lambda source: {"projected": {"sources": [source]}}], ids=["own", "projected"])
def test_files_of_the_downward_api_follow_the_pod(server, namespace, make, ready, wrap):
    items = [{"path": name, "fieldRef": {"fieldPath": f"metadata.{name}"}} for name in ("labels", "annotations")]
    read = make(
        "facts",
        shell("sleep 1000", volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", **wrap({"downwardAPI": {"items": items}})}],
    )
    ready(read)
    server.kubectl("label", "pod", "facts", "-n", namespace, "later=yes")
    server.kubectl("annotate", "pod", "facts", "-n", namespace, "builder=foo")

    def content():
        return server.kubectl("exec", "facts", "-n", namespace, "--", "cat", "/v/labels", "/v/annotations").stdout

    server.until(lambda: 'later="yes"' in content() and 'builder="foo"' in content(), limit_s=20, what="the new labels")


def test_init_containers_sidecars_and_the_end_of_a_job_pod(server, namespace, make, ended):
    read = make(
        "job",
        shell("sleep 1; echo main"),
        restartPolicy="Never",
        initContainers=[
            shell("echo init", name="i"),
            shell(
                "trap 'echo side ended; exit 0' TERM; while :; do sleep 0.1; done",
                name="s",
                restartPolicy="Always",
            ),
        ],
        terminationGracePeriodSeconds=10,
    )
    pod = ended(read)
    assert pod["status"]["phase"] == "Succeeded"
    assert logs(server, namespace, "job", "-c", "i") == "init\n"
    assert logs(server, namespace, "job", "-c", "s") == "side ended\n"
    assert pod["status"]["initContainerStatuses"][1]["state"]["terminated"]["exitCode"] == 0


def test_probes_and_hooks(server, namespace, make, ready):
    script = "trap 'echo term; exit 0' TERM; mkdir /w; echo ok > /w/h; httpd -p 8080 -h /w; while :; do sleep 0.1; done"
    read = make(
        "probed",
        shell(
            script,
            startupProbe={"exec": {"command": ["cat", "/w/h"]}, "periodSeconds": 1},
            readinessProbe={
                "httpGet": {"path": "/h", "port": "http"},
                "periodSeconds": 1,
                "failureThreshold": 1,
            },
            livenessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
            ports=[{"name": "http", "containerPort": 8080}],
            lifecycle={
                "postStart": {"exec": {"command": ["sh", "-c", "echo poststart > /proc/1/fd/1"]}},
                "preStop": {"exec": {"command": ["sh", "-c", "echo prestop > /proc/1/fd/1"]}},
            },
        ),
        terminationGracePeriodSeconds=5,
    )
    ready(read)
    server.kubectl("exec", "probed", "-n", namespace, "--", "rm", "/w/h")
    server.until(lambda: not is_ready(read()), what="an unready pod")
    assert read()["status"]["containerStatuses"][0]["restartCount"] == 0
    server.kubectl("exec", "probed", "-n", namespace, "--", "killall", "httpd")
    server.until(lambda: read()["status"]["containerStatuses"][0]["restartCount"] == 1, what="a restart")
    assert logs(server, namespace, "probed", "--previous").splitlines() == ["poststart", "prestop", "term"]
    ready(read)


def test_exec_copies_standard_input_and_files(server, namespace, make, ready):
    ready(make("x", container("sleep", "1000")))
    assert (
        server.kubectl("exec", "-i", "x", "-n", namespace, "--", "cat", stdin="some\ntext").stdout
        == "some\ntext"
    )
    done = server.kubectl(
        "exec", "x", "-n", namespace, "--", "sh", "-c", "echo out; echo err >&2; exit 42", check=False
    )
    assert (done.returncode, done.stdout) == (42, "out\n")
    assert done.stderr.startswith("err\n")
    data = os.urandom(3_000_000)
    server.node.path("/tmp/blob").write_bytes(data)
    server.kubectl("cp", "/tmp/blob", f"{namespace}/x:/tmp/blob")
    server.kubectl("cp", f"{namespace}/x:/tmp/blob", "/tmp/back")
    assert (
        hashlib.sha256(server.node.path("/tmp/back").read_bytes()).digest() == hashlib.sha256(data).digest()
    )


def test_old_clients_exec_over_spdy(server, namespace, make, ready):
    ready(make("x", container("sleep", "1000")))
    done = server.node.run(
        [server.kubectl_path, "exec", "-i", "x", "-n", namespace, "--", "sh", "-c", "cat; exit 5"],
        check=False,
        env={
            "KUBECONFIG": "/etc/k3py/k3py.yaml",
            "HOME": "/tmp",
            "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false",
        },
        input=b"spdy",
        timeout_s=30,
    )
    assert (done.returncode, done.stdout) == (5, "spdy")


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_a_port_is_forwarded(server, namespace, make, ready, websockets):
    ready(make("web", shell("echo page > /tmp/index.html; exec httpd -f -p 8080 -h /tmp")))
    environment = {
        "KUBECONFIG": "/etc/k3py/k3py.yaml",
        "HOME": "/tmp",
        "KUBECTL_PORT_FORWARD_WEBSOCKETS": websockets,
    }
    process = server.node.popen(
        [server.kubectl_path, "port-forward", "web", "18080:8080", "-n", namespace],
        env=environment,
        stdout=-1,
    )
    try:
        assert b"Forwarding from 127.0.0.1:18080" in process.stdout.readline()
        for _ in range(2):
            answer = server.node.run(
                ["curl", "-s", "-m", "3", "http://127.0.0.1:18080/"]
            )
            assert answer.stdout == "page\n"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_debug_container_joins_a_running_pod(server, namespace, make, ready):
    read = make("target", container("sleep", "1000"))
    ready(read)
    server.kubectl(
        "debug",
        "target",
        "-n",
        namespace,
        f"--image={IMAGE}",
        "--target=c",
        "--container=dbg",
        "--",
        "sh",
        "-c",
        "ps; echo debugged",
    )
    server.until(
        lambda: "debugged" in logs(server, namespace, "target", "-c", "dbg"), what="the debug container's log"
    )
    assert "sleep 1000" in logs(server, namespace, "target", "-c", "dbg")


def test_limits_end_in_oom_killed(server, namespace, make, ended):
    pod = ended(
        make(
            "oom",
            shell("a=x; while :; do a=$a$a; done", resources={"limits": {"memory": "16Mi"}}),
            restartPolicy="Never",
        )
    )
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"
    assert pod["status"]["qosClass"] == "Burstable"


def test_a_deadline_fails_the_pod(server, namespace, make, ended):
    pod = ended(make("late", container("sleep", "1000"), activeDeadlineSeconds=2))
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_taken_host_port_rejects_a_pod_that_was_bound_by_name(server, namespace, make, ready, ended):
    port = [{"containerPort": 80, "hostPort": 18088}]
    ready(make("one", container("sleep", "1000", ports=port)))
    pod = ended(make("two", container("sleep", "1000", ports=port), nodeName="n1"))
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "NodePorts")


def test_a_deleted_pod_ends_within_its_grace_and_leaves_nothing(server, namespace, make, ready):
    read = make(
        "gone",
        shell("sleep 1000", volumeMounts=[{"name": "m", "mountPath": "/m"}]),
        volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}],
    )
    uid = ready(read)["metadata"]["uid"]
    began = time.monotonic()
    server.kubectl("delete", "pod", "gone", "-n", namespace)
    assert time.monotonic() - began < 10
    folder = server.node.path(f"/var/lib/kubelet/pods/{uid}")
    server.until(lambda: not folder.exists(), limit_s=10, what="the end of the pod's folder")
    assert uid not in server.node.run(["cat", "/proc/mounts"]).stdout


def test_security_settings_reach_the_process(server, namespace, make, ended):
    script = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status"
    strict = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = make(
        "sec",
        shell(script, name="strict", securityContext=strict),
        shell(script, name="privileged", securityContext={"privileged": True}),
        restartPolicy="Never",
    )
    ended(pod)
    assert logs(server, namespace, "sec", "-c", "strict").split() == [
        "CapEff:",
        "0" * 16,
        "NoNewPrivs:",
        "1",
        "Seccomp:",
        "2",
    ]
    effective = logs(server, namespace, "sec", "-c", "privileged").split()
    assert effective[1].endswith("ffffff")
    assert effective[-1] == "0"


def test_a_running_pod_is_resized_and_one_container_restarted_for_its_memory(server, namespace, make):
    def sizes(cpu, memory):
        return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}

    def read():
        (one,) = pods()["status"]["containerStatuses"]
        return one

    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    plain = {"name": "plain", "resources": sizes("50m", "32Mi")}
    pods = make("small", container("sleep", "100000", **plain))
    make("picky", container("sleep", "100000", name="picky", resizePolicy=policy, resources=sizes("50m", "32Mi")))
    server.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/small", "pod/picky", "--timeout=60s", timeout_s=70)

    def resize(pod, name, **new):
        patch = json.dumps({"spec": {"containers": [{"name": name, "resources": sizes(**new)}]}})
        server.kubectl("patch", "-n", namespace, "pod", pod, "--subresource", "resize", "-p", patch)

    def inside(pod, v1, v2):
        script = f"cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}"
        return server.kubectl("exec", "-n", namespace, pod, "--", "sh", "-c", script).stdout.strip()

    resize("small", "plain", cpu="100m", memory="64Mi")
    server.until(lambda: read()["resources"] == sizes("100m", "64Mi"), what="the bigger container")
    assert read()["restartCount"] == 0
    assert inside("small", "memory/memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert inside("small", "cpu/cpu.cfs_quota_us", "cpu.max").split()[0] == "10000"
    resize("small", "plain", cpu="20m", memory="16Mi")
    server.until(lambda: read()["resources"] == sizes("20m", "16Mi"), what="the smaller container")
    assert inside("small", "memory/memory.limit_in_bytes", "memory.max") == str(16 << 20)
    server.until(lambda: not [one for one in pods()["status"]["conditions"] if one["type"].startswith("PodResize")], what="the end")

    resize("picky", "picky", cpu="50m", memory="48Mi")

    def restarted():
        (one,) = server.get("pod", "picky", "-n", namespace)["status"]["containerStatuses"]
        return one["restartCount"] == 1 and one["ready"] and one["resources"] == sizes("50m", "48Mi")

    server.until(restarted, what="the restarted container")
    resize("small", "plain", cpu="1000", memory="16Mi")
    server.until(
        lambda: [one["reason"] for one in pods()["status"]["conditions"] if one["type"] == "PodResizePending"] == ["Infeasible"],
        what="an infeasible resize",
    )
