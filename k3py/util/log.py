"""Sets up standard logging: one line a record, constant messages, details as key=value behind them (STYLE §2.4)."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO server.listener listening port=6443`."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(short_name)s %(message)s%(details)s")

    @staticmethod
    def converter(seconds: float | None) -> object:  # type: ignore[override] # the base class says struct_time
        """Return UTC, not local time."""
        import time  # noqa: PLC0415 - only the pure conversion is used

        return time.gmtime(seconds)

    def format(self, record: logging.LogRecord) -> str:
        """Format a record with its `extra` fields appended."""
        record.short_name = record.name.removeprefix("k3py.")
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        extra.pop("short_name", None)
        extra.pop("details", None)
        record.details = "".join(f" {key}={_shown(value)}" for key, value in extra.items())
        return super().format(record)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if not text or any(char.isspace() or char in '"=' for char in text):
        return json.dumps(text)
    return text


def set_up_logging(*, debug: bool = False, file: Path | None = None) -> None:
    """Send all records of this process to standard error or to `file` (opened for append, 0600 when new)."""
    if file is None:
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
    else:
        file.touch(mode=0o600, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for noisy in ("aiosqlite", "asyncio", "grpclib", "hpack", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
