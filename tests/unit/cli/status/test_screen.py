"""The screen of `k3py status`."""

import datetime as dt
import sys

from k3py.cli.printing import align, paint
from k3py.cli.status.screen import render

NOW = dt.datetime(2026, 1, 1, 1, tzinfo=dt.UTC)
NODE = {
    "name": "n1", "state": "Ready", "problems": [], "roles": ["control-plane"], "address": "192.0.2.1", "version": "v1.35.0+k3py",
    "since": "2026-01-01T00:00:00Z", "pods": 3, "podsMax": 110, "cpuRequestedMillis": 250, "cpuMillis": 2000,
    "memoryRequestedBytes": 1 << 29, "memoryBytes": 1 << 30,
}  # fmt: skip
STATUS = {
    "server": "https://127.0.0.1:6443",
    "version": "v1.35.0",
    "ready": True,
    "failing": {},
    "servers": [{"address": "192.0.2.1:6443", "node": "n1", "ready": True}],
    "nodes": [NODE],
    "pods": {"Running": 2, "Pending": 1},
    "waiting": [{"object": "pod/web", "namespace": "shop", "state": "Pending", "why": "no cpu", "since": "2026-01-01T00:59:00Z"}],
}


def test_a_screen():
    assert render(STATUS, NOW).splitlines() == [
        "https://127.0.0.1:6443  Kubernetes v1.35.0  ready",
        "",
        "SERVERS",
        "  192.0.2.1:6443  n1  Ready",
        "",
        "NODES",
        "  NAME  STATUS  ROLES          ADDRESS    VERSION       AGE  PODS   CPU ASKED  MEMORY ASKED",
        "  n1    Ready   control-plane  192.0.2.1  v1.35.0+k3py  60m  3/110  0.25/2     0.5/1.0 GiB",
        "",
        "PODS  3: 2 Running, 1 Pending",
        "",
        "WAITING",
        "  shop/pod/web  Pending  60s  no cpu",
    ]


def test_nothing_waits_and_what_fails_is_said():
    failing = {"failing": {"etcd": "the server's log says why"}, "ready": False, "waiting": [], "pods": {}}
    text = render(STATUS | failing, NOW)
    assert "not ready\n  failing  etcd: the server's log says why" in text
    assert "PODS  0\n\nNothing waits." in text


def test_colours_do_not_move_columns(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint("Ready", "green") == "\x1b[32mReady\x1b[0m"
    lines = align([["STATUS", "X"], [paint("Ready", "green"), "y"]])
    assert lines == ["STATUS  X", "\x1b[32mReady\x1b[0m   y"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("Ready", "green") == "Ready"
