#!/bin/sh
# Keeps `k3py server` running where no init system does. Stop it with `k3py-supervise.sh stop`; pods go on.
set -u
state=/run/k3py
pidfile=$state/supervise.pid
log=/var/log/k3py.log

running() {
    [ -r "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null
}

case "${1:-}" in
start)
    shift
    running && exit 0
    mkdir -p "$state"
    touch "$log" && chmod 600 "$log"
    setsid "$0" loop "$@" >>"$log" 2>&1 </dev/null &
    exit 0
    ;;
stop)
    running || exit 0
    pid=$(cat "$pidfile")
    kill -TERM "$pid"
    # k3py gives its parts 30 s to stop.
    waited=0
    while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt 45 ]; do
        sleep 1
        waited=$((waited + 1))
    done
    ! kill -0 "$pid" 2>/dev/null
    ;;
status)
    running && echo "running, process $(cat "$pidfile")" || { echo "not running"; exit 3; }
    ;;
loop)
    shift
    echo $$ >"$pidfile"
    child=
    trap 'trap - TERM INT; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null && wait "$child"; rm -f "$pidfile"; exit 0' TERM INT
    while :; do
        "$@" &
        child=$!
        wait "$child"
        child=
        sleep 5 &
        wait $!
    done
    ;;
*)
    echo "usage: $0 start COMMAND [ARGUMENT ...] | stop | status" >&2
    exit 2
    ;;
esac
