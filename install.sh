#!/bin/sh
# Installs k3py from this clone and starts a node: sudo ./install.sh [server] [FLAG ...]
#
# Settings (environment), as K3s has them with K3PY for K3S (spec I-01 … I-17):
#   INSTALL_K3PY_EXEC         command and flags, e.g. "server --disable-agent"; arguments of this script follow it
#   INSTALL_K3PY_BIN_DIR      where links go (default /usr/local/bin)
#   INSTALL_K3PY_SKIP_ENABLE  true: neither enable nor start
#   INSTALL_K3PY_SKIP_START   true: enable, do not start
#   INSTALL_K3PY_FORCE_RESTART true: restart even when nothing changed
#   K3PY_*                    are handed to the service (K3PY_TOKEN, K3PY_DATA_DIR, …)
# Running it again is safe: it upgrades, and restarts only what changed. Undo with k3py-uninstall.sh.
set -euf

say() { echo "[k3py] $*"; }
fail() {
    echo "[k3py] error: $*" >&2
    exit "${code:-1}"
}

source_dir=$(cd "$(dirname "$0")" && pwd)
lib_dir=/usr/local/lib/k3py
bin_dir=${INSTALL_K3PY_BIN_DIR:-/usr/local/bin}
systemd_dir=${INSTALL_K3PY_SYSTEMD_DIR:-/etc/systemd/system}
# Flags are words without spaces, as in K3s' INSTALL_K3S_EXEC.
# shellcheck disable=SC2086,SC2048
set -- ${INSTALL_K3PY_EXEC:-} $*
case "${1:-}" in
"" | -*) set -- server "$@" ;;
server) ;;
*) code=2 fail "command '$1': must be server" ;;
esac
arguments="$*"

check_machine() {
    [ "$(id -u)" -eq 0 ] || fail "must run as root: sudo $0 $arguments"
    case "$(uname -s)/$(uname -m)" in
    Linux/x86_64 | Linux/amd64 | Linux/aarch64 | Linux/arm64) ;;
    *) fail "$(uname -s) on $(uname -m): must be Linux on x86_64 or arm64" ;;
    esac
    command -v apt-get >/dev/null || fail "apt-get is missing: this installer needs Debian or one of its derivatives"
}

# Debian's packages that are missing, by a file that each brings.
missing_packages() {
    while read -r package files; do
        found=
        for file in $files; do
            [ ! -e "$file" ] || found=yes
        done
        [ -n "$found" ] || echo "$package"
    done <<LIST
containerd /usr/bin/containerd /usr/local/bin/containerd
runc /usr/sbin/runc /usr/bin/runc /usr/local/sbin/runc
containernetworking-plugins /usr/lib/cni/bridge /opt/cni/bin/bridge
nftables /usr/sbin/nft
iptables /usr/sbin/iptables
iproute2 /usr/bin/ip /sbin/ip /usr/sbin/ip
conntrack /usr/sbin/conntrack
busybox-static /bin/busybox /usr/bin/busybox
ca-certificates /etc/ssl/certs/ca-certificates.crt
procps /usr/bin/ps /bin/ps
util-linux /usr/bin/setsid
LIST
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "$(basename "$python")-venv"
}

find_python() {
    python=
    for candidate in python3.14 python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            # Of an active virtual environment, the Python below it: k3py must not depend on somebody's folder.
            python=$("$candidate" -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))')
            return
        fi
    done
    apt_install python3
    python=$(command -v python3)
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is $("$python" -V): must be 3.11 or newer"
}

apt_updated=
apt_install() {
    say "installing from Debian: $*"
    log=$(mktemp)
    if [ -z "$apt_updated" ]; then
        apt-get update -q >"$log" 2>&1 || fail "apt-get update failed: $(tail -n 3 "$log")"
        apt_updated=yes
    fi
    # Debian's own containerd must neither start now nor at the next boot: k3py runs one of its own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1 </dev/null ||
        fail "apt-get install $* failed: $(tail -n 5 "$log")"
    rm -f "$log"
    if command -v systemctl >/dev/null; then
        for package in "$@"; do
            [ "$package" != containerd ] || systemctl disable containerd >/dev/null 2>&1 || true
        done
    fi
}

