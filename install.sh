#!/bin/sh
# Installs k3py and starts it: from a clone of its sources, or as the single file.
#
#   sudo ./install.sh [server|agent] [FLAG ...]                                              in a clone, on Debian or a derivative
#   curl -sfL URL/install.sh | INSTALL_K3PY_URL=URL/k3py sh -s - [server|agent] [FLAG ...]   the single file, on any Linux
#   INSTALL_K3PY_SKIP_DOWNLOAD=true ./install.sh agent                                       the file is already at /usr/local/bin/k3py
#
# Settings (environment), as K3s has them with K3PY for K3S (spec I-01 … I-17):
#   INSTALL_K3PY_EXEC         command and flags, e.g. "server --disable-agent"; arguments of this script follow it
#   INSTALL_K3PY_URL          where the single file is: a URL, a path, or a folder of either (ending in "/") that holds k3py-amd64 or
#                             k3py-arm64; beside the file lies its checksum, NAME.sha256
#   INSTALL_K3PY_SHA256       the checksum itself, in place of that file
#   INSTALL_K3PY_VERSION      a folder below INSTALL_K3PY_URL, e.g. v0.1.0
#   INSTALL_K3PY_SKIP_DOWNLOAD true: the single file lies in INSTALL_K3PY_BIN_DIR
#   INSTALL_K3PY_NAME         the service is k3py-NAME (default: k3py for a server, k3py-agent for an agent)
#   INSTALL_K3PY_BIN_DIR      where programs and links go (default /usr/local/bin; /opt/bin where that cannot be written)
#   INSTALL_K3PY_SYSTEMD_DIR  where units go (default /etc/systemd/system)
#   INSTALL_K3PY_SYMLINK      force: link kubectl and ctr to k3py even where others are; skip: never
#   INSTALL_K3PY_SKIP_ENABLE  true: neither enable nor start
#   INSTALL_K3PY_SKIP_START   true: enable, do not start
#   INSTALL_K3PY_FORCE_RESTART true: restart even when nothing changed
#   K3PY_*                    are handed to the service (K3PY_TOKEN, K3PY_URL, K3PY_DATA_DIR, …); K3PY_URL makes it an agent
# Running it again is safe: it upgrades, and restarts only what changed. Undo with k3py-uninstall.sh (k3py-agent-uninstall.sh).
set -euf

say() { echo "[k3py] $*"; }
warn() { echo "[k3py] warning: $*" >&2; }
fail() {
    echo "[k3py] error: $*" >&2
    exit "${code:-1}"
}

source_dir=$(cd "$(dirname "$0")" && pwd)
systemd_dir=${INSTALL_K3PY_SYSTEMD_DIR:-/etc/systemd/system}
# Flags are words without spaces, as in K3s' INSTALL_K3S_EXEC.
# shellcheck disable=SC2086,SC2048
set -- ${INSTALL_K3PY_EXEC:-} $*
case "${1:-}" in
"" | -*) if [ -n "${K3PY_URL:-}" ]; then set -- agent "$@"; else set -- server "$@"; fi ;;
server | agent) ;;
*) code=2 fail "command '$1': must be server or agent" ;;
esac
role=$1
arguments="$*"

check_settings() {
    [ "$(id -u)" -eq 0 ] || fail "must run as root: sudo $0 $arguments"
    name=${INSTALL_K3PY_NAME:-}
    case $name in
    "") if [ "$role" = agent ]; then service=k3py-agent; else service=k3py; fi ;;
    *[!a-zA-Z0-9_.-]*) code=2 fail "INSTALL_K3PY_NAME='$name': must be letters, digits, '.', '_' and '-'" ;;
    *) service=k3py-$name ;;
    esac
    for word in $(env | sed -n 's/^\(INSTALL_K3PY_[A-Z0-9_]*\)=.*/\1/p'); do
        case ${word#INSTALL_K3PY_} in
        EXEC | URL | SHA256 | VERSION | SKIP_DOWNLOAD | NAME | BIN_DIR | SYSTEMD_DIR | SYMLINK | SKIP_ENABLE | SKIP_START | FORCE_RESTART) ;;
        *) warn "$word is not known; it has no effect" ;;
        esac
    done
    bin_dir=${INSTALL_K3PY_BIN_DIR:-/usr/local/bin}
    lib_dir=/usr/local/lib/k3py
    if [ -z "${INSTALL_K3PY_BIN_DIR:-}" ] && ! { mkdir -p "$bin_dir" "$lib_dir" && [ -w "$bin_dir" ] && [ -w "$lib_dir" ]; } 2>/dev/null; then
        bin_dir=/opt/bin
        lib_dir=/opt/lib/k3py
    fi
    form=clone
    if [ -n "${INSTALL_K3PY_URL:-}" ] || [ "${INSTALL_K3PY_SKIP_DOWNLOAD:-}" = true ]; then
        form='file'
    elif [ ! -e "$source_dir/packaging/requirements.txt" ]; then
        code=2 fail "INSTALL_K3PY_URL: must say where the single file is (this is no clone of k3py's sources)"
    fi
}

