"""TLS between k3py's own parts: keys decide, dates do not (the argument is in docs/security.md, "Wrong clocks").

Both ends hold the cluster's authority and prove their own keys; a clock that stands at 1970 or 2099, or five years without power, changes
neither. Where a date means something (certificates of people and programs), the API server and the kubelet look at the leaf themselves.
"""

from __future__ import annotations

import _ssl
import datetime as dt
from typing import TYPE_CHECKING, Final

from k3py.util import clock

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, for which Python has no name
RENEW_BEFORE_DAYS: Final = 120
_DAY_S: Final = 86400
_SSL_TIME: Final = "%b %d %H:%M:%S %Y GMT"


def ignore_dates(context: ssl.SSLContext) -> None:
    """Have a context verify chains without looking at the clock; everything else is checked as before."""
    context.verify_flags |= _NO_CHECK_TIME


def is_valid_at(certificate: dict[str, object], now: dt.datetime) -> bool:
    """Say whether a verified leaf (as `ssl` tells it) is within its dates; one without dates is not."""
    starts, ends = (_read_time(certificate.get(key)) for key in ("notBefore", "notAfter"))
    return starts is not None and ends is not None and starts <= now <= ends


def find_renewal_s(certificate: Path) -> float:
    """Return in how many seconds a leaf should be renewed; negative when that time has passed. Blocking; loads nothing but `ssl`.

    Raises:
        OSError: it cannot be read (ssl.SSLError is one).
    """
    decoded: dict[str, object] = _ssl._test_decode_cert(str(certificate))  # type: ignore[attr-defined]  # noqa: SLF001 - Python shows no other way
    ends = _read_time(decoded.get("notAfter"))
    if ends is None:
        return 0.0
    return (ends - clock.now()).total_seconds() - RENEW_BEFORE_DAYS * _DAY_S


def _read_time(text: object) -> dt.datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return dt.datetime.strptime(text, _SSL_TIME).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
