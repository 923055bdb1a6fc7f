"""`sudo ./install.sh` on a bare Debian: what it installs, what it starts, a second run, wrong inputs, and how everything goes again.

Registries are reached from this machine's network, where nothing is started; a node without a way out then runs what was installed.
"""

import re
import subprocess

import pytest

from tests.support.debian import PATH, Unavailable, bare_machine
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

INSTALL = str(PROJECT / "install.sh")
SUPERVISE = "/usr/local/lib/k3py/k3py-supervise.sh"


def succeeded(done: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
    assert done.returncode == 0, f"{done.args}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def machine():
    """A bare Debian into which k3py was installed, not started; `first` is what the installer said."""
    try:
        with bare_machine() as machine:
            machine.first = machine.run([INSTALL], env={"INSTALL_K3PY_SKIP_START": "true"})
            if "apt-get update failed" in machine.first.stderr:
                pytest.skip(f"Debian's mirror cannot be reached: {machine.first.stderr}")
            yield machine
    except Unavailable as reason:
        pytest.skip(str(reason))


class InstalledNode:
    """A booted machine without a way out."""

    def __init__(self, node):
        self._node = node
        self.path = node.path

    def run(self, *command, check=True, env=None, timeout_s=180):
        done = self._node.run(command, check=False, env={"PATH": PATH, **(env or {})}, timeout_s=timeout_s)
        return succeeded(done) if check else done

    def install(self, *flags, **options):
        return self.run(INSTALL, *flags, **options)

    def kubectl(self, *arguments, **options):
        return self.run("k3py", "kubectl", *arguments, **options)

    def server_pid(self):
        return self.run("pgrep", "-f", "bin/python .*/k3py server").stdout.split()[0]

    def start_hello(self, installed):
        """Type the line that the installer printed, literally."""
        line = re.search(r"k3py kubectl apply .*", installed.stdout)[0]
        self.run("/bin/sh", "-c", line)
        self.kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=60s")

    def leftovers(self):
        """Return what k3py may leave behind, to compare before and after."""
        script = """
            awk '{print "mount", $2}' /proc/self/mounts
            ip -o link | awk '{print "link", $2}'
            nft list ruleset
            find /sys/fs/cgroup -type d
            ps -e -o comm= | grep -v -x -e ps -e sh -e awk -e grep
            find / -xdev -type f ! -path "/tmp/*" ! -path "/proc/*" -printf "%p %m %s\n"
            find /etc/k3py /etc/systemd /var/lib/k3py /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers /run
        """
        return sorted(set(self.run("/bin/sh", "-c", script, check=False).stdout.splitlines()))


@pytest.fixture
def node(machine):
    succeeded(machine.first)
    with Lab() as lab:
        yield InstalledNode(lab.add_node("n1", lower=machine.lower))


def test_a_bare_debian_gets_what_is_missing_and_nothing_starts_by_itself(machine):
    said = succeeded(machine.first).stdout
    assert "installing from Debian" in said
    for package in ("containerd", "runc", "nftables", "containernetworking-plugins", "conntrack", "python3"):
        assert package in said
    assert machine.run(["k3py", "--version"]).stdout.startswith("k3py version v")
    # apt's hook against starting services is gone again.
    assert machine.run(["test", "-e", "/usr/sbin/policy-rc.d"]).returncode == 1
    again = succeeded(machine.run([INSTALL], env={"INSTALL_K3PY_SKIP_START": "true"})).stdout
    assert "installing" not in again


def test_one_command_without_internet_leads_to_a_ready_node_and_the_next_line_to_a_running_container(node):
    installed = node.install()
    assert "the node is Ready" in installed.stdout
    assert f"Stop it with: {SUPERVISE} stop" in installed.stdout
    node.start_hello(installed)
    pods = node.kubectl("get", "pods").stdout
    assert re.search(r"^hello +1/1 +Running +0 ", pods, re.MULTILINE)
    assert "Hello from hello" in node.kubectl("logs", "hello").stdout
    answer = node.kubectl("exec", "hello", "--", "wget", "-q", "-O-", "http://127.0.0.1:8080/").stdout
    assert answer == "Hello from k3py.\n"
    failed = node.kubectl("exec", "hello", "--", "/bin/sh", "-c", "exit 3", check=False)
    assert failed.returncode == 3
    assert node.run("/bin/sh", "-c", "echo hi | k3py kubectl exec -i hello -- cat").stdout == "hi\n"
    described = node.kubectl("describe", "pod", "hello").stdout
    assert "Successfully assigned default/hello" in described
    assert "Server Version: v1.35" in node.kubectl("version").stdout
    follow = "k3py kubectl logs -f hello >/tmp/followed & k3py kubectl delete pod hello; wait; cat /tmp/followed"
    deleted, *followed = node.run("/bin/sh", "-c", follow).stdout.splitlines()
    assert deleted == 'pod "hello" deleted from default namespace'
    assert followed[0].startswith("Hello from hello")
    assert node.kubectl("get", "pods").stderr == "No resources found in default namespace.\n"
    assert node.run("stat", "-c", "%a", "/etc/k3py/k3py.yaml").stdout == "600\n"


def test_a_second_run_restarts_only_when_flags_or_program_changed(node):
    node.start_hello(node.install())
    container = node.kubectl("get", "pod", "hello", "-o", "json").stdout
    first = node.server_pid()
    node.install()
    assert node.server_pid() == first
    node.install("--node-label=place=roof")
    second = node.server_pid()
    assert second != first
    assert "place: roof" in node.kubectl("get", "node", "n1", "-o", "yaml").stdout
    # An upgrade comes down to another program folder.
    node.run("ln", "-sfn", "k3py-before", "/usr/local/lib/k3py/current")
    node.install(env={"INSTALL_K3PY_EXEC": "server --node-label=place=roof"})
    third = node.server_pid()
    assert third != second
    node.install("server", "--node-label=place=roof", env={"INSTALL_K3PY_FORCE_RESTART": "true"})
    assert node.server_pid() != third
    identity = re.compile(r'"(?:containerID|restartCount)": .*')
    after = node.kubectl("get", "pod", "hello", "-o", "json").stdout
    assert identity.findall(after) == identity.findall(container)


def test_wrong_inputs_are_told_before_anything_is_touched(node):
    for arguments, env, code, message in (
        (["--no-such-flag"], {}, 2, "unrecognized arguments: --no-such-flag"),
        (["--node-ip=x"], {}, 2, "--node-ip: 'x': must be an IP address"),
        (["frobnicate"], {}, 2, "command 'frobnicate': must be server or agent"),
        ([], {"K3PY_DATA_DIR": "/a b"}, 1, "--data-dir and --write-kubeconfig: must be paths without spaces"),
        ([], {"INSTALL_K3PY_EXEC": "server --https-listen-port=0"}, 2, "--https-listen-port: '0': must be a port"),
    ):
        done = node.install(*arguments, env=env, check=False)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(f"[k3py] error: {message}")
        assert done.stderr.count("\n") == 1
    # A copy, since the project may lie in a folder that is root's own.
    node.run("cp", INSTALL, "/run/install.sh")
    as_nobody = node.run("setpriv", "--reuid=65534", "--clear-groups", "/run/install.sh", check=False)
    assert as_nobody.returncode == 1
    assert as_nobody.stderr == "[k3py] error: must run as root: sudo /run/install.sh server\n"
    assert node.run("ls", "/etc/k3py").stdout == ""
    assert node.run(SUPERVISE, "status", check=False).stdout == "not running\n"


def test_a_server_that_cannot_start_is_told_at_once(node):
    node.run("/bin/sh", "-c", "busybox nc -l -p 6443 >/dev/null </dev/null 2>&1 & sleep 0.5")
    done = node.install(check=False)
    assert done.returncode == 1
    said = "[k3py] error: --https-listen-port=6443: 0.0.0.0:6443 is in use by another program "
    assert done.stderr == f"{said}(it is tried again until it is stopped: {SUPERVISE} stop)\n"
    node.run(SUPERVISE, "stop")


def test_a_server_that_is_killed_comes_back_and_one_that_is_stopped_leaves_pods_running(node):
    node.start_hello(node.install())
    node.run("kill", "-KILL", node.server_pid())
    node.run("/bin/sh", "-c", "until k3py kubectl get --raw /readyz 2>/dev/null; do sleep 0.2; done", timeout_s=30)
    node.run(SUPERVISE, "stop")
    assert node.run("pgrep", "-f", "k3py server", check=False).stdout == ""
    assert node.run("pgrep", "-f", "/usr/bin/containerd ", check=False).stdout == ""
    assert node.run("pgrep", "-x", "httpd").stdout
    refused = node.kubectl("get", "pods", check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("The connection to the server 127.0.0.1:6443 was refused")
    node.install()
    assert re.search(r"^hello +1/1 +Running +0 ", node.kubectl("get", "pods").stdout, re.MULTILINE)


def test_a_server_whose_supervisor_was_killed_is_taken_down_by_the_next_start(node):
    node.install()
    first = node.server_pid()
    node.run("/bin/sh", "-c", "kill -KILL $(cat /run/k3py/supervise.pid)")
    assert node.server_pid() == first
    node.install("--node-label=place=roof")
    assert node.run("test", "-e", f"/proc/{first}", check=False).returncode == 1
    assert "place: roof" in node.kubectl("get", "node", "n1", "-o", "yaml").stdout
    node.run("/bin/sh", "-c", "kill -KILL $(cat /run/k3py/supervise.pid)")
    node.run("k3py-uninstall.sh")
    assert node.run("pgrep", "-f", "k3py server", check=False).stdout == ""


def test_killall_ends_pods_and_keeps_data_and_uninstall_leaves_nothing(node):
    before = node.leftovers()
    node.start_hello(node.install())
    # A rule of somebody else's in a table that iptables shares.
    node.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "203.0.113.9", "-j", "RETURN")
    assert any("cni0" in line for line in node.leftovers())
    node.run("k3py-killall.sh")
    killed = node.leftovers()
    assert "203.0.113.9" in "".join(killed)
    node.run("iptables", "-t", "nat", "-F", "POSTROUTING")
    node.run("k3py-killall.sh")
    killed = node.leftovers()
    new = set(killed) - set(before)
    assert not [line for line in new if not line.startswith(("/etc/k3py", "/var/l"))], new
    assert "/var/lib/k3py/server/db/state.db" in killed

    node.install()
    assert re.search(r"^hello +1/1 +Running +", node.kubectl("get", "pods").stdout, re.MULTILINE)
    node.run("k3py-uninstall.sh")
    after = node.leftovers()
    assert set(after) - set(before) == set()
    mount_points = {"/etc/k3py", "/var/lib/k3py"}  # the lab's
    assert not [line for line in set(after) - mount_points if "k3py" in line and not line.startswith("mount ")]


@pytest.fixture(scope="module")
def systemd_machine(machine):
    """A bare Debian with systemd, into which k3py was then installed, not started."""
    with bare_machine() as with_systemd:
        packages = ["systemd", "systemd-sysv"]
        succeeded(with_systemd.run(["apt-get", "update", "-q"]))
        succeeded(with_systemd.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]))
        succeeded(with_systemd.run([INSTALL], env={"INSTALL_K3PY_SKIP_START": "true"}))
        yield with_systemd


