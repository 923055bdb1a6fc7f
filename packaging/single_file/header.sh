#!/bin/sh
# k3py @VERSION@ for linux/@ARCHITECTURE@: a script, a static busybox, and a compressed tree of everything that k3py needs. The tree is unpacked
# once to <data-dir>/data/<hash>, and started from there. Made by packaging/build; look at it with `head -c @HEADER_BYTES@`.
set -u
hash=@HASH@
header_bytes=@HEADER_BYTES@
tool_bytes=@TOOL_BYTES@
payload_sha256=@PAYLOAD_SHA256@
unpacked_kib=@UNPACKED_KIB@

fail() {
    echo "k3py: $*" >&2
    exit 1
}

case $0 in
*/*) self=$0 ;;
*) self=$(command -v "$0") || fail "$0: not found on the PATH" ;;
esac
# Called by another name (a link): that command.
case ${0##*/} in
kubectl) set -- kubectl "$@" ;;
ctr) set -- ctr "$@" ;;
esac

# Where to unpack: as for the server, of which this is the first step. Flag, environment, file, default.
find_data_dir() {
    previous=
    for word in "$@"; do
        case $previous in
        --data-dir | -d)
            echo "$word"
            return
            ;;
        esac
        case $word in
        --data-dir=*)
            echo "${word#*=}"
            return
            ;;
        --) break ;;
        esac
        previous=$word
    done
    if [ -n "${K3PY_DATA_DIR:-}" ]; then
        echo "$K3PY_DATA_DIR"
        return
    fi
    file=${K3PY_CONFIG_FILE:-/etc/k3py/config.yaml}
    if [ -r "$file" ]; then
        named=$(sed -n 's/^"\{0,1\}data-dir"\{0,1\}: *"\{0,1\}\([^"#]*[^"# ]\).*/\1/p' "$file" | tail -n 1)
        if [ -n "$named" ]; then
            echo "$named"
            return
        fi
    fi
    if [ "$(id -u)" -eq 0 ]; then
        echo /var/lib/k3py
    else
        echo "${HOME:-/tmp}/.k3py"
    fi
}

# Into a folder of its own first: whoever is interrupted leaves nothing that looks whole.
unpack() {
    new=$data/.new-$$
    trap 'rm -rf "$new"' EXIT
    trap 'exit 1' HUP INT TERM
    { mkdir -p "$data" && mkdir "$new"; } || fail "cannot write below $data (--data-dir)"
    for old in "$data"/.new-*; do
        [ -d "/proc/${old##*-}" ] || rm -rf "$old"
    done
    free_kib=$(df -Pk "$data" | awk 'NR == 2 {print $4}')
    [ "${free_kib:-$unpacked_kib}" -ge "$unpacked_kib" ] ||
        fail "$data has ${free_kib} KiB free, k3py needs $unpacked_kib KiB there (--data-dir)"
    tail -c "+$((header_bytes + 1))" "$self" | head -c "$tool_bytes" >"$new/busybox" || fail "cannot write to $new"
    chmod 755 "$new/busybox"
    "$new/busybox" true || fail "programs cannot run below $data (is it mounted noexec?), or this machine is not @ARCHITECTURE@"
    payload() { tail -c "+$((header_bytes + tool_bytes + 1))" "$self"; }
    found=$(payload | "$new/busybox" sha256sum)
    [ "${found%% *}" = "$payload_sha256" ] ||
        fail "$self is damaged (sha256 of its content ${found%% *}, should be $payload_sha256): get it again"
    mkdir "$new/tree"
    payload | "$new/busybox" unxz | "$new/busybox" tar x -C "$new/tree" || fail "cannot unpack below $data"
    [ -e "$new/tree/.complete" ] || fail "cannot unpack below $data: is the disk full?"
    # On the disk before the name says that it is whole.
    "$new/busybox" sync
    "$new/busybox" mv -T "$new/tree" "$data/$hash" 2>/dev/null || [ -e "$data/$hash/.complete" ] ||
        fail "cannot rename $new/tree to $data/$hash"
    rm -rf "$new"
    trap - EXIT HUP INT TERM
}

system=/var/lib/k3py/data/$hash
data_dir=$(find_data_dir "$@")
data=$data_dir/data
if [ -e "$data/$hash/.complete" ]; then
    root=$data/$hash
elif [ "$(id -u)" -ne 0 ] && [ -r "$system/.complete" ]; then
    root=$system
else
    unpack
    root=$data/$hash
fi
PATH=$root/bin:${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}
K3PY_BUNDLE=$root
K3PY_FILE=$self
export PATH K3PY_BUNDLE K3PY_FILE
exec "$root/lib/@LOADER@" --library-path "$root/lib" --argv0 "$root/libexec/@PYTHON@" "$root/libexec/@PYTHON@" -I -S -B "$root/packages" "$@"
