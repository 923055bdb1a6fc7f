"""systemd-logind's delay locks, over D-Bus: the node's door to jeepney.

Source: systemd.io/INHIBITOR_LOCKS, org.freedesktop.login1(5); pkg/kubelet/nodeshutdown/systemd/inhibit_linux.go v1.35.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jeepney import DBusAddress, MatchRule, MessageType, Properties, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusErrorResponse

from k3py.kubelet.shutdown import InhibitorFailed
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_LOGIND: Final = DBusAddress(
    "/org/freedesktop/login1", bus_name="org.freedesktop.login1", interface="org.freedesktop.login1.Manager"
)
_SYSTEMD: Final = DBusAddress(
    "/org/freedesktop/systemd1",
    bus_name="org.freedesktop.systemd1",
    interface="org.freedesktop.systemd1.Manager",
)
_SIGHUP: Final = 1
_CALL_S: Final = 30.0
SETTINGS: Final = Path("/etc/systemd/logind.conf.d/99-k3py.conf")


class LogindInhibitor:
    """A delay lock on shutdowns.

    Args:
        bus: of D-Bus; "SYSTEM", or an address.
        settings: where logind is told to wait for longer than it does by itself.
    """

    def __init__(self, bus: str = "SYSTEM", settings: Path = SETTINGS) -> None:
        self._bus = bus
        self._settings = settings
        self._connection: DBusConnection | None = None
        self._lock: int | None = None

    async def inhibit(self, seconds: float) -> None:
        """Hold up a shutdown for at most `seconds`. Raises InhibitorFailed."""
        self.release()
        try:
            await asyncio.to_thread(self._inhibit, seconds)
        except (OSError, DBusErrorResponse, KeyError, ValueError, TimeoutError) as error:
            self._close()
            raise InhibitorFailed(f"systemd-logind cannot be asked to wait: {error}") from error

    def release(self) -> None:
        """Let the machine go."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def events(self) -> AsyncGenerator[bool]:
        """Yield whether a shutdown begins (True) or was called off. Raises InhibitorFailed."""
        connection = self._connection
        if connection is None:
            raise InhibitorFailed("systemd-logind is not connected")
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(connection.sock.fileno(), arrived.set)
        try:
            while True:
                for begins in self._read(connection):
                    yield begins
                await arrived.wait()
                arrived.clear()
        except (OSError, ConnectionError) as error:
            raise InhibitorFailed(f"systemd-logind is lost: {error}") from error
        finally:
            loop.remove_reader(connection.sock.fileno())
            self.release()
            self._close()

    def _read(self, connection: DBusConnection) -> list[bool]:
        """Return what has arrived, without waiting."""
        found: list[bool] = []
        while True:
            try:
                message = connection.receive(timeout=0)
            except TimeoutError:
                return found
            fields = {key.name: value for key, value in message.header.fields.items()}
            is_signal = message.header.message_type == MessageType.signal
            if is_signal and fields.get("member") == "PrepareForShutdown":
                found.append(bool(message.body[0]))

    def _inhibit(self, seconds: float) -> None:
        self._connection = self._connection or open_dbus_connection(self._bus, enable_fds=True)
        rule = MatchRule(
            type="signal", interface="org.freedesktop.login1.Manager", member="PrepareForShutdown"
        )
        self._call(message_bus.AddMatch(rule))
        if self._longest_s() < seconds:
            text = f"# Written by k3py: the kubelet's shutdownGracePeriod.\n[Login]\nInhibitDelayMaxSec={int(seconds)}\n"
            self._settings.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._settings, text.encode(), mode=0o644)
            kill = ("systemd-logind.service", "all", _SIGHUP)
            self._call(new_method_call(_SYSTEMD, "KillUnit", "ssi", kill))
            if self._longest_s() < seconds:
                raise ValueError(
                    f"it waits for {self._longest_s():g} s at most, shutdownGracePeriod is {seconds:g} s"
                )
        reasons = ("shutdown", "k3py", "the kubelet needs time to end pods", "delay")
        (lock,) = self._call(new_method_call(_LOGIND, "Inhibit", "ssss", reasons))
        self._lock = lock.to_raw_fd()

    def _longest_s(self) -> float:
        ((_, value),) = self._call(Properties(_LOGIND).get("InhibitDelayMaxUSec"))
        return float(value) / 1_000_000

    def _call(self, message: Any) -> Any:
        connection = self._connection
        if connection is None:
            raise KeyError("no connection")
        reply = connection.send_and_get_reply(message, timeout=_CALL_S)
        if reply.header.message_type == MessageType.error:
            raise DBusErrorResponse(reply)
        return reply.body

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
