"""What certificates there are in a data dir, and how long they last (C-91). Blocking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from k3py.pki.errors import PkiError
from k3py.pki.tls import RENEW_BEFORE_DAYS

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

Status = Literal["OK", "WARNING", "EXPIRED", "NOT YET VALID"]
_DAY_S: Final = 86400
_USAGES: Final = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "ClientAuth",
    ExtendedKeyUsageOID.SERVER_AUTH: "ServerAuth",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One certificate of a file; a file may hold a chain."""

    file: Path
    subject: str
    usages: str
    starts: dt.datetime
    ends: dt.datetime

    def residual_s(self, now: dt.datetime) -> float:
        """Return how many seconds are left; negative = it has ended."""
        return (self.ends - now).total_seconds()

    def status(self, now: dt.datetime) -> Status:
        """Return how it stands; within 120 days of its end a leaf is renewed at the next start."""
        if now < self.starts:
            return "NOT YET VALID"
        if now > self.ends:
            return "EXPIRED"
        return "WARNING" if self.residual_s(now) < RENEW_BEFORE_DAYS * _DAY_S else "OK"


def list_certificates(data_dir: Path) -> list[Entry]:
    """Return all certificates of a server's or agent's data dir, by file.

    Raises:
        PkiError: a file cannot be read.
    """
    entries: list[Entry] = []
    for folder in (data_dir / "server" / "tls", data_dir / "agent"):
        for file in sorted(folder.rglob("*.crt")):
            try:
                found = x509.load_pem_x509_certificates(file.read_bytes())
            except OSError as error:
                raise PkiError(f"{file}: cannot be read: {error.strerror}") from error
            except ValueError as error:
                raise PkiError(f"{file}: is no certificate in PEM") from error
            entries += [_describe(file, one) for one in found]
    return entries


def _describe(file: Path, certificate: x509.Certificate) -> Entry:
    return Entry(
        file=file,
        subject=certificate.subject.rfc4514_string(),
        usages=",".join(_usages_of(certificate)),
        starts=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
    )


def _usages_of(certificate: x509.Certificate) -> list[str]:
    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return ["CertSign"]
    except x509.ExtensionNotFound:
        pass
    try:
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return []
    return [_USAGES.get(one, one.dotted_string) for one in extended]
