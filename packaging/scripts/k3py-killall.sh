#!/bin/sh
# Stops k3py and every pod, and takes back mounts, interfaces and rules. Data stays (I-40).
set -u
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
data_dir=${K3PY_DATA_DIR:-/var/lib/k3py}

# The service first, so that nothing is started again.
if [ -d /run/systemd/system ]; then
    for unit in /etc/systemd/system/k3py*.service; do
        [ -e "$unit" ] && systemctl stop "$(basename "$unit")"
    done
elif [ -x /sbin/rc-service ] && [ -e /etc/init.d/k3py ]; then
    rc-service k3py stop
elif [ -x /usr/local/lib/k3py/k3py-supervise.sh ]; then
    /usr/local/lib/k3py/k3py-supervise.sh stop
fi

# Shims of our containerd with all that runs below them: they name our socket on their command line.
children() {
    for child in $(ps -o pid= --ppid "$1" 2>/dev/null); do
        children "$child"
        echo "$child"
    done
}
shims() {
    for process in /proc/[0-9]*; do
        tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q "containerd-shim.*/run/k3py/containerd" && echo "${process#/proc/}"
    done
}
for shim in $(shims); do
    # shellcheck disable=SC2046 # a list of numbers
    kill -KILL $(children "$shim") "$shim" 2>/dev/null
done
pkill -KILL -f "containerd .*$data_dir/agent/etc/containerd" 2>/dev/null

unmount_below() {
    for mount in $(awk -v top="$1" 'index($2, top) == 1 {print $2}' /proc/self/mounts | sort -r); do
        umount -l "$mount"
    done
}
for top in /run/k3py "$data_dir/agent/containerd" "$data_dir/agent/kubelet" "$data_dir/kubelet" /var/lib/kubelet/pods /run/netns/cni-; do
    unmount_below "$top"
done
for netns in /run/netns/cni-*; do
    [ -e "$netns" ] && ip netns delete "$(basename "$netns")"
done
ip -o link show master cni0 2>/dev/null | awk -F': ' '{sub(/@.*/, "", $2); print $2}' | while read -r link; do
    ip link delete "$link"
done
ip link delete cni0 2>/dev/null
nft delete table inet k3py 2>/dev/null
nft delete table ip k3py 2>/dev/null
nft delete table ip6 k3py 2>/dev/null
# Rules of the CNI plugins (portmap, masquerade).
if command -v iptables-save >/dev/null 2>&1; then
    iptables-save 2>/dev/null | grep -v 'CNI-' | iptables-restore 2>/dev/null
fi
rm -rf /var/lib/cni/networks/k3py /var/lib/cni/results /run/k3py
# Control groups of pods, leaves first.
find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null
exit 0