check_machine() {
    case "$(uname -s)/$(uname -m)" in
    Linux/x86_64 | Linux/amd64 | Linux/aarch64 | Linux/arm64) ;;
    *) fail "$(uname -s) on $(uname -m): must be Linux on x86_64 or arm64" ;;
    esac
    case "$(uname -m)" in
    x86_64 | amd64) architecture=amd64 ;;
    *) architecture=arm64 ;;
    esac
    [ "$form" = file ] || command -v apt-get >/dev/null ||
        fail "apt-get is missing: from a clone, k3py needs Debian or one of its derivatives; elsewhere install the single file (INSTALL_K3PY_URL)"
    grep -q '^memory.*1$' /proc/cgroups 2>/dev/null || grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null ||
        warn "the kernel's memory control group is off: limits of pods' memory will not hold (cgroup_enable=memory on the kernel's command line)"
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

# The single file: fetched beside its place, checked, tried; what runs is not touched before that.
fetch_file() {
    program=$bin_dir/k3py
    mkdir -p "$bin_dir"
    if [ "${INSTALL_K3PY_SKIP_DOWNLOAD:-}" = true ]; then
        [ -x "$program" ] || fail "INSTALL_K3PY_SKIP_DOWNLOAD=true: $program is missing, or is not executable"
        new_program=$program
        return 0
    fi
    from=$INSTALL_K3PY_URL
    case $from in
    */) from=$from${INSTALL_K3PY_VERSION:+$INSTALL_K3PY_VERSION/}k3py-$architecture ;;
    esac
    new_program=$bin_dir/.k3py.new
    trap 'rm -f "$bin_dir/.k3py.new" "$bin_dir/.k3py.sha256"' EXIT
    wanted=${INSTALL_K3PY_SHA256:-}
    if [ -z "$wanted" ]; then
        get_file "$from.sha256" "$bin_dir/.k3py.sha256" || fail "cannot get the checksum $from.sha256 (or set INSTALL_K3PY_SHA256)"
        wanted=$(cut -d ' ' -f 1 "$bin_dir/.k3py.sha256")
    fi
    if [ "$(checksum "$program")" = "$wanted" ]; then
        new_program=$program
        return 0
    fi
    say "getting $from"
    get_file "$from" "$new_program" || fail "cannot get $from"
    found=$(checksum "$new_program")
    [ "$found" = "$wanted" ] || fail "$from: its sha256 is $found, must be $wanted; nothing was changed"
    chmod 755 "$new_program"
}

checksum() { # FILE
    if [ -e "$1" ]; then sha256sum "$1" | cut -d ' ' -f 1; fi
}

get_file() { # FROM TO
    case $1 in
    http://* | https://*)
        if command -v curl >/dev/null; then
            curl -sfL -o "$2" "$1"
        elif command -v wget >/dev/null; then
            wget -q -O "$2" "$1"
        else
            fail "neither curl nor wget is there to get $1"
        fi
        ;;
    *) cp "${1#file://}" "$2" ;;
    esac
}

