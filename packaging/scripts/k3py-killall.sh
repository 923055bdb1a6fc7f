#!/bin/sh
# Stops k3py and every pod, and takes back mounts, interfaces and rules. Data stays (I-40).
set -u
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
data_dir=${K3PY_DATA_DIR:-@DATA_DIR@}
# Where k3py is the single file, nft and ip may be nowhere else.
for folder in "$data_dir"/data/*/bin; do
    [ ! -d "$folder" ] || PATH=$PATH:$folder
done

# The service first, so that nothing is started again.
if [ -d /run/systemd/system ]; then
    for unit in @SYSTEMD_DIR@/k3py*.service; do
        [ ! -e "$unit" ] || systemctl stop "$(basename "$unit")"
    done
elif [ -x /sbin/rc-service ] && ls /etc/init.d/k3py* >/dev/null 2>&1; then
    for script in /etc/init.d/k3py*; do
        rc-service "$(basename "$script")" stop
    done
elif [ -x @LIB_DIR@/k3py-supervise.sh ]; then
    @LIB_DIR@/k3py-supervise.sh stop
fi

command_line() { { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null; }

# Shims of our containerd name our socket on their command line, containerd itself its configuration.
ours() {
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        case "$(command_line "$pid")" in
        *containerd-shim*" /run/k3py/containerd/"* | *"containerd --config $data_dir/agent/"*) echo "$pid" ;;
        esac
    done
}

family() { # PID: it, its children, theirs
    echo "$1"
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null || ps -o pid= --ppid "$1" 2>/dev/null); do
        family "$child"
    done
}

wait_gone() { # PID...: until they are gone or have no command line any more; 10 s at most
    limit=$(($(date +%s) + 10))
    for pid in "$@"; do
        while [ -n "$(command_line "$pid")" ] && [ "$(date +%s)" -lt "$limit" ]; do
            sleep 0.05
        done
    done
}

doomed=$(for pid in $(ours); do family "$pid"; done)
if [ -n "$doomed" ]; then
    # shellcheck disable=SC2086 # a list of numbers
    kill -KILL $doomed 2>/dev/null
    # shellcheck disable=SC2086
    wait_gone $doomed
fi

# Shims' sockets lie outside of our folder; who owned them says where (containerd 1 in "address", 2 in "bootstrap.json").
for task in /run/k3py/containerd/io.containerd.runtime.v2.task/*/*; do
    for socket in $(cat "$task/address" 2>/dev/null) $(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$task/bootstrap.json" 2>/dev/null); do
        rm -f "${socket#unix://}"
    done
done
rmdir /run/containerd/s /run/containerd 2>/dev/null

mounts_below() { # PREFIX: mount points, the deepest first; spaces in them are \040, which printf turns back
    awk -v top="$1" 'index($2, top) == 1 {print $2}' /proc/self/mounts | sort -r | while read -r mount; do
        printf '%b\n' "$mount"
    done
}
for top in /run/k3py "$data_dir/agent/containerd" /var/lib/kubelet/pods /var/lib/kubelet/plugins; do
    mounts_below "$top" | while IFS= read -r mount; do umount -l "$mount"; done
done
for netns in /run/netns/cni-*; do
    if [ -e "$netns" ]; then
        umount -l "$netns" 2>/dev/null
        rm -f "$netns"
    fi
done
ip -o link show master cni0 2>/dev/null | awk -F': ' '{sub(/@.*/, "", $2); print $2}' | while read -r link; do
    ip link delete "$link"
done
ip link delete cni0 2>/dev/null
ip link delete k3py.1 2>/dev/null

# cni_hostport is portmap's, where it has no iptables.
nft list tables 2>/dev/null | while read -r _ family table; do
    case "$table" in k3py | k3py-* | cni_hostport) nft delete table "$family" "$table" ;; esac
done
# Rules of the CNI plugins (masquerade, portmap), in either flavour of iptables; everything else stays.
for save in iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save; do
    command -v "$save" >/dev/null || continue
    rules=$("$save" 2>/dev/null)
    case "$rules" in
    *CNI-*) echo "$rules" | grep -v 'CNI-' | "${save%-save}-restore" ;;
    esac
done
# iptables leaves its tables behind when they have become empty; without a rule, a chain or a policy they say nothing.
for family in ip ip6; do
    for table in nat filter; do
        text=$(nft list table "$family" "$table" 2>/dev/null) || continue
        echo "$text" | grep -vqE '^#|^table |^[[:space:]]*(chain [A-Z]+ \{|type .* policy accept;|\})?$' ||
            nft delete table "$family" "$table"
    done
done

# Control groups of pods, leaves first.
find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} \; 2>/dev/null
rm -rf /var/lib/cni/networks/k3py /run/k3py
# What libcni keeps of each pod: for its interface, and for the loopback that containerd adds.
for file in /var/lib/cni/results/k3py-*; do
    sandbox=${file##*/k3py-}
    sandbox=${sandbox%%-*}
    [ ! -e "$file" ] || rm -f "$file" "/var/lib/cni/results/cni-loopback-$sandbox-lo"
done
exit 0
