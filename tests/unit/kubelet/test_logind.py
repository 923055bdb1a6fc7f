"""The delay lock of systemd-logind, played by a service on a bus of the test's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading

import pytest
from jeepney import (
    DBusAddress,
    HeaderFields,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import open_dbus_connection

from k3py.kubelet.logind import LogindInhibitor
from k3py.kubelet.shutdown import InhibitorFailed

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon")


class Logind(threading.Thread):
    """org.freedesktop.login1 and systemd1, as far as they are asked."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.calls = []
        self.longest_us = 5_000_000
        self.lock, self._given = os.pipe()
        self._bus = open_dbus_connection(address, enable_fds=True)
        for name in ("org.freedesktop.login1", "org.freedesktop.systemd1"):
            self._bus.send_and_get_reply(message_bus.RequestName(name))

    def run(self):
        while True:
            try:
                message = self._bus.receive()
            except (OSError, ConnectionError):
                return
            if message.header.message_type == MessageType.method_call:
                self._bus.send(self._answer(message, message.header.fields[HeaderFields.member]))

    def _answer(self, message, member):
        self.calls.append((member, *message.body))
        if member == "Get":
            return new_method_return(message, "v", (("t", self.longest_us),))
        if member == "KillUnit":
            self.longest_us = 60_000_000
            return new_method_return(message)
        if member == "Inhibit":
            return new_method_return(message, "h", (self._given,))
        return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")

    def tell(self, *, begins):
        path = DBusAddress("/org/freedesktop/login1", interface="org.freedesktop.login1.Manager")
        self._bus.send(new_signal(path, "PrepareForShutdown", "b", (begins,)))

    def close(self):
        self._bus.close()
        for one in (self.lock, self._given):
            if one >= 0:
                os.close(one)

    def is_held(self):
        """Say whether anybody but us has the other end of the lock."""
        os.set_blocking(self.lock, False)
        if self._given >= 0:
            os.close(self._given)
            self._given = -1
        try:
            return os.read(self.lock, 1) != b""
        except BlockingIOError:
            return True


@pytest.fixture
def logind(short_path):
    address = f"unix:path={short_path}/bus"
    command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}", "--print-address"]
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    service = None
    try:
        assert daemon.stdout.readline()
        service = Logind(address)
        service.start()
        yield address, service
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
        daemon.stdout.close()
        if service is not None:
            service.join(timeout=30)
            service.close()


async def test_the_lock_is_held_until_it_is_released_and_shutdowns_are_told(logind, short_path):
    address, service = logind
    settings = short_path / "logind.conf.d/99-k3py.conf"
    inhibitor = LogindInhibitor(address, settings)
    await inhibitor.inhibit(30.0)
    assert "InhibitDelayMaxSec=30" in settings.read_text()
    assert [one[0] for one in service.calls] == ["Get", "KillUnit", "Get", "Inhibit"]
    assert service.calls[-1][1:] == ("shutdown", "k3py", "the kubelet needs time to end pods", "delay")
    events = inhibitor.events()
    async with asyncio.timeout(30):
        for begins in (True, False):
            service.tell(begins=begins)
            assert await anext(events) is begins
    assert service.is_held()
    inhibitor.release()
    assert not service.is_held()
    await events.aclose()


async def test_a_logind_that_will_not_wait_so_long_is_told(logind, short_path):
    address, _service = logind
    inhibitor = LogindInhibitor(address, short_path / "x.conf")
    with pytest.raises(InhibitorFailed, match=r"waits for 60 s at most, shutdownGracePeriod is 90 s"):
        await inhibitor.inhibit(90.0)


async def test_no_bus_is_told(short_path):
    with pytest.raises(InhibitorFailed, match="systemd-logind cannot be asked to wait"):
        await LogindInhibitor(f"unix:path={short_path}/nothing").inhibit(1.0)