# What the flags, K3PY_* and the configuration file come to; wrong ones end here, before anything that runs is touched.
read_settings() {
    settings=$("$new_program" config "$@" 2>&1) || {
        code=$?
        fail "${settings#k3py: }"
    }
    data_dir=$(setting data-dir) kubeconfig=$(setting write-kubeconfig) part=node
    [ -n "$data_dir" ] || fail "arguments '$arguments': must be flags of k3py $role"
    case "$data_dir $kubeconfig" in
    *" "*" "*) fail "--data-dir and --write-kubeconfig: must be paths without spaces" ;;
    esac
    [ "$(setting disable-agent)" != true ] || part=server
    if [ "$form" = file ]; then
        templates=$data_dir/data/$(sed -n 's/^hash=//p;/^hash=/q' "$new_program")/share
        [ -e "$templates" ] || fail "$new_program did not unpack below $data_dir"
    else
        templates=$source_dir/packaging
    fi
    if [ "$role" = agent ]; then
        part=agent
        kubeconfig=$data_dir/agent/kubelet.kubeconfig
    fi
}

setting() { # KEY
    echo "$settings" | sed -n "s/^$1: //p" | sed "s/^'\(.*\)'\$/\1/"
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
        -e "s|@LIB_DIR@|$lib_dir|g" -e "s|@SERVICE@|$service|g" \
        -e "s|@COMMAND@|$bin_dir/k3py|g" -e "s|@ARGUMENTS@|$arguments|g" "$templates/$1" >"$2.new")
    replace_if_changed "$2" "$3"
}

install_program() {
    mkdir -p "$lib_dir/examples" "$bin_dir"
    # An earlier run that was cut off may have replaced something without restarting.
    [ ! -e "$lib_dir/installing" ] || changed=yes
    touch "$lib_dir/installing"
    find "$templates/examples" -name '*.yaml' -exec cp {} "$lib_dir/examples/" \;
    before=$changed
    fill_in scripts/k3py-killall.sh "$bin_dir/k3py-killall.sh" 755
    fill_in scripts/k3py-uninstall.sh "$bin_dir/$service-uninstall.sh" 755
    changed=$before
    fill_in scripts/k3py-supervise.sh "$lib_dir/k3py-supervise.sh" 755
    if [ "$form" = file ]; then
        if [ "$new_program" != "$bin_dir/k3py" ]; then
            mv "$new_program" "$bin_dir/k3py"
            changed=yes
        fi
    else
        if [ "$(readlink "$lib_dir/current" 2>/dev/null)" != "$(basename "$target")" ]; then
            ln -sfn "$(basename "$target")" "$lib_dir/current"
            changed=yes
        fi
        ln -sfn "$lib_dir/current/bin/k3py" "$bin_dir/k3py"
    fi
    [ "${INSTALL_K3PY_SYMLINK:-}" = skip ] || link_tools
}

# kubectl and ctr under their own names, where nobody else has them.
link_tools() {
    for tool in kubectl ctr; do
        if [ "${INSTALL_K3PY_SYMLINK:-}" = force ] || ! command -v "$tool" >/dev/null; then
            ln -sfn k3py "$bin_dir/$tool"
        fi
    done
}

