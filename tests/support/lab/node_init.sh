#!/bin/bash
# First process of a lab node: builds the node's root and becomes its init.
#
#   node_init.sh NAME DISK SHARED PROJECT PAUSE CGROUP LOWER [INIT…]
#
# NAME     host name
# DISK     folder on a real disk: var-lib-… binds, survives a restart of the node
# SHARED   folder that is at the same path inside and outside
# PROJECT  the source tree, at the same path inside
# PAUSE    a program that waits and reaps: it becomes the first process
# CGROUP   this node's group below each hierarchy
# LOWER    what the root's overlay lies on: "/", or folders with ":" between
# INIT     the first process' command line instead of PAUSE
#
# File descriptor 3 gets "ready" at the end.
set -euo pipefail
name=$1 disk=$2 shared=$3 project=$4 pause=$5 group=$6 lower=$7

# Own control groups: enter them, then a namespace whose root they are.
if [ -z "${K3PY_LAB_STAGE:-}" ]; then
  export K3PY_LAB_STAGE=2
  exec unshare --cgroup -- /bin/bash "$0" "$@"
fi

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$disk/mnt"
mkdir "$disk/mnt/upper" "$disk/mnt/work" "$disk/mnt/root"
root=$disk/mnt/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$disk/mnt/upper,workdir=$disk/mnt/work" "$root"

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/netns" "$root/run/lock"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir -p "$root$shared" "$root$project"
mount --bind "$shared" "$root$shared"
mount --bind "$project" "$root$project"
for folder in var/lib/k3py var/lib/kubelet var/lib/containerd var/lib/cni var/log etc/k3py etc/cni; do
  mkdir -p "$root/$folder" "$disk/$folder"
  mount --bind "$disk/$folder" "$root/$folder"
done

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  # A group with processes cannot hand on controllers: they move into a leaf.
  mkdir -p "$root/sys/fs/cgroup/init"
  for pid in $(cat "$root/sys/fs/cgroup/cgroup.procs"); do echo "$pid" > "$root/sys/fs/cgroup/init/cgroup.procs" || true; done
  for controller in $(cat "$root/sys/fs/cgroup/cgroup.controllers"); do
    echo "+$controller" > "$root/sys/fs/cgroup/cgroup.subtree_control"
  done
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  for hierarchy in /sys/fs/cgroup/*/; do
    hierarchy=$(basename "$hierarchy")
    mkdir "$root/sys/fs/cgroup/$hierarchy"
    case $hierarchy in
      unified) mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified" ;;
      systemd) mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd" ;;
      *) mount -t cgroup -o "$hierarchy" cgroup "$root/sys/fs/cgroup/$hierarchy" ;;
    esac
  done
fi

echo "$name" > "$root/etc/hostname"
hostname "$name"
rm -f "$root/etc/resolv.conf"
echo "nameserver 127.0.0.1" > "$root/etc/resolv.conf"  # nobody there: a look-up fails at once
printf '127.0.0.1 localhost\n' > "$root/etc/hosts"
cp "$pause" "$root/run/lab-init"
echo "$name" > "$root/run/lab-name"

cd "$root"
mkdir -p run/old
pivot_root . run/old
umount -l /run/old
hash -r
mount --make-rshared /
echo 1 > /proc/sys/net/ipv4/ip_forward
ip link set lo up
mount --make-private /run/netns 2>/dev/null || true

exec 3>&3
echo ready >&3
exec 3>&-
shift 7
[ $# -gt 0 ] || exec /run/lab-init
export container=lab
exec "$@"
