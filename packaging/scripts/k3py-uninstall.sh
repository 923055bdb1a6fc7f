#!/bin/sh
# Removes k3py with its data, as if it had never been here (I-41). Packages from Debian stay.
set -u
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
data_dir=${K3PY_DATA_DIR:-@DATA_DIR@}
bin_dir=@BIN_DIR@
systemd_dir=@SYSTEMD_DIR@

"$bin_dir/k3py-killall.sh"

if [ -d /run/systemd/system ]; then
    systemctl disable k3py 2>/dev/null
    systemctl reset-failed k3py 2>/dev/null
fi
rm -f "$systemd_dir/k3py.service" "$systemd_dir/k3py.service.env"
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ -x /sbin/rc-update ] && [ -e /etc/init.d/k3py ]; then
    rc-update delete k3py default 2>/dev/null
fi
rm -f /etc/init.d/k3py /var/log/k3py.log

for tool in kubectl ctr; do
    case "$(readlink "$bin_dir/$tool" 2>/dev/null)" in
    "$bin_dir/k3py" | k3py) rm -f "$bin_dir/$tool" ;;
    esac
done
rm -f "$bin_dir/k3py"
# What is mounted below stays (K3s' rule).
rm -rf --one-file-system /etc/k3py /run/k3py /usr/local/lib/k3py /var/lib/kubelet /var/log/pods /var/log/containers
for part in server agent data storage bin k3py.lock; do
    rm -rf --one-file-system "${data_dir:?}/$part"
done
rmdir "$data_dir" 2>/dev/null
rmdir /var/lib/cni/networks /var/lib/cni/results /var/lib/cni 2>/dev/null
rm -f "$bin_dir/k3py-killall.sh" "$bin_dir/k3py-uninstall.sh"
exit 0
