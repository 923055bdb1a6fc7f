#!/bin/sh
# Removes k3py with its data, as if it had never been here (I-41). Packages from Debian stay.
set -u
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
data_dir=${K3PY_DATA_DIR:-/var/lib/k3py}
bin_dir=@BIN_DIR@

"$bin_dir/k3py-killall.sh"

if [ -d /run/systemd/system ]; then
    systemctl disable k3py 2>/dev/null
    systemctl reset-failed k3py 2>/dev/null
fi
rm -f /etc/systemd/system/k3py.service /etc/systemd/system/k3py.service.env
[ -d /run/systemd/system ] && systemctl daemon-reload
if [ -x /sbin/rc-update ]; then
    rc-update delete k3py default 2>/dev/null
fi
rm -f /etc/init.d/k3py /etc/logrotate.d/k3py /var/log/k3py.log

for tool in kubectl ctr; do
    [ -L "$bin_dir/$tool" ] && [ "$(readlink "$bin_dir/$tool")" = "$bin_dir/k3py" ] && rm -f "$bin_dir/$tool"
done
rm -f "$bin_dir/k3py"
rm -rf --one-file-system /etc/k3py /run/k3py "$data_dir" /usr/local/lib/k3py
rm -f "$bin_dir/k3py-killall.sh" "$bin_dir/k3py-uninstall.sh"
exit 0
