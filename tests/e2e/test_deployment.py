"""The path of a Deployment with real containers: run, look, log, exec, restart, adopt, delete."""

import json

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"


def pods(server, namespace, *selector):
    return server.get("pods", "-n", namespace, *selector)["items"]


def running(server, namespace, count):
    found = [one for one in pods(server, namespace) if "deletionTimestamp" not in one["metadata"]]
    ready = [one for one in found if _ready(one)]
    return found if len(found) == len(ready) == count else None


def _ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def identities(found):
    return {
        (one["metadata"]["name"], status["containerID"], status["restartCount"])
        for one in found
        for status in one["status"]["containerStatuses"]
    }


@pytest.fixture
def web(server, namespace):
    """A Deployment of two pods that say who they are every second."""
    # A first process ends on a signal only if it handles it; without, each test would wait for the grace period.
    script = "trap 'exit 0' TERM; echo started; while :; do sleep 1; echo tick; done"
    command = ["create", "deployment", "web", f"--image={IMAGE}", "--replicas=2", "-n", namespace]
    server.kubectl(*command, "--", "/bin/sh", "-c", script)
    server.until(lambda: running(server, namespace, 2), what="two running pods")
    return namespace


def test_two_pods_run_with_addresses_on_the_bridge_and_can_be_looked_into(server, web):
    found = pods(server, web)
    addresses = {one["status"]["podIP"] for one in found}
    assert len(addresses) == 2
    assert all(address.startswith("10.42.0.") for address in addresses)
    wide = server.kubectl("get", "pods", "-o", "wide", "-n", web).stdout
    assert all(address in wide for address in addresses)
    assert "Running" in wide
    name = found[0]["metadata"]["name"]
    assert server.kubectl("logs", name, "-n", web).stdout.startswith("started\n")
    answer = server.kubectl("exec", name, "-n", web, "--", "/bin/sh", "-c", "echo $HOSTNAME; exit 0").stdout
    assert answer.strip() == name
    code = server.kubectl("exec", name, "-n", web, "--", "/bin/sh", "-c", "exit 7", check=False).returncode
    assert code == 7
    assert "Events:" in server.kubectl("describe", "pod", name, "-n", web).stdout
    server.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=30s")


def test_logs_follow_a_running_container(server, web):
    name = pods(server, web)[0]["metadata"]["name"]
    process = server.node.popen(
        [server.kubectl_path, "logs", "-f", name, "-n", web], env={"KUBECONFIG": "/etc/k3py/k3py.yaml"}, stdout=-1
    )
    try:
        lines = [process.stdout.readline().strip() for _ in range(4)]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert lines == [b"started", b"tick", b"tick", b"tick"]


def test_kill_minus_nine_of_the_server_leaves_the_pods_and_the_next_start_adopts_them(server, web):
    before = identities(pods(server, web))
    server.kill()
    server.start()
    server.wait_ready()
    after = server.until(lambda: running(server, web, 2), what="two adopted pods")
    assert identities(after) == before


def test_an_orderly_stop_leaves_the_pods_too(server, web):
    before = identities(pods(server, web))
    assert server.stop() == 0
    server.start()
    server.wait_ready()
    assert identities(server.until(lambda: running(server, web, 2), what="two adopted pods")) == before


def test_a_container_that_exits_restarts_with_back_off(server, namespace):
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "crash"},
        "spec": {"containers": [{"name": "c", "image": IMAGE, "command": ["/bin/false"]}]},
    }
    server.kubectl("apply", "--validate=false", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))
    seen = server.until(lambda: _crash_loop(server, namespace), what="CrashLoopBackOff")
    assert seen["restartCount"] >= 1
    assert "CrashLoopBackOff" in server.kubectl("get", "pods", "-n", namespace).stdout
    assert seen["lastState"]["terminated"]["exitCode"] == 1


def _crash_loop(server, namespace):
    statuses = pods(server, namespace)[0]["status"].get("containerStatuses", [])
    waiting = (statuses or [{}])[0].get("state", {}).get("waiting", {})
    return statuses[0] if waiting.get("reason") == "CrashLoopBackOff" else None


def test_an_image_that_cannot_be_pulled_says_so(server, namespace):
    server.kubectl("run", "nope", "--image=nowhere.invalid/nope:1", "-n", namespace)
    reasons = set()

    def waits():
        statuses = pods(server, namespace)[0]["status"].get("containerStatuses", [])
        reasons.add((statuses or [{}])[0].get("state", {}).get("waiting", {}).get("reason"))
        return {"ErrImagePull", "ImagePullBackOff"} <= reasons

    server.until(waits, what="ErrImagePull and ImagePullBackOff")


def test_a_pod_that_fits_nowhere_says_why(server, namespace):
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "big"},
        "spec": {"containers": [{"name": "c", "image": IMAGE, "resources": {"requests": {"cpu": "900"}}}]},
    }
    server.kubectl("apply", "--validate=false", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))
    server.until(
        lambda: "0/1 nodes are available: 1 Insufficient cpu." in server.kubectl("describe", "pod", "big", "-n", namespace).stdout,
        what="the reason in the events",
    )


def test_an_invalid_manifest_is_refused_with_its_field(server, namespace):
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bad"},
        "spec": {"containers": [{"name": "Not_A_Name", "image": IMAGE}]},
    }
    done = server.kubectl("apply", "--validate=false", "-n", namespace, "-f", "-", stdin=json.dumps(manifest), check=False)
    assert done.returncode == 1
    assert "spec.containers[0].name" in done.stderr


def test_a_new_image_rolls_out_and_undo_goes_back(server, web):
    server.kubectl("set", "env", "deployment/web", "COLOUR=blue", "-n", web)
    server.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=90s", timeout_s=100)
    server.kubectl("rollout", "undo", "deployment/web", "-n", web)
    server.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=90s", timeout_s=100)
    template = server.get("deployment", "web", "-n", web)["spec"]["template"]
    assert "env" not in template["spec"]["containers"][0]
    server.kubectl("scale", "deployment/web", "--replicas=1", "-n", web)
    server.until(lambda: running(server, web, 1), what="one pod")


def test_a_service_leads_to_its_pods(server, namespace):
    script = "echo hi >/tmp/index.html; trap 'kill $!; exit 0' TERM; httpd -f -p 8080 -h /tmp & wait"
    server.kubectl("create", "deployment", "s", f"--image={IMAGE}", "--replicas=2", "-n", namespace, "--", "sh", "-c", script)
    server.kubectl("expose", "deployment", "s", "--port=80", "--target-port=8080", "-n", namespace)
    server.until(lambda: running(server, namespace, 2), what="two pods")
    address = server.get("service", "s", "-n", namespace)["spec"]["clusterIP"]
    assert address.startswith("10.43.")
    server.until(
        lambda: server.node.run(["timeout", "2", "busybox", "wget", "-q", "-O", "-", f"http://{address}/"]).stdout == "hi\n",
        what="an answer from the service",
    )


def test_names_of_services_resolve_in_pods(server, web):
    server.kubectl("expose", "deployment", "web", "--port=80", "-n", web)
    name = pods(server, web)[0]["metadata"]["name"]
    address = server.get("service", "web", "-n", web)["spec"]["clusterIP"]
    command = ["exec", name, "-n", web, "--", "timeout", "5", "nslookup", f"web.{web}.svc.cluster.local"]
    assert address in server.kubectl(*command).stdout
    kubernetes = server.kubectl("exec", name, "-n", web, "--", "nslookup", "kubernetes.default.svc.cluster.local").stdout
    assert "10.43.0.1" in kubernetes
