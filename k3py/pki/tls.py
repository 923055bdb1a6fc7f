"""TLS between k3py's own parts: keys decide, dates do not (the argument is in docs/security.md, "Wrong clocks").

Both ends hold the cluster's authority and prove their own keys; a clock that stands at 1970 or 2099, or five years without power, changes
neither. Where a date means something (certificates of people and programs), the API server and the kubelet look at the leaf themselves.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, for which Python has no name
_SSL_TIME: Final = "%b %d %H:%M:%S %Y GMT"


def ignore_dates(context: ssl.SSLContext) -> None:
    """Have a context verify chains without looking at the clock; everything else is checked as before."""
    context.verify_flags |= _NO_CHECK_TIME


def is_valid_at(certificate: dict[str, object], now: dt.datetime) -> bool:
    """Say whether a verified leaf (as `ssl` tells it) is within its dates; one without dates is not."""
    starts, ends = (_read_time(certificate.get(key)) for key in ("notBefore", "notAfter"))
    return starts is not None and ends is not None and starts <= now <= ends


def _read_time(text: object) -> dt.datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return dt.datetime.strptime(text, _SSL_TIME).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
