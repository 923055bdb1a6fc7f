#!/bin/sh
# Installs k3py from this clone and starts a node: sudo ./install.sh
#
# Settings (environment), as K3s has them with K3PY for K3S (spec I-01 … I-17):
#   INSTALL_K3PY_EXEC         command and flags, e.g. "server --disable-agent"; arguments of this script follow it
#   INSTALL_K3PY_BIN_DIR      where links go (default /usr/local/bin)
#   INSTALL_K3PY_SKIP_ENABLE  true: neither enable nor start
#   INSTALL_K3PY_SKIP_START   true: enable, do not start
#   INSTALL_K3PY_FORCE_RESTART true: restart even when nothing changed
#   K3PY_*                    are handed to the service (K3PY_TOKEN, K3PY_DATA_DIR, …)
# Running it again is safe: it upgrades, and restarts only what changed. Undo with k3py-uninstall.sh.
set -eu

say() { echo "[k3py] $*"; }
fail() {
    echo "[k3py] error: $*" >&2
    exit 1
}

source_dir=$(cd "$(dirname "$0")" && pwd)
lib_dir=/usr/local/lib/k3py
bin_dir=${INSTALL_K3PY_BIN_DIR:-/usr/local/bin}
data_dir=${K3PY_DATA_DIR:-/var/lib/k3py}
systemd_dir=${INSTALL_K3PY_SYSTEMD_DIR:-/etc/systemd/system}
arguments="${INSTALL_K3PY_EXEC:-} $*"
arguments=$(echo $arguments)
case "$arguments" in
"" | -*) arguments="server $arguments" ;;
esac
arguments=${arguments% }
case "$arguments" in
server | server\ *) ;;
*) fail "command '${arguments%% *}': must be server" ;;
esac

check_machine() {
    [ "$(id -u)" -eq 0 ] || fail "must run as root: sudo $0"
    case "$(uname -s)/$(uname -m)" in
    Linux/x86_64 | Linux/amd64 | Linux/aarch64 | Linux/arm64) ;;
    *) fail "$(uname -s) on $(uname -m): must be Linux on x86_64 or arm64" ;;
    esac
    command -v apt-get >/dev/null || fail "apt-get is missing: this installer needs Debian or one of its derivatives"
}

# Debian's packages that are missing, by a file that each brings.
missing_packages() {
    while read -r package file; do
        found=
        for place in $(echo "$file" | tr '|' ' '); do
            [ -e "$place" ] && found=yes
        done
        [ -n "$found" ] || echo "$package"
    done <<LIST
containerd /usr/bin/containerd|/usr/local/bin/containerd
runc /usr/sbin/runc|/usr/bin/runc|/usr/local/sbin/runc
containernetworking-plugins /usr/lib/cni/bridge|/opt/cni/bin/bridge
nftables /usr/sbin/nft
iptables /usr/sbin/iptables
iproute2 /usr/bin/ip|/sbin/ip|/usr/sbin/ip
conntrack /usr/sbin/conntrack
busybox-static /bin/busybox|/usr/bin/busybox
ca-certificates /etc/ssl/certs/ca-certificates.crt
procps /usr/bin/ps|/bin/ps
util-linux /usr/bin/setsid
LIST
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "python3-venv"
}

find_python() {
    python=
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            python=$(command -v "$candidate")
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
    if [ -z "$apt_updated" ]; then
        apt-get update -q >/dev/null
        apt_updated=yes
    fi
    # Debian's own containerd must neither start now nor at the next boot: k3py runs one of its own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null </dev/null
    if [ -d /run/systemd/system ]; then
        for package in "$@"; do
            [ "$package" != containerd ] || systemctl disable containerd >/dev/null 2>&1 || true
        done
    fi
}

