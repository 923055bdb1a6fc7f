"""What the real `k3py server` says to bad input and bad machines: one line that names the flag or file, the value and what is allowed.

Exit codes: 2 for a command line or configuration that cannot be used, 1 for what else keeps it from running. Never a traceback.
"""

import sys
from contextlib import contextmanager

import pytest

from tests.support.cluster import KUBECONFIG, Server
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

K3PY = f"{sys.executable} -m k3py"
DATABASE = "/var/lib/k3py/server/db/state.db"


@pytest.fixture(scope="module")
def machine():
    with Lab() as lab:
        yield lab.add_node("n1")


@pytest.fixture
def node(machine):
    """The node with an empty data dir, no configuration and an empty /run/test."""
    for folder in ("/var/lib/k3py", "/etc/k3py", "/run/test"):
        machine.run(["/bin/sh", "-c", 'mkdir -p "$0" && find "$0" -mindepth 1 -delete', folder])
    return machine


def shell(node, script, **options):
    return node.run(["/bin/bash", "-c", script], cwd=PROJECT, check=False, **options)


def refusal(node, flags, before="", *, code):
    """Run a server that must not start, `before` it what makes it so; return the one line that it says besides its log.

    Mounts that `before` makes are its own.
    """
    script = f"{before}\nexec timeout --kill-after=10 30 {K3PY} server {flags}"
    done = node.run(["unshare", "--mount", "--", "/bin/bash", "-c", script], cwd=PROJECT, check=False)
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line and " WARNING " not in line]
    assert (done.returncode, len(lines)) == (code, 1), f"exit code {done.returncode}:\n{done.stderr}"
    assert lines[0].startswith("k3py: ")
    return lines[0].removeprefix("k3py: ")


@contextmanager
def running(node, *flags):
    """A control plane that answers; no pods."""
    server = Server(node, "--disable-agent", *flags)
    server.log.unlink(missing_ok=True)
    server.kubectl_path = "kubectl"
    server.start()
    try:
        server.until(lambda: ask(node, "get --raw /readyz").stdout == "ok", what="readiness")
        yield server
        assert server.process.poll() is None, server.log_tail()
    finally:
        if server.process.poll() is None:
            server.stop()


def ask(node, arguments, kubeconfig=KUBECONFIG, before=""):
    """Run the built-in kubectl."""
    builtin = f"env PATH=/usr/sbin:/sbin KUBECONFIG={kubeconfig} {K3PY} kubectl"
    return shell(node, f"{before} {builtin} {arguments}")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--no-such-flag", "unrecognized arguments: --no-such-flag (see `k3py server --help`)"),
        ("--node-ip=x", "--node-ip: 'x': must be an IP address such as 192.0.2.1"),
        ("--https-listen-port=70000", "--https-listen-port: '70000': must be a port number from 1 to 65535"),
        ("--disable-agent=maybe", "--disable-agent: 'maybe': must be true or false"),
        ("--cluster-cidr=10.42.0.1/16", "--cluster-cidr: '10.42.0.1/16': must be a network such as 10.42.0.0/16"),
        ("--service-cidr=10.42.0.0/24", "--service-cidr: '10.42.0.0/24': must not overlap with --cluster-cidr"),
        ("--snapshotter=zfs", "--snapshotter: 'zfs': must be overlayfs or native"),
        ("--disable-agent --datastore-endpoint=oracle://x", "--datastore-endpoint: scheme 'oracle': must be"),
        ("--config=/nowhere.yaml", "--config: /nowhere.yaml: no such file"),
        ("--token-file=/nowhere", "--token-file: '/nowhere': cannot be read"),
    ],
)
def test_a_flag_that_cannot_be_used(node, flags, message):
    assert refusal(node, flags, code=2).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no-such-key: 1", "/etc/k3py/config.yaml: unknown key 'no-such-key'; allowed: advertise-address, "),
        ("node-ip: x", "--node-ip (key 'node-ip' in /etc/k3py/config.yaml): 'x': must be an IP address"),
        ("debug: {a: 1}", "/etc/k3py/config.yaml: key 'debug': must be text, a number, true, false or a list"),
        ("{", "--config: /etc/k3py/config.yaml: not valid YAML: "),
        ("- a", "--config: /etc/k3py/config.yaml: must hold a mapping of flag names to values"),
    ],
)
def test_a_configuration_file_that_cannot_be_used(node, content, message):
    assert refusal(node, "", f"echo '{content}' >/etc/k3py/config.yaml", code=2).startswith(message)


def test_an_environment_variable_that_cannot_be_used(node):
    said = refusal(node, "", "export K3PY_KUBECONFIG_MODE=9", code=2)
    assert said.startswith("--write-kubeconfig-mode (environment variable K3PY_KUBECONFIG_MODE): '9': must be an octal")


def test_a_port_in_use(node):
    script = "import socket, time\ns = socket.create_server(('', 6443))\nprint(flush=True)\ntime.sleep(60)"
    with node.popen([sys.executable, "-c", script], stdout=-1) as other:
        other.stdout.readline()
        said = refusal(node, "--disable-agent", code=2)
        other.kill()
    assert said == "--https-listen-port=6443: 0.0.0.0:6443 is in use by another program"


def test_an_address_that_is_not_this_machines(node):
    said = refusal(node, "--disable-agent --bind-address=192.0.2.1", code=2)
    assert said.startswith("--https-listen-port=6443: cannot listen on 192.0.2.1:6443")