# The dependencies: a virtual environment for each list of them, so that a failed upgrade leaves the old one running, and one that changes
# nothing here needs no network.
build_environment() {
    requirements=$source_dir/packaging/requirements.txt
    venv=$lib_dir/venv-$({ "$python" -VV && echo "$python" && cat "$requirements"; } | sha256sum | cut -c1-16)
    # An interpreter that an upgrade of the system took away makes an environment useless.
    if [ ! -e "$venv/complete" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
        say "installing Python packages into $venv"
        rm -rf "$venv"
        mkdir -p "$lib_dir"
        "$python" -m venv "$venv"
        "$venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir -r "$requirements" ||
            fail "pip could not install packaging/requirements.txt"
        touch "$venv/complete"
    fi
}

# The program: a folder for each content of the clone.
build_program() {
    content=$({ echo "$venv" && cd "$source_dir" && find k3py -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum; } |
        sha256sum | cut -c1-16)
    target=$lib_dir/k3py-$content
    [ ! -e "$target/complete" ] || return 0
    say "installing k3py into $target"
    rm -rf "$target"
    mkdir -p "$target/bin" "$target/lib"
    cp -r "$source_dir/k3py" "$target/lib/"
    find "$target/lib" -name __pycache__ -exec rm -rf {} +
    "$venv/bin/python" -m compileall -q "$target/lib"
    cat >"$target/bin/k3py" <<PROGRAM
#!$venv/bin/python
import sys

sys.path[0] = "$target/lib"

from k3py.__main__ import main

sys.exit(main())
PROGRAM
    chmod 755 "$target/bin/k3py"
    touch "$target/complete"
}

# What the flags, K3PY_* and the configuration file come to; wrong ones end here, before anything that runs is touched.
read_settings() {
    # shellcheck disable=SC2016 # not for the shell
    settings=$("$venv/bin/python" -P -c '
import sys
sys.path.insert(0, sys.argv[1])
from k3py.config.server import load_server_config
from k3py.errors import K3pyError
try:
    config = load_server_config(sys.argv[3:])
except K3pyError as error:
    print(f"[k3py] error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
except SystemExit:
    sys.exit(3)
print(config.data_dir, config.write_kubeconfig, "server" if config.disable_agent else "node")
' "$target/lib" "$@") || exit $?
    # shellcheck disable=SC2086 # three words
    set -- $settings
    [ $# -eq 3 ] || fail "--data-dir and --write-kubeconfig: must be paths without spaces"
    data_dir=$1 kubeconfig=$2 part=$3
}

replace_if_changed() { # FILE MODE: FILE.new becomes FILE; something else than before means a restart
    chmod "$2" "$1.new"
    if cmp -s "$1.new" "$1" 2>/dev/null; then
        rm -f "$1.new"
    else
        mv "$1.new" "$1"
        changed=yes
    fi
}

fill_in() { # TEMPLATE FILE MODE
    (umask 077 && sed -e "s|@BIN_DIR@|$bin_dir|g" -e "s|@DATA_DIR@|$data_dir|g" -e "s|@SYSTEMD_DIR@|$systemd_dir|g" \
        -e "s|@COMMAND@|$bin_dir/k3py|g" -e "s|@ARGUMENTS@|$arguments|g" "$source_dir/packaging/$1" >"$2.new")
    replace_if_changed "$2" "$3"
}

install_program() {
    mkdir -p "$lib_dir/examples" "$bin_dir"
    find "$source_dir/packaging/examples" -name '*.yaml' -exec cp {} "$lib_dir/examples/" \;
    before=$changed
    for script in k3py-killall.sh k3py-uninstall.sh; do
        fill_in "scripts/$script" "$bin_dir/$script" 755
    done
    changed=$before
    fill_in scripts/k3py-supervise.sh "$lib_dir/k3py-supervise.sh" 755
    if [ "$(readlink "$lib_dir/current" 2>/dev/null)" != "$(basename "$target")" ]; then
        ln -sfn "$(basename "$target")" "$lib_dir/current"
        changed=yes
    fi
    ln -sfn "$lib_dir/current/bin/k3py" "$bin_dir/k3py"
}

# The image of packaging/examples/hello.yaml, made of Debian's static busybox: the first container needs no registry.
install_images() {
    images=$data_dir/agent/images
    busybox=$(command -v busybox)
    mkdir -p "$images"
    if [ ! -e "$images/hello.tar" ] || [ "$busybox" -nt "$images/hello.tar" ]; then
        "$venv/bin/python" -B "$source_dir/packaging/build_image.py" --busybox "$busybox" \
            "$images/.hello.tar.new" >/dev/null
        mv "$images/.hello.tar.new" "$images/hello.tar"
    fi
}

write_environment() { # FILE: K3PY_* and proxy settings for the service, 0600, since a token may be among them
    (umask 077 && { env | grep -E '^(K3PY_[A-Z_]*|CONTAINERD_[A-Z_]*|NO_PROXY|HTTP_PROXY|HTTPS_PROXY)=' || true; } | sort >"$1.new")
    replace_if_changed "$1" 600
}

install_service() {
    mkdir -p /etc/k3py
    if [ -d /run/systemd/system ]; then
        init=systemd
        write_environment "$systemd_dir/k3py.service.env"
        fill_in systemd/k3py.service "$systemd_dir/k3py.service" 644
        systemctl daemon-reload
    elif [ -e /run/openrc ] && [ -x /sbin/openrc-run ]; then
        init=openrc
        write_environment /etc/k3py/k3py.env
        fill_in openrc/k3py /etc/init.d/k3py 755
    else
        init=none
        write_environment /etc/k3py/k3py.env
        (umask 077 && echo "$arguments" >/etc/k3py/arguments.new)
        replace_if_changed /etc/k3py/arguments 600
    fi
}

start_service() {
    [ "${INSTALL_K3PY_SKIP_ENABLE:-}" != true ] || return 0
    case $init in
    systemd) systemctl enable -q k3py ;;
    openrc) rc-update add k3py default >/dev/null ;;
    esac
    if [ "${INSTALL_K3PY_SKIP_START:-}" = true ]; then
        say "installed; not started"
        return 0
    fi
    verb=start
    [ -z "$changed" ] || verb=restart
    log_size=$(stat -c %s /var/log/k3py.log 2>/dev/null || echo 0)
    case $init in
    systemd)
        systemctl "$verb" k3py
        stop_hint="systemctl stop k3py"
        log_hint="journalctl -u k3py"
        ;;
    openrc)
        rc-service k3py "$verb"
        stop_hint="rc-service k3py stop"
        log_hint=/var/log/k3py.log
        ;;
    none)
        say "neither systemd nor OpenRC runs here: k3py runs in the background, and does not start at boot; log in /var/log/k3py.log"
        # shellcheck disable=SC2086 # flags are words
        "$lib_dir/k3py-supervise.sh" "$verb" "$bin_dir/k3py" $arguments
        stop_hint="$lib_dir/k3py-supervise.sh stop"
        log_hint=/var/log/k3py.log
        ;;
    esac
    wait_ready
    # Versions that nobody runs any more.
    find "$lib_dir" -mindepth 1 -maxdepth 1 -type d \( -name 'venv-*' -o -name 'k3py-*' \) \
        ! -path "$venv" ! -path "$target" -exec rm -rf {} +
}

