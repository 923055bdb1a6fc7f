"""Brings the key and certificate files of a server to where they should be: made when missing, renewed when due (J-85, J-86).

A leaf that is renewed keeps its key. Existing authorities and keys are never replaced; half a pair is an error, since making a new
authority would lock out every node that trusts the old one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from k3py.pki.authority import KeyPair, find_leaf_fault, find_pair_fault, make_authority, make_key, sign_leaf
from k3py.pki.chain import find_root
from k3py.pki.errors import PkiError
from k3py.pki.layout import AUTHORITIES
from k3py.pki.service_account import make_service_account_key
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from k3py.pki.layout import Leaf, PkiPaths

log = logging.getLogger(__name__)


def ensure_authorities(paths: PkiPaths) -> dict[str, KeyPair]:
    """Load the authorities, making those that are missing; also the service-account key. Blocking: call it off the loop.

    Raises:
        PkiError: a key without its certificate or the reverse, or a file that cannot be read or written.
    """
    paths.server_tls.mkdir(parents=True, exist_ok=True)
    paths.server_tls.chmod(0o700)
    paths.server_tls.parent.chmod(0o700)
    authorities = {}
    for name, prefix in AUTHORITIES.items():
        certificate = paths.authority(name)
        key = certificate.with_suffix(".key")
        if not certificate.exists() and not key.exists():
            certificate.parent.mkdir(mode=0o700, exist_ok=True)
            pair = make_authority(prefix)
            write_atomically(key, pair.key, mode=0o600)
            write_atomically(certificate, pair.certificate, mode=0o644)
            log.info("made a certificate authority", extra={"file": str(certificate)})
        authorities[name] = _load_pair(certificate, key)
    if not paths.service_account_key.exists():
        write_atomically(paths.service_account_key, make_service_account_key(), mode=0o600)
    return authorities


def ensure_leaves(authorities: Mapping[str, KeyPair], leaves: Iterable[Leaf]) -> list[Leaf]:
    """Make or renew the leaves that need it; return those that were written. Blocking: call it off the loop.

    Raises:
        PkiError: a file cannot be read or written.
    """
    written = []
    for leaf in leaves:
        leaf.path.parent.mkdir(parents=True, exist_ok=True)
        authority = authorities[leaf.authority]
        fault, key = "missing", b""
        if leaf.key.exists():
            key = _read(leaf.key)
            if leaf.certificate.exists():
                pair = KeyPair(certificate=_read(leaf.certificate), key=key)
                fault = find_leaf_fault(authority, leaf.request, pair)
        if not fault:
            continue
        if not key:
            key = make_key()
            write_atomically(leaf.key, key, mode=0o600)
        write_atomically(leaf.certificate, sign_leaf(authority, leaf.request, key=key), mode=0o644)
        log.info("made a certificate", extra={"file": str(leaf.certificate), "why": fault})
        written.append(leaf)
    return written


def _load_pair(certificate: Path, key: Path) -> KeyPair:
    for file, other in ((certificate, key), (key, certificate)):
        if not file.exists():
            raise PkiError(
                f"{file}: is missing while {other} exists: restore it, or remove both to start anew"
            )
    pair = KeyPair(certificate=_read(certificate), key=_read(key))
    fault = find_pair_fault(pair)
    if fault:
        raise PkiError(f"{certificate}, {key}: {fault}: restore both, or remove both to start anew")
    if find_root(pair.certificate) is None:
        raise PkiError(
            f"{certificate}: must hold one chain: the authority, then who signed it, up to the root"
        )
    return pair


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PkiError(f"{file}: cannot be read: {error.strerror}") from error