def test_somebody_who_is_not_root(node):
    # The modules are read before, since the project may lie in a folder that is root's own.
    script = (
        "import os, sys, uvloop, k3py.cli.main, k3py.cli.server, k3py.server.server; os.setuid(65534); "
        "sys.exit(k3py.cli.main.run(['k3py', 'server', '--data-dir=/run/test/data']))"
    )
    done = node.python("-c", script, check=False)
    assert (done.returncode, done.stderr) == (1, "k3py: k3py server must run as root, or with --disable-agent\n")


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("containerd", "containerd"),
        ("containerd-shim-runc-v2", "containerd"),
        ("runc", "runc"),
        ("nft", "nftables"),
        ("CNI plugins", "containernetworking-plugins"),
    ],
)
def test_a_program_that_is_missing(node, program, package):
    """The package that brings it is named; the server does not start without it."""
    if program == "CNI plugins":
        hide = "for folder in /usr/lib/cni /opt/cni/bin; do [ ! -d $folder ] || mount -t tmpfs tmpfs $folder; done"
    else:
        hide = f"for file in $(type -ap {program}); do mount --bind /dev/null $(realpath $file); done"
    said = refusal(node, "", hide, code=1)
    assert program in said
    assert f"apt-get install {package})" in said


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("/proc/k3py", "No such file or directory"), ("/etc/passwd", "File exists"), ("/run/test/d", "Read-only file system")],
)
def test_a_data_dir_that_cannot_be_written(node, folder, reason):
    before = "mkdir -p /run/test/d && mount -t tmpfs -o ro tmpfs /run/test/d"
    said = refusal(node, f"--disable-agent --data-dir={folder}", before, code=2)
    assert said == f"--data-dir: '{folder}': must be a folder that can be written: {reason}"


def test_a_data_dir_with_something_else_in_it(node):
    said = refusal(node, "--disable-agent --data-dir=/etc", code=2)
    assert said.startswith("--data-dir: '/etc': must be empty or k3py's own, but holds ")


def test_a_second_server_on_the_same_data_dir_and_a_kubeconfig_with_another_authority(node):
    with running(node) as server:
        pid = shell(node, "cat /var/lib/k3py/k3py.lock").stdout
        said = refusal(node, "--disable-agent --https-listen-port=7443", code=1)
        assert said.startswith(f"--data-dir: '/var/lib/k3py': is in use by another k3py (process {pid}); stop that one")

        change = "sed 's|authority-data:.*|authority-data: '$(base64 -w0 /var/lib/k3py/server/tls/client-ca.crt)'|'"
        wrong = ask(node, "get nodes", "/run/test/wrong", f"{change} {KUBECONFIG} >/run/test/wrong;")
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert wrong.stderr.startswith("Unable to connect to the server: tls: failed to verify certificate of 127.0.0.1:6443: ")
        assert wrong.stderr.count("\n") == 1
        assert server.process.poll() is None


@pytest.mark.parametrize("damage", ["of=$f bs=4096 count=4", "of=$f bs=4096 seek=2 count=20 conv=notrunc"])
def test_a_damaged_database(node, damage):
    """The message names the file and what to do; nothing is deleted."""
    with running(node):
        pass
    said = refusal(node, "--disable-agent", f"f={DATABASE}; rm -f $f-wal $f-shm; dd if=/dev/urandom {damage} status=none", code=1)
    assert said.startswith(f"the database {DATABASE} is damaged")
    assert f"Keep a copy of {DATABASE}" in said
    assert "--cluster-reset-restore-path" in said
    assert shell(node, f"ls {DATABASE}").returncode == 0


@pytest.mark.parametrize("file", ["server-ca.crt", "client-ca.key"])
def test_a_damaged_certificate_authority_is_taken_from_the_datastore_again(node, file):
    path = f"/var/lib/k3py/server/tls/{file}"
    with running(node):
        whole = shell(node, f"cat {path}").stdout
    assert shell(node, f"echo x >{path}").returncode == 0
    with running(node) as server:
        assert "took files from the datastore" in server.log_tail()
    assert shell(node, f"cat {path}").stdout == whole
    assert shell(node, f"stat -c %a {path}").stdout == "600\n"


def test_a_token_that_differs_from_the_stored_one(node):
    with running(node):
        pass
    said = refusal(node, "--disable-agent --token=other", code=2)
    assert said == "--token: differs from the one in /var/lib/k3py/server/token; use that one, or rotate it"


def test_a_full_disk_is_told_and_healed_by_space(node):
    mount = "mkdir -p /run/test/small && mount -t tmpfs -o size=12m tmpfs /run/test/small"
    assert shell(node, mount).returncode == 0
    with running(node, "--data-dir=/run/test/small") as server:
        assert ask(node, "create nonsense").returncode == 2  # the built-in one has no create
        shell(node, "head -c 9000 /dev/urandom | base64 -w0 >/run/test/text; cat /dev/zero >/run/test/small/server/ballast")
        manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME}, data: {a: '$(cat /run/test/text)'}}"
        refused = None
        for number in range(200):
            document = manifest.replace("NAME", f"c{number}")
            refused = ask(node, "apply -f -", before=f'echo "{document}" |')
            if refused.returncode:
                break
        assert refused.returncode == 1
        assert refused.stderr.startswith("Error from server")
        assert "no space left" in refused.stderr.lower()
        assert server.log.read_text().count("no space left for the database") == 1
        assert ask(node, "get configmaps").returncode == 0
        shell(node, "rm /run/test/small/server/ballast")
        healed = ask(node, "apply -f -", before=f'echo "{document}" |')
        assert healed.stdout == f"configmap/c{number} created\n"
        assert "there is space for the database again" in server.log_tail()
    assert shell(node, "umount /run/test/small").returncode == 0


def test_a_disk_that_is_full_from_the_start(node):
    before = "mkdir -p /run/test/small && mount -t tmpfs -o size=16k tmpfs /run/test/small"
    said = refusal(node, "--disable-agent --data-dir=/run/test/small", before, code=1)
    assert "no space left" in said.lower()
