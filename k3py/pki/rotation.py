"""New keys for leaves, new authorities, new keys for tokens: what `k3py certificate` changes while the server is stopped (C-89, C-90).

Old files are kept beside the new ones, in `server/tls-<time>`. Blocking.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509

from k3py.pki.authority import KeyPair, cross_sign, find_pair_fault, make_authority
from k3py.pki.chain import find_root
from k3py.pki.errors import PkiError
from k3py.pki.layout import AUTHORITIES
from k3py.pki.service_account import ServiceAccountKeys, make_service_account_key
from k3py.util import clock
from k3py.util.files import sync_folder, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from k3py.pki.layout import PkiPaths

SERVICES: Final = {
    "admin": ("client-admin",),
    "api-server": ("client-kube-apiserver", "serving-kube-apiserver"),
    "controller-manager": ("client-controller",),
    "scheduler": ("client-scheduler",),
    "k3py-controller": ("client-k3py-controller",),
    "supervisor": ("client-supervisor",),
    "auth-proxy": ("client-auth-proxy",),
    "kube-proxy": ("client-kube-proxy",),
    "kubelet": ("client-kubelet", "serving-kubelet"),
    "etcd": ("etcd/client", "etcd/server-client", "etcd/peer-server-client"),
}
SERVICE_ACCOUNT: Final = "service-account"
_KEPT: Final = ("*.crt", "*.key", "etcd/*.crt", "etcd/*.key")


def rotate_leaves(paths: PkiPaths, services: Iterable[str]) -> list[str]:
    """Remove certificates and keys of services, so that the next start makes new ones; return their names.

    Raises:
        PkiError: a file cannot be moved.
    """
    names = [name for service in services for name in SERVICES.get(service, ())]
    kept = _keep(paths)
    done = []
    for name in names:
        for folder in (paths.server_tls, paths.agent):
            for suffix in (".crt", ".key"):
                (folder / f"{name}{suffix}").unlink(missing_ok=True)
            if (kept / folder.name / f"{name}.crt").exists():
                done.append(name)
    for folder in (paths.server_tls, paths.server_tls / "etcd", paths.agent):
        if folder.exists():
            sync_folder(folder)
    return done


def rotate_service_account_key(paths: PkiPaths) -> None:
    """Put a new key in front: it signs from the next start on, older ones verify what they signed.

    Raises:
        PkiError: the file cannot be read or written.
    """
    file = paths.service_account_key
    try:
        known = file.read_bytes() if file.exists() else b""
        _keep(paths)
        pem = make_service_account_key() + known
        ServiceAccountKeys(pem, issuer="", source=str(file))
        write_atomically(file, pem, mode=0o600)
    except OSError as error:
        raise PkiError(f"{file}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class NewAuthorities:
    """What shall replace authorities: pairs by name, and the keys of tokens (b"" = they stay). disruptive: nodes and clients must learn of it."""

    pairs: dict[str, KeyPair]
    service_account_key: bytes
    disruptive: tuple[str, ...]


def make_new_authorities(paths: PkiPaths, *, afresh: bool) -> NewAuthorities:
    """Make new self-signed authorities, cross-signed by the present ones so that nobody is locked out; `afresh`: the old ones are no good any more.

    Raises:
        PkiError: a present one cannot be read.
    """
    made: dict[str, KeyPair] = {}
    for name, prefix in AUTHORITIES.items():
        file = paths.authority(name)
        if afresh or not file.exists():
            made[name] = make_authority(prefix)
            continue
        old = KeyPair(certificate=_read(file), key=_read(file.with_suffix(".key")))
        if fault := find_pair_fault(old):
            raise PkiError(f"{file}: {fault}")
        made[name] = cross_sign(make_authority(prefix, besides=old.certificate), old)
    return NewAuthorities(made, b"", tuple(made) if afresh else ())


def read_new_authorities(paths: PkiPaths, folder: Path) -> NewAuthorities:
    """Read the pairs that lie in `folder`, and find whom they would lock out.

    Raises:
        PkiError: a file is missing, damaged or not what it is called.
    """
    pairs: dict[str, KeyPair] = {}
    for name in AUTHORITIES:
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        if not certificate.exists() and not key.exists():
            continue
        pair = KeyPair(certificate=_read(certificate), key=_read(key))
        if fault := find_pair_fault(pair) or _find_authority_fault(pair):
            raise PkiError(f"{certificate}, {key}: {fault}")
        pairs[name] = pair
    keys = folder / "service.key"
    service_key = _read(keys) if keys.exists() else b""
    if service_key:
        ServiceAccountKeys(service_key, issuer="", source=str(keys))
    if not pairs and not service_key:
        raise PkiError(
            f"{folder}: holds neither {', '.join(f'{one}.crt' for one in AUTHORITIES)} nor service.key"
        )
    disruptive = [name for name, pair in pairs.items() if not _has_same_root(paths, name, pair)]
    old = paths.service_account_key
    if service_key and old.exists() and not _still_verifies(service_key, old.read_bytes()):
        disruptive.append("service.key")
    return NewAuthorities(pairs, service_key, tuple(disruptive))


def install_authorities(paths: PkiPaths, new: NewAuthorities) -> Path:
    """Put new authorities in place; leaves are signed anew at the next start. Return where the old files are kept.

    Raises:
        PkiError: a file cannot be written.
    """
    kept = _keep(paths)
    try:
        for name, pair in new.pairs.items():
            certificate = paths.authority(name)
            certificate.parent.mkdir(mode=0o700, exist_ok=True)
            # The certificate first: a pair that a power cut tore apart is found by the next start and named.
            write_atomically(certificate, pair.certificate, mode=0o644)
            write_atomically(certificate.with_suffix(".key"), pair.key, mode=0o600)
        if new.service_account_key:
            write_atomically(paths.service_account_key, new.service_account_key, mode=0o600)
    except OSError as error:
        raise PkiError(f"{error.filename}: {error.strerror}; the old files are in {kept}") from error
    return kept


def _has_same_root(paths: PkiPaths, name: str, pair: KeyPair) -> bool:
    old = paths.authority(name)
    if not old.exists():
        return True
    before, after = find_root(old.read_bytes()), find_root(pair.certificate)
    return before is not None and after is not None and before == after


def _find_authority_fault(pair: KeyPair) -> str:
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = None
    if constraints is None or not constraints.ca:
        return "the certificate is not one of an authority"
    if certificate.not_valid_after_utc < clock.now():
        return f"the certificate has ended on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if find_root(pair.certificate) is None:
        return "the certificates are not one chain, from the authority to its root"
    return ""


def _still_verifies(new: bytes, old: bytes) -> bool:
    ids = [{one["kid"] for one in ServiceAccountKeys(pem, issuer="").jwks()["keys"]} for pem in (new, old)]
    return ids[1] <= ids[0]


def _keep(paths: PkiPaths) -> Path:
    """Copy both folders aside; return where to."""
    target = paths.server_tls.with_name(f"tls-{clock.now():%Y%m%dT%H%M%SZ}")
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (paths.server_tls, paths.agent):
            # Not all below: <data-dir>/agent also holds images and containers.
            for file in [one for pattern in _KEPT for one in folder.glob(pattern)]:
                place = target / folder.name / file.relative_to(folder)
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copy2(file, place)
    except OSError as error:
        raise PkiError(f"{error.filename}: {error.strerror}") from error
    return target


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PkiError(f"{file}: cannot be read: {error.strerror}") from error
