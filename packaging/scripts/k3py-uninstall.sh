#!/bin/sh
# Removes k3py with its data, as if it had never been here (I-41). Packages from Debian stay.
set -u
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
data_dir=${K3PY_DATA_DIR:-@DATA_DIR@}
bin_dir=@BIN_DIR@
lib_dir=@LIB_DIR@
systemd_dir=@SYSTEMD_DIR@
service=@SERVICE@

"$bin_dir/k3py-killall.sh"

if [ -d /run/systemd/system ]; then
    systemctl disable "$service" 2>/dev/null
    systemctl reset-failed "$service" 2>/dev/null
fi
rm -f "$systemd_dir/$service.service" "$systemd_dir/$service.service.env"
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ -x /sbin/rc-update ] && [ -e "/etc/init.d/$service" ]; then
    rc-update delete "$service" default 2>/dev/null
fi
rm -f "/etc/init.d/$service" "/etc/k3py/$service.env" "/var/log/$service.log" /var/log/k3py.log

# Another service of k3py's on this machine keeps what both share.
for other in "$systemd_dir"/k3py*.service /etc/init.d/k3py*; do
    if [ -e "$other" ]; then
        echo "$other is still there: the program and its data stay" >&2
        rm -f "$bin_dir/$service-uninstall.sh"
        exit 0
    fi
done

for tool in kubectl ctr; do
    case "$(readlink "$bin_dir/$tool" 2>/dev/null)" in
    "$bin_dir/k3py" | k3py) rm -f "$bin_dir/$tool" ;;
    esac
done
rm -f "$bin_dir/k3py"
# What is mounted below stays (K3s' rule).
remove() {
    if rm --help 2>&1 | grep -q one-file-system; then
        rm -rf --one-file-system "$@"
    else
        for path in "$@"; do
            [ ! -e "$path" ] || find "$path" -xdev -depth ! -type d -exec rm -f {} \; -o -xdev -depth -type d -exec rmdir {} \; 2>/dev/null
        done
    fi
}
remove /etc/k3py /run/k3py "$lib_dir" /var/lib/kubelet /var/log/pods /var/log/containers
for part in server agent data storage bin k3py.lock; do
    remove "${data_dir:?}/$part"
done
rmdir "$data_dir" 2>/dev/null
rmdir /var/lib/cni/networks /var/lib/cni/results /var/lib/cni 2>/dev/null
rm -f "$bin_dir/k3py-killall.sh" "$bin_dir/$service-uninstall.sh"
exit 0
