"""kubectl and real containers: logs, exec, attach, port-forward, cp, run, debug."""

import contextlib
import json
import os
import signal
import subprocess

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"
SPEAKER = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.2; done"
CONFIG = {"KUBECONFIG": "/etc/k3py/k3py.yaml", "HOME": "/tmp"}


class Pods:
    """kubectl in one namespace of the node."""

    def __init__(self, server, namespace):
        self.server = server
        self.namespace = namespace

    def __call__(self, *arguments, stdin=None, check=True):
        return self.server.kubectl("-n", self.namespace, *arguments, stdin=stdin, check=check)

    def make(self, name, *containers, init=(), wait="Ready", **spec):
        """Create a pod of (name, script) containers and wait until it is ready."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": one, "image": IMAGE, "command": ["sh", "-c", script]} for one, script in containers],
                "initContainers": [{"name": one, "image": IMAGE, "command": ["sh", "-c", script]} for one, script in init],
                **spec,
            },
        }
        self("create", "-f", "-", stdin=json.dumps(manifest))
        if wait:
            self("wait", f"--for=condition={wait}", f"pod/{name}", "--timeout=60s")

    def start(self, *arguments, **options):
        """Start kubectl in the background."""
        command = [self.server.kubectl_path, "-n", self.namespace, *arguments]
        return self.server.node.popen(command, env=CONFIG, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    def on_terminal(self, *arguments, typed=""):
        """Run kubectl on a terminal (script makes one) and return what appears on it."""
        line = " ".join([self.server.kubectl_path, "-n", self.namespace, *arguments])
        done = self.server.node.run(
            ["script", "-qec", line, "/dev/null"], env={**CONFIG, "TERM": "xterm"}, input=typed.encode(), check=False, timeout_s=60
        )
        return done.returncode, done.stdout.replace("\r\n", "\n")


@pytest.fixture
def pods(server, namespace):
    return Pods(server, namespace)


def end(process):
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
        process.kill()
    process.wait()
    process.stdout.close()


def test_logs_can_be_narrowed(pods):
    pods.make("p", ("c", "for n in 1 2 3 4 5; do echo line $n; done; sleep 1000"))
    assert pods("logs", "p").stdout == "line 1\nline 2\nline 3\nline 4\nline 5\n"
    assert pods("logs", "p", "--tail=2").stdout == "line 4\nline 5\n"
    assert pods("logs", "p", "--limit-bytes=10").stdout == "line 1\nlin"
    assert pods("logs", "p", "--since=1h").stdout.count("\n") == 5
    assert pods("logs", "p", "--since-time=2100-01-01T00:00:00Z").stdout == ""
    stamp, text = pods("logs", "p", "--timestamps", "--tail=1").stdout.split(" ", 1)
    assert text == "line 5\n"
    assert stamp[10] == "T"
    assert stamp.endswith("Z")
    assert pods("logs", "-l", "app=p", "--prefix", "--tail=1").stdout == "[pod/p/c] line 5\n"
    assert pods("logs", "pod/p", "--tail=0").stdout == ""


def test_logs_of_several_containers(pods):
    pods.make("p", ("a", "echo from a; sleep 1000"), ("b", "echo from b; sleep 1000"), init=[("i", "echo from i")])
    assert pods("logs", "p", "-c", "b").stdout == "from b\n"
    assert pods("logs", "p", "-c", "i").stdout == "from i\n"
    done = pods("logs", "p")
    assert done.stdout == "from a\n"
    assert done.stderr == 'Defaulted container "a" out of: a, b, i (init)\n'
    assert set(pods("logs", "p", "--all-containers").stdout.splitlines()) == {"from a", "from b", "from i"}
    fault = pods("logs", "p", "-c", "x", check=False)
    assert fault.stderr == "error: container x is not valid for pod p\n"


def test_logs_follow_to_the_end(pods):
    pods.make("p", ("c", "for n in 1 2 3; do echo line $n; sleep 0.3; done"), wait="", restartPolicy="Never")
    pods("wait", "--for=jsonpath={.status.phase}=Running", "pod/p", "--timeout=60s")
    assert pods("logs", "-f", "p").stdout == "line 1\nline 2\nline 3\n"
    pods("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/p", "--timeout=30s")


def test_previous_logs_after_a_restart(pods):
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [
                {
                    "name": "c",
                    "image": IMAGE,
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    "command": ["sh", "-c", "test -e /data/x && { echo second; sleep 1000; }; touch /data/x; echo first"],
                }
            ],
        },
    }
    pods("create", "-f", "-", stdin=json.dumps(manifest))
    pods("wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "pod/p", "--timeout=60s")
    pods("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    assert pods("logs", "p").stdout == "second\n"
    assert pods("logs", "p", "--previous").stdout == "first\n"
    pods.make("q", ("c", "sleep 1000"))
    assert pods("logs", "q", "--previous", check=False).stderr == (
        'Error from server (BadRequest): previous terminated container "c" in pod "q" not found\n'
    )
    row = pods("get", "pod", "p").stdout.splitlines()[1].split()
    assert row[3] == "1"
    assert row[4].startswith("(")


def test_exec_passes_input_output_and_exit_code(pods):
    pods.make("p", ("c", "sleep 1000"))
    done = pods("exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.stdout, done.returncode) == ("out\n", 3)
    assert done.stderr.startswith("err\n")
    assert done.stderr.endswith("command terminated with exit code 3\n")
    assert pods("exec", "-i", "p", "--", "cat", stdin="hello\nworld\n").stdout == "hello\nworld\n"
    big = "x" * 1_000_000
    assert pods("exec", "-i", "p", "--", "cat", stdin=big).stdout == big
    assert pods("exec", "deploy/none", "--", "true", check=False).stderr == (
        'Error from server (NotFound): deployments.apps "none" not found\n'
    )
    fault = pods("exec", "p", "--", "no-such-program", check=False)
    assert fault.returncode == 1
    assert 'exec: "no-such-program": executable file not found in $PATH' in fault.stderr
    assert fault.stderr.startswith("error: Internal error occurred: ")


def test_exec_on_a_terminal(pods):
    pods.make("p", ("c", "sleep 1000"))
    code, seen = pods.on_terminal("exec", "-it", "p", "--", "sh", typed="tty; echo size $(stty size); exit 5\n")
    assert "/dev/pts/" in seen
    assert "size " in seen
    assert code == 5
    _, seen = pods.on_terminal("exec", "-it", "p", "--", "sh", "-c", "'test -t 0 && echo is a terminal'")
    assert "is a terminal" in seen


def test_attach_sees_what_comes(pods):
    pods.make("p", ("c", SPEAKER))
    process = pods.start("attach", "p")
    try:
        lines = [process.stdout.readline() for _ in range(3)]
    finally:
        end(process)
    assert all(line.startswith((b"line ", b"All commands", b"If you")) for line in lines), lines


def test_attach_gives_input(pods):
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": IMAGE, "stdin": True, "stdinOnce": True, "command": ["sh", "-c", "read x; echo got $x"]}],
        },
    }
    pods("create", "-f", "-", stdin=json.dumps(manifest))
    pods("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    assert "got hello" in pods("attach", "-i", "p", stdin="hello\n").stdout
    pods("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/p", "--timeout=30s")


def test_port_forward_to_a_pod_and_to_a_service(pods):
    pods.make("p", ("c", "echo hi >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"))
    pods("expose", "pod", "p", "--port=80", "--target-port=8080")
    for target, port in (("pod/p", "8080"), ("service/p", "80")):
        process = pods.start("port-forward", target, f":{port}")
        try:
            line = process.stdout.readline().decode()
            assert line.startswith("Forwarding from 127.0.0.1:"), line
            local = line.split(":")[1].split()[0]
            for _ in range(3):
                got = pods.server.node.run(["busybox", "wget", "-q", "-O", "-", f"http://127.0.0.1:{local}/"]).stdout
                assert got == "hi\n"
        finally:
            end(process)


def test_port_forward_to_a_closed_port_says_so(pods):
    pods.make("p", ("c", "sleep 1000"))
    process = pods.start("port-forward", "pod/p", ":9999")
    try:
        local = process.stdout.readline().decode().split(":")[1].split()[0]
        done = pods.server.node.run(["timeout", "5", "busybox", "wget", "-q", "-O", "-", f"http://127.0.0.1:{local}/"], check=False)
        assert done.returncode != 0
        text = ""
        while "error" not in text:
            text = process.stdout.readline().decode()
            assert text, "the port-forward ended without a word"
    finally:
        end(process)
    assert "9999" in text


def test_cp_both_ways(pods, server):
    pods.make("p", ("c", "sleep 1000"))
    folder = server.node.shared / "cp"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(300_000))
    (folder / "sub").mkdir()
    (folder / "sub/other").write_text("other\n")
    pods("cp", str(folder), "p:/tmp/there")
    assert pods("exec", "p", "--", "cat", "/tmp/there/sub/other").stdout == "other\n"
    pods("cp", "p:/tmp/there", str(folder / "back"))
    assert (folder / "back/file").read_bytes() == (folder / "file").read_bytes()


def test_run_and_remove(pods):
    done = pods("run", "p", "--rm", "-i", f"--image={IMAGE}", "--restart=Never", "--", "sh", "-c", "cat; echo done", stdin="hello\n")
    assert "hello\n" in done.stdout
    assert "done" in done.stdout
    assert f'pod "p" deleted from {pods.namespace} namespace' in done.stdout
    assert pods("get", "pods", "-o", "name").stdout == ""


def test_run_on_a_terminal(pods):
    _, seen = pods.on_terminal("run", "p", "--rm", "-it", f"--image={IMAGE}", "--restart=Never", "--", "sh", typed="echo $((6*7)); exit\n")
    assert "42" in seen
    assert "deleted" in seen


def test_debug_adds_an_ephemeral_container(pods):
    pods.make("p", ("c", "sleep 1000"))
    done = pods("debug", "p", f"--image={IMAGE}", "--target=c", "-c", "look", "--profile=general", "--", "sh", "-c", "ps; sleep 1000")
    assert done.returncode == 0
    pods("wait", "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running}", "pod/p", "--timeout=60s")
    assert "sleep 1000" in pods("exec", "p", "-c", "look", "--", "ps").stdout
    assert "look" in pods("describe", "pod", "p").stdout
    pods.server.until(lambda: "sleep 1000" in pods("logs", "p", "-c", "look").stdout, what="the output of the debugger")


def test_debug_copies_a_pod(pods):
    pods.make("p", ("c", "sleep 1000"))
    pods("debug", "p", "--copy-to=q", "--container=c", "--", "sh", "-c", "echo copied; sleep 1000")
    pods("wait", "--for=condition=Ready", "pod/q", "--timeout=60s")
    assert pods("logs", "q").stdout == "copied\n"


def test_debug_of_a_node(pods):
    pods("debug", "node/n1", f"--image={IMAGE}", "--profile=general", "--", "sh", "-c", "ls /host/etc/k3py")
    (pod,) = pods.server.get("pods", "-n", pods.namespace)["items"]
    name = pod["metadata"]["name"]
    assert pod["spec"]["hostNetwork"] is True
    pods("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
    assert "k3py.yaml" in pods("logs", name).stdout


def test_a_pod_is_deleted_within_its_grace(pods):
    pods.make("p", ("c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"), terminationGracePeriodSeconds=20)
    process = pods.start("logs", "-f", "p")
    try:
        assert process.stdout.readline() == b"up\n"
        pods("delete", "pod", "p", "--timeout=15s")
        assert process.stdout.readline() == b"bye\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_the_python_client_reads_logs_and_runs_commands(pods, server):
    pods.make("p", ("c", "echo hello; sleep 1000"))
    script = (
        "from kubernetes import client, config, stream\n"
        "config.load_kube_config()\n"
        "core = client.CoreV1Api()\n"
        f"print(core.read_namespaced_pod_log('p', '{pods.namespace}'), end='')\n"
        f"print(stream.stream(core.connect_get_namespaced_pod_exec, 'p', '{pods.namespace}', command=['echo', 'from exec'], "
        "stdout=True, stderr=True, stdin=False, tty=False), end='')\n"
    )
    import sys

    done = server.node.run([sys.executable, "-c", script], env=CONFIG)
    assert done.stdout == "hello\nfrom exec\n"