# The image of packaging/examples/hello.yaml, made of Debian's static busybox: the first container needs no registry.
install_images() {
    images=$data_dir/agent/images
    mkdir -p "$images"
    if [ "$form" = file ]; then
        if ! cmp -s "$templates/images/hello.tar" "$images/hello.tar"; then
            cp "$templates/images/hello.tar" "$images/.hello.tar.new"
            mv "$images/.hello.tar.new" "$images/hello.tar"
        fi
        return 0
    fi
    busybox=$(command -v busybox)
    if [ -z "$(find "$images/hello.tar" -newer "$busybox" 2>/dev/null)" ]; then
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
        write_environment "$systemd_dir/$service.service.env"
        fill_in systemd/k3py.service "$systemd_dir/$service.service" 644
        systemctl daemon-reload
    elif [ -e /run/openrc ] && [ -x /sbin/openrc-run ]; then
        init=openrc
        write_environment "/etc/k3py/$service.env"
        fill_in openrc/k3py "/etc/init.d/$service" 755
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
    systemd) systemctl enable -q "$service" ;;
    openrc) rc-update add "$service" default >/dev/null ;;
    esac
    if [ "${INSTALL_K3PY_SKIP_START:-}" = true ]; then
        say "installed; not started"
        return 0
    fi
    verb=start
    [ -z "$changed" ] || verb=restart
    log_file=/var/log/k3py.log
    [ "$init" != openrc ] || log_file=/var/log/$service.log
    log_size=$(stat -c %s "$log_file" 2>/dev/null || echo 0)
    case $init in
    systemd)
        systemctl "$verb" "$service"
        stop_hint="systemctl stop $service"
        log_hint="journalctl -u $service"
        ;;
    openrc)
        rc-service "$service" "$verb"
        stop_hint="rc-service $service stop"
        log_hint=/var/log/$service.log
        ;;
    none)
        say "neither systemd nor OpenRC runs here: k3py runs in the background, and does not start at boot; log in /var/log/k3py.log"
        # shellcheck disable=SC2086 # flags are words
        "$lib_dir/k3py-supervise.sh" "$verb" "$bin_dir/k3py" $arguments
        stop_hint="$lib_dir/k3py-supervise.sh stop"
        log_hint=/var/log/k3py.log
        ;;
    esac
    rm -f "$lib_dir/installing"
    wait_ready
    # Versions that nobody runs any more.
    [ "$form" = clone ] || return 0
    find "$lib_dir" -mindepth 1 -maxdepth 1 -type d \( -name 'venv-*' -o -name 'k3py-*' \) \
        ! -path "$venv" ! -path "$target" -exec rm -rf {} +
}

is_ready() {
    if [ "$role" = agent ]; then
        # The node asks about itself, with its own certificate: it may see no other.
        node=$(sed -n 's/^current-context: system:node://p' "$kubeconfig")
        KUBECONFIG=$kubeconfig "$bin_dir/k3py" kubectl wait --for=condition=Ready "node/$node" --timeout=5s
        return
    fi
    KUBECONFIG=$kubeconfig "$bin_dir/k3py" kubectl get --raw /readyz || return
    [ "$part" = server ] ||
        KUBECONFIG=$kubeconfig "$bin_dir/k3py" kubectl wait --for=condition=Ready node --all --timeout=5s
}

# What the server said when it ended at its start; "" while it has not ended.
find_refusal() {
    case $init in
    systemd)
        [ "$(systemctl show -p NRestarts --value "$service")" = 0 ] ||
            journalctl -q -u "$service" -o cat -n 50 | grep '^k3py: ' | tail -n 1 | grep . || echo "k3py: it ended; $log_hint says why"
        ;;
    *) tail -c "+$((log_size + 1))" "$log_file" 2>/dev/null | grep -m 1 '^k3py: ' || true ;;
    esac
}

wait_ready() {
    say "waiting for the $part"
    limit=$(($(date +%s) + 120))
    until is_ready >/dev/null 2>&1; do
        if [ "$(date +%s)" -ge "$limit" ]; then
            [ "$init" = systemd ] || tail -n 20 "$log_file" >&2
            fail "the $part did not become Ready within 2 minutes; $log_hint says why"
        fi
        refusal=$(find_refusal)
        [ -z "$refusal" ] || fail "${refusal#k3py: } (it is tried again until it is stopped: $stop_hint)"
        sleep 0.5
    done
    if [ "$part" = agent ]; then
        say "the agent's node $node is Ready"
        say "Stop it with: $stop_hint (pods go on); remove it with: $service-uninstall.sh"
        return 0
    fi
    say "the $part is Ready. Try:"
    if [ "$part" = node ]; then
        say "  k3py kubectl apply -f $lib_dir/examples/hello.yaml"
        say "  k3py kubectl get pods"
    else
        say "  k3py kubectl get namespaces"
    fi
    say "Stop it with: $stop_hint (pods go on); remove it with: $service-uninstall.sh"
}

changed=
[ "${INSTALL_K3PY_FORCE_RESTART:-}" != true ] || changed=yes
check_settings
check_machine
if [ "$form" = file ]; then
    fetch_file
else
    find_python
    packages=$(missing_packages)
    # shellcheck disable=SC2086 # a list of packages
    [ -z "$packages" ] || apt_install $packages
    build_environment
    build_program
    new_program=$target/bin/k3py
fi
read_settings "$@"
install_program
install_images
install_service
start_service
