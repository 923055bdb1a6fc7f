#!/bin/sh
# Keeps `k3py server` running where no init system does. Stop it with `k3py-supervise.sh stop`; pods go on.
set -u
state=/run/k3py
pidfile=$state/supervise.pid
childfile=$state/supervised.pid
log=/var/log/k3py.log

running() {
    [ -r "$pidfile" ] || return 1
    pid=$(cat "$pidfile")
    # The number may belong to something else by now.
    { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q "k3py-supervise.sh loop"
}

# A server whose supervisor was killed: nobody would start it again, and it keeps a new one off its data.
end_orphan() {
    [ -r "$childfile" ] || return 0
    orphan=$(cat "$childfile")
    limit=$(($(date +%s) + 45))
    while { tr '\0' ' ' <"/proc/$orphan/cmdline"; } 2>/dev/null | grep -q k3py; do
        if [ "$(date +%s)" -ge "$limit" ]; then
            kill -KILL "$orphan" 2>/dev/null
        else
            kill -TERM "$orphan" 2>/dev/null
        fi
        sleep 0.5
    done
    rm -f "$childfile"
}

start() {
    running && exit 0
    end_orphan
    mkdir -p "$state"
    touch "$log" && chmod 600 "$log"
    setsid "$0" loop "$@" >>"$log" 2>&1 </dev/null &
    until running; do sleep 0.1; done
}

stop() {
    if ! running; then
        end_orphan
        return 0
    fi
    kill -TERM "$pid"
    # k3py gives its parts 30 s to stop.
    limit=$(($(date +%s) + 45))
    while kill -0 "$pid" 2>/dev/null; do
        if [ "$(date +%s)" -ge "$limit" ]; then
            echo "k3py does not stop, killing it" >&2
            # shellcheck disable=SC2046 # a list of numbers
            kill -KILL $(cat "/proc/$pid/task/"*/children 2>/dev/null) 2>/dev/null
            kill -KILL "$pid"
            rm -f "$pidfile"
            return 0
        fi
        sleep 0.1
    done
}

# NAME=VALUE lines, as they are: not for a shell to interpret.
load_environment() {
    [ -r /etc/k3py/k3py.env ] || return 0
    while IFS= read -r line; do
        export "${line?}"
    done </etc/k3py/k3py.env
}

loop() {
    echo $$ >"$pidfile"
    load_environment
    child=
    trap 'trap "" TERM INT; [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null; wait "$child"; }; rm -f "$pidfile"; exit 0' TERM INT
    while :; do
        "$@" &
        child=$!
        echo "$child" >"$childfile"
        wait "$child"
        echo "k3py ended with code $?; starting it again in 5 s"
        sleep 5 &
        child=$!
        wait "$child"
        child=
    done
}

case "${1:-}" in
start)
    shift
    start "$@"
    ;;
restart)
    shift
    stop
    start "$@"
    ;;
stop) stop ;;
status)
    if running; then
        echo "running, process $pid"
    else
        echo "not running"
        exit 3
    fi
    ;;
loop)
    shift
    loop "$@"
    ;;
*)
    echo "usage: $0 start|restart COMMAND [ARGUMENT ...] | stop | status" >&2
    exit 2
    ;;
esac