def test_systemd_starts_stops_and_keeps_the_server(systemd_machine):
    with Lab() as lab:
        # The basic target has all that services need, and no login prompts on this machine's consoles.
        init = ("/lib/systemd/systemd", "--system", "--unit=basic.target")
        node = InstalledNode(lab.add_node("n1", lower=systemd_machine.lower, init=init))
        node.run("/bin/sh", "-c", "until [ -e /run/systemd/private ]; do sleep 0.1; done", timeout_s=30)
        node.run("systemctl", "is-system-running", "--wait", check=False, timeout_s=60)
        assert node.run("systemctl", "is-enabled", "containerd", check=False).stdout == "disabled\n"
        installed = node.install("--node-label=a=b", env={"K3PY_NODE_NAME": "roof"})
        assert "Stop it with: systemctl stop k3py" in installed.stdout
        assert node.run("stat", "-c", "%a", "/etc/systemd/system/k3py.service.env").stdout == "600\n"
        assert node.run("systemd-analyze", "verify", "k3py.service").stderr == ""
        assert node.run("systemctl", "is-enabled", "k3py").stdout == "enabled\n"
        node.start_hello(installed)
        assert "roof" in node.kubectl("get", "nodes").stdout
        first = node.server_pid()
        node.install("--node-label=a=b", env={"K3PY_NODE_NAME": "roof"})
        assert node.server_pid() == first
        node.run("kill", "-KILL", first)
        node.run("/bin/sh", "-c", "sleep 1; until k3py kubectl get --raw /readyz; do sleep 0.2; done", timeout_s=30)
        assert node.server_pid() != first
        node.run("systemctl", "stop", "k3py")
        assert node.run("pgrep", "-f", "k3py server", check=False).stdout == ""
        assert node.run("pgrep", "-x", "httpd").stdout
        node.run("k3py-uninstall.sh")
        assert node.run("pgrep", "-x", "httpd", check=False).stdout == ""
        assert node.run("find", "/etc/systemd", "-name", "*k3py*").stdout == ""