is_ready() {
    KUBECONFIG=$kubeconfig "$bin_dir/k3py" kubectl get --raw /readyz || return
    [ "$part" = server ] ||
        KUBECONFIG=$kubeconfig "$bin_dir/k3py" kubectl wait --for=condition=Ready node --all --timeout=5s
}

# What the server said when it ended at its start; "" while it has not ended.
find_refusal() {
    case $init in
    systemd)
        [ "$(systemctl show -p NRestarts --value k3py)" = 0 ] ||
            journalctl -q -u k3py -o cat -n 50 | grep '^k3py: ' | tail -n 1 | grep . || echo "k3py: it ended; $log_hint says why"
        ;;
    *) tail -c "+$((log_size + 1))" /var/log/k3py.log 2>/dev/null | grep -m 1 '^k3py: ' || true ;;
    esac
}

wait_ready() {
    say "waiting for the $part"
    limit=$(($(date +%s) + 120))
    until is_ready >/dev/null 2>&1; do
        if [ "$(date +%s)" -ge "$limit" ]; then
            [ "$init" = systemd ] || tail -n 20 /var/log/k3py.log >&2
            fail "the $part did not become Ready within 2 minutes; $log_hint says why"
        fi
        refusal=$(find_refusal)
        [ -z "$refusal" ] || fail "${refusal#k3py: } (it is tried again until it is stopped: $stop_hint)"
        sleep 0.5
    done
    say "the $part is Ready. Try:"
    if [ "$part" = node ]; then
        say "  k3py kubectl apply -f $lib_dir/examples/hello.yaml"
        say "  k3py kubectl get pods"
    else
        say "  k3py kubectl get namespaces"
    fi
    say "Stop it with: $stop_hint (pods go on); remove it with: k3py-uninstall.sh"
}

changed=
[ "${INSTALL_K3PY_FORCE_RESTART:-}" != true ] || changed=yes
check_machine
find_python
packages=$(missing_packages)
# shellcheck disable=SC2086 # a list of packages
[ -z "$packages" ] || apt_install $packages
build_environment
build_program
shift
read_settings server "$@"
install_program
install_images
install_service
start_service
