"""A throw-away PKI for tests: CA, serving certificate, the admin's client certificate and kubeconfig."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from k3py.pki.authority import KeyPair, LeafRequest, make_authority, make_key, sign_leaf

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ThrowawayPki:
    """Files in `folder`: ca.crt, server.{crt,key}, admin.{crt,key}; more leaves on demand."""

    folder: Path
    authority: KeyPair

    def issue(self, name: str, request: LeafRequest) -> tuple[Path, Path]:
        """Write <name>.crt and <name>.key; return both."""
        key = make_key()
        certificate_file, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate_file.write_bytes(sign_leaf(self.authority, request, key=key))
        key_file.write_bytes(key)
        return certificate_file, key_file

    def issue_front_proxy(self, name: str) -> tuple[Path, Path]:
        """Write front-proxy-ca.crt and a front proxy's leaf of it; return the leaf's certificate and key."""
        authority, key = make_authority("front-proxy"), make_key()
        (self.folder / "front-proxy-ca.crt").write_bytes(authority.certificate)
        certificate_file, key_file = self.folder / "front-proxy.crt", self.folder / "front-proxy.key"
        request = LeafRequest(common_name=name)
        certificate_file.write_bytes(sign_leaf(authority, request, key=key))
        key_file.write_bytes(key)
        return certificate_file, key_file

    def write_kubeconfig(self, url: str, user: str = "admin") -> Path:
        """Write a kubeconfig of `user` (its leaf is there); return the file."""

        def data(file: str) -> str:
            return base64.b64encode((self.folder / file).read_bytes()).decode()

        credential = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "test", "cluster": {"server": url, "certificate-authority-data": data("ca.crt")}}
            ],
            "users": [{"name": user, "user": credential}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
        file = self.folder / ("kubeconfig" if user == "admin" else f"kubeconfig-{user}")
        file.write_text(yaml.safe_dump(config))
        return file


def make_pki(folder: Path) -> ThrowawayPki:
    """Make CA, serving certificate for 127.0.0.1 and the admin's client certificate."""
    pki = ThrowawayPki(folder, make_authority("test"))
    (folder / "ca.crt").write_bytes(pki.authority.certificate)
    _ = pki.issue(
        "server", LeafRequest(common_name="server", names=("127.0.0.1", "localhost"), usage="server")
    )
    _ = pki.issue("admin", LeafRequest(common_name="system:admin", organizations=("system:masters",)))
    return pki