def test_openrc_starts_stops_and_keeps_the_server(machine):
    succeeded(machine.first)
    with machine.layer() as with_openrc, Lab() as lab:
        succeeded(with_openrc.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "openrc"]))
        node = InstalledNode(lab.add_node("n1", lower=with_openrc.lower))
        # As OpenRC's first stage leaves it at boot.
        for folder in ("exclusive", "daemons", "options", "tmp", "started", "starting", "stopping", "inactive", "failed"):
            node.run("mkdir", "-p", f"/run/openrc/{folder}")
        node.run("touch", "/run/openrc/softlevel")
        installed = node.install(env={"K3PY_NODE_NAME": "roof"})
        assert "Stop it with: rc-service k3py stop" in installed.stdout
        node.start_hello(installed)
        assert "roof" in node.kubectl("get", "nodes").stdout
        first = node.server_pid()
        node.run("kill", "-KILL", first)
        node.run("/bin/sh", "-c", "sleep 1; until k3py kubectl get --raw /readyz; do sleep 0.2; done", timeout_s=30)
        assert node.server_pid() != first
        node.run("rc-service", "k3py", "stop")
        assert node.run("pgrep", "-f", "k3py server", check=False).stdout == ""
        assert node.run("pgrep", "-x", "httpd").stdout
        node.run("k3py-uninstall.sh")
        assert node.run("pgrep", "-x", "httpd", check=False).stdout == ""
        assert node.run("find", "/etc/init.d", "/etc/runlevels", "-name", "*k3py*").stdout == ""
