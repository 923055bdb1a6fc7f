"""Kubeconfig files: how to reach a cluster and who one is there.

Source: client-go tools/clientcmd v0.35 (the parts without exec plugins and auth providers). Blocking file access, microseconds.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3py.client.errors import KubeconfigError
from k3py.pki.tls import ignore_dates
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k3py.client.http import HttpClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """One context of a kubeconfig; certificates and keys in PEM.

    Attributes:
        server: URL of the API server.
        ca: certificates that sign the server's, b"" = those of the system.
        certificate: client certificate chain, with `key`; b"" = none.
        certificate_file: where the client certificate and `key_file` live on, None = they are inline.
        token: bearer token, "" = none. token_file: read anew before it is used, None = none.
        tls_server_name: name to verify instead of the host of `server`.
        insecure: do not verify the server.
        ignores_dates: verify the server's chain without looking at the clock; between k3py's own parts.
    """

    server: str
    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    certificate_file: Path | None = None
    key_file: Path | None = None
    token: str = ""
    token_file: Path | None = None
    namespace: str = "default"
    tls_server_name: str = ""
    insecure: bool = False
    ignores_dates: bool = False

    def make_tls(self) -> ssl.SSLContext | None:
        """Return the TLS context of a client, None for an http server.

        Raises:
            KubeconfigError: a certificate or key that cannot be used.
        """
        if self.server.startswith("http://"):
            return None
        try:
            if self.ca:
                context = ssl.create_default_context(cadata=self.ca.decode())
            else:
                context = ssl.create_default_context()
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.ignores_dates:
                ignore_dates(context)
            self.log_in(context)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise KubeconfigError(f"kubeconfig: certificate cannot be used: {error}") from error
        return context

    def log_in(self, context: ssl.SSLContext) -> None:
        """Give a context the client certificate, if there is one. Raises OSError, ValueError: it cannot be used."""
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        elif self.certificate:
            load_cert_chain(context, self.certificate, self.key)

    def make_client(self, *, user_agent: str) -> HttpClient:
        """Return a client; enter it, or close it when done."""
        from k3py.client.http import HttpClient  # noqa: PLC0415 - aiohttp is not needed to write a kubeconfig

        return HttpClient(
            self.server,
            tls=self.make_tls(),
            token=self._token_source(),
            user_agent=user_agent,
            server_hostname=self.tls_server_name,
        )

    def _token_source(self) -> Callable[[], str] | None:
        path = self.token_file
        if path is not None:
            return lambda: path.read_text().strip()
        return (lambda: self.token) if self.token else None


def load_cert_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a PEM certificate chain and key that are not in a file, without writing them to a disk."""
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificate.rstrip() + b"\n" + key.rstrip() + b"\n")
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def load_kubeconfig(path: Path, *, context: str = "") -> Kubeconfig:
    """Read one context of a kubeconfig, by default the current one; relative paths are relative to the file.

    Raises:
        KubeconfigError: names the file and what is wrong with it.
    """
    document = _read(path)
    try:
        wanted = context or document["current-context"]
        chosen = _named(document, "contexts", wanted)["context"]
        cluster = _named(document, "clusters", chosen["cluster"])["cluster"]
        user = _named(document, "users", chosen["user"]).get("user") or {}
        return _make(path.parent, chosen, cluster, user)
    except (KeyError, TypeError, LookupError, binascii.Error) as error:
        raise KubeconfigError(f"kubeconfig {path}: {error}") from error
    except OSError as error:
        raise KubeconfigError(f"kubeconfig {path}: {error.filename}: {error.strerror}") from error


def load_users(path: Path) -> tuple[dict[str, Kubeconfig], str]:
    """Return the users of a kubeconfig by their names, without servers, and the name of the current context's ("" = none).

    Raises:
        KubeconfigError: names the file and what is wrong with it.
    """
    document = _read(path)
    try:
        users = {
            str(one["name"]): _make(path.parent, {}, {"server": ""}, one.get("user") or {})
            for one in document.get("users") or ()
        }
        current = document.get("current-context")
        chosen = _named(document, "contexts", current)["context"] if current else {}
    except (AttributeError, KeyError, TypeError, LookupError, binascii.Error) as error:
        raise KubeconfigError(f"kubeconfig {path}: {error}") from error
    return users, str(chosen.get("user") or "")


def _read(path: Path) -> Any:
    import yaml  # noqa: PLC0415 - a third of a megabyte, for the command line and agents only

    try:
        return yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise KubeconfigError(f"kubeconfig {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise KubeconfigError(f"kubeconfig {path}: not YAML") from error


def make_document(config: Kubeconfig, *, name: str = "default") -> dict[str, Any]:
    """Return the kubeconfig document of a configuration, with files inlined unless they are to live on."""
    cluster: dict[str, Any] = {"server": config.server}
    if config.ca:
        cluster["certificate-authority-data"] = base64.b64encode(config.ca).decode()
    if config.tls_server_name:
        cluster["tls-server-name"] = config.tls_server_name
    if config.insecure:
        cluster["insecure-skip-tls-verify"] = True
    user: dict[str, Any] = {}
    if config.certificate_file is not None:
        user["client-certificate"] = str(config.certificate_file)
        user["client-key"] = str(config.key_file)
    elif config.certificate:
        user["client-certificate-data"] = base64.b64encode(config.certificate).decode()
        user["client-key-data"] = base64.b64encode(config.key).decode()
    if config.token_file is not None:
        user["tokenFile"] = str(config.token_file)
    elif config.token:
        user["token"] = config.token
    chosen: dict[str, Any] = {"cluster": name, "user": name}
    if config.namespace != "default":
        chosen["namespace"] = config.namespace
    return {
        "apiVersion": "v1",
        "clusters": [{"cluster": cluster, "name": name}],
        "contexts": [{"context": chosen, "name": name}],
        "current-context": name,
        "kind": "Config",
        "preferences": {},
        "users": [{"name": name, "user": user}],
    }


def write_kubeconfig(path: Path, config: Kubeconfig, *, name: str = "default", mode: int = 0o600) -> None:
    """Write a kubeconfig; a reader sees the old file or the whole new one. Raises OSError."""
    import yaml  # noqa: PLC0415 - see load_kubeconfig

    text = yaml.safe_dump(make_document(config, name=name), sort_keys=False, default_flow_style=False)
    write_atomically(path, text.encode(), mode=mode)


def _named(document: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    for one in document.get(section) or ():
        if one.get("name") == name:
            found: dict[str, Any] = one
            return found
    raise LookupError(f"no entry {name!r} in {section}")


def _make(folder: Path, chosen: dict[str, Any], cluster: dict[str, Any], user: dict[str, Any]) -> Kubeconfig:
    certificate_file = _path(folder, user.get("client-certificate"))
    inline = base64.b64decode(user.get("client-certificate-data") or "")
    ca = base64.b64decode(cluster.get("certificate-authority-data") or "")
    ca_file = _path(folder, cluster.get("certificate-authority"))
    if not ca and ca_file is not None:
        ca = ca_file.read_bytes()
    return Kubeconfig(
        server=cluster["server"],
        ca=ca,
        certificate=inline,
        key=base64.b64decode(user.get("client-key-data") or ""),
        certificate_file=None if inline else certificate_file,
        key_file=None if inline else _path(folder, user.get("client-key")),
        token=user.get("token") or "",
        token_file=_path(folder, user.get("tokenFile")),
        namespace=chosen.get("namespace") or "default",
        tls_server_name=cluster.get("tls-server-name") or "",
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _path(folder: Path, text: str | None) -> Path | None:
    return folder / text if text else None