# A virtual environment of its own for each content of the clone, so that a failed upgrade leaves the old one running.
install_program() {
    content=$(cd "$source_dir" && find k3py pyproject.toml packaging/requirements.txt -type f ! -path '*/__pycache__/*' -print0 |
        sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
    target=$lib_dir/$content
    if [ ! -e "$target/complete" ]; then
        say "installing k3py into $target"
        rm -rf "$target"
        mkdir -p "$lib_dir"
        "$python" -m venv "$target/venv"
        "$target/venv/bin/pip" install -q --disable-pip-version-check -r "$source_dir/packaging/requirements.txt"
        # Built from a copy, so that nothing is written into the clone.
        build=$(mktemp -d)
        (cd "$source_dir" && cp -r k3py pyproject.toml README.md LICENSE "$build/")
        "$target/venv/bin/pip" install -q --disable-pip-version-check --no-deps "$build"
        rm -rf "$build"
        touch "$target/complete"
    fi
    before=$(readlink "$lib_dir/current" 2>/dev/null || true)
    ln -sfn "$content" "$lib_dir/current"
    [ "$before" = "$content" ] || changed=yes
    mkdir -p "$lib_dir/examples" "$bin_dir"
    cp "$source_dir"/packaging/examples/*.yaml "$lib_dir/examples/"
    install -m 755 "$source_dir/packaging/scripts/k3py-supervise.sh" "$lib_dir/k3py-supervise.sh"
    install -m 755 "$source_dir/packaging/scripts/k3py-killall.sh" "$bin_dir/k3py-killall.sh"
    sed "s|@BIN_DIR@|$bin_dir|" "$source_dir/packaging/scripts/k3py-uninstall.sh" >"$bin_dir/k3py-uninstall.sh"
    chmod 755 "$bin_dir/k3py-uninstall.sh"
    ln -sfn "$lib_dir/current/venv/bin/k3py" "$bin_dir/k3py"
    # Versions that nobody points at any more.
    for old in "$lib_dir"/????????????????; do
        [ ! -d "$old" ] || [ "$(basename "$old")" = "$content" ] || rm -rf "$old"
    done
}

# The image of packaging/examples/hello.yaml, made of Debian's static busybox: the first container needs no registry.
install_images() {
    images=$data_dir/agent/images
    busybox=$(command -v busybox)
    mkdir -p "$images"
    if [ ! -e "$images/hello.tar" ] || [ "$busybox" -nt "$images/hello.tar" ]; then
        "$lib_dir/current/venv/bin/python" "$source_dir/packaging/build_image.py" --busybox "$busybox" \
            "$images/.hello.tar.new"
        mv "$images/.hello.tar.new" "$images/hello.tar"
    fi
}

write_environment() { # FILE: K3PY_* and proxy settings for the service, 0600, since a token may be among them
    umask 077
    env | grep -E '^(K3PY_|CONTAINERD_|NO_PROXY=|HTTP_PROXY=|HTTPS_PROXY=)' >"$1.new" || true
    umask 022
    if ! cmp -s "$1.new" "$1" 2>/dev/null; then
        mv "$1.new" "$1"
        changed=yes
    else
        rm -f "$1.new"
    fi
}

replace_if_changed() { # FILE MODE: standard input becomes FILE
    cat >"$1.new"
    chmod "$2" "$1.new"
    if cmp -s "$1.new" "$1" 2>/dev/null; then
        rm -f "$1.new"
    else
        mv "$1.new" "$1"
        changed=yes
    fi
}

install_service() {
    mkdir -p /etc/k3py
    if [ -d /run/systemd/system ]; then
        init=systemd
        write_environment "$systemd_dir/k3py.service.env"
        sed "s|@EXEC@|$bin_dir/k3py $arguments|" "$source_dir/packaging/systemd/k3py.service" |
            replace_if_changed "$systemd_dir/k3py.service" 644
        systemctl daemon-reload
    elif [ -e /run/openrc ] && [ -x /sbin/openrc-run ]; then
        init=openrc
        write_environment /etc/k3py/k3py.env
        sed -e "s|@COMMAND@|$bin_dir/k3py|" -e "s|@ARGUMENTS@|$arguments|" "$source_dir/packaging/openrc/k3py" |
            replace_if_changed /etc/init.d/k3py 755
    else
        init=none
        write_environment /etc/k3py/k3py.env
        echo "$arguments" | replace_if_changed /etc/k3py/arguments 600
    fi
}

start_service() {
    [ "${INSTALL_K3PY_SKIP_ENABLE:-}" != true ] || return 0
    case $init in
    systemd)
        systemctl enable -q k3py
        [ "${INSTALL_K3PY_SKIP_START:-}" != true ] || return 0
        if [ -n "$changed" ]; then systemctl restart k3py; else systemctl start k3py; fi
        stop_hint="systemctl stop k3py"
        ;;
    openrc)
        rc-update add k3py default >/dev/null
        [ "${INSTALL_K3PY_SKIP_START:-}" != true ] || return 0
        if [ -n "$changed" ]; then rc-service k3py restart; else rc-service k3py start; fi
        stop_hint="rc-service k3py stop"
        ;;
    none)
        [ "${INSTALL_K3PY_SKIP_START:-}" != true ] || return 0
        [ -z "$changed" ] || "$lib_dir/k3py-supervise.sh" stop
        # shellcheck disable=SC2086 # flags are words
        "$lib_dir/k3py-supervise.sh" start "$bin_dir/k3py" $arguments
        stop_hint="$lib_dir/k3py-supervise.sh stop"
        say "neither systemd nor OpenRC runs here: k3py runs in the background, log in /var/log/k3py.log"
        ;;
    esac
    wait_ready
}

wait_ready() {
    case " $arguments " in
    *" --disable-agent "* | *" --disable-agent=true "*) set -- get namespace default ;;
    *) set -- wait --for=condition=Ready node --all --timeout=5s ;;
    esac
    say "waiting for the node"
    tries=0
    until "$bin_dir/k3py" kubectl "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 120 ]; then
            tail -n 20 /var/log/k3py.log 2>/dev/null >&2 || true
            fail "the node did not become Ready in time; the log says why"
        fi
        sleep 1
    done
    say "the node is Ready. Try:"
    say "  k3py kubectl apply -f $lib_dir/examples/hello.yaml"
    say "  k3py kubectl get pods"
    say "Stop it with: $stop_hint (pods go on); remove it with: k3py-uninstall.sh"
}

changed=${INSTALL_K3PY_FORCE_RESTART:+yes}
check_machine
find_python
packages=$(missing_packages)
# shellcheck disable=SC2086 # a list of packages
[ -z "$packages" ] || apt_install $packages
install_program
install_images
install_service
start_service
