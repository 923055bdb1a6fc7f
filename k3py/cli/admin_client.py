"""The administrator's kubeconfig, and what to say when it or the server is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.client.errors import KubeconfigError, Unreachable
from k3py.client.kubeconfig import load_kubeconfig
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.status import ApiError
    from k3py.client.kubeconfig import Kubeconfig

KUBECONFIG: Final = Path("/etc/k3py/k3py.yaml")


def kubeconfig_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the file that KUBECONFIG names first, else the one that the server writes."""
    named = (os.environ if environ is None else environ).get("KUBECONFIG", "").split(":")[0]
    return Path(named) if named else KUBECONFIG


def load_admin_config(path: Path, *, context: str = "") -> Kubeconfig:
    """Read a kubeconfig.

    Raises:
        K3pyError: it cannot be used; says what to do.
    """
    try:
        return load_kubeconfig(path, context=context)
    except KubeconfigError as error:
        match error.__cause__:
            case FileNotFoundError():
                advice = "start k3py server, which writes it, or name another one with KUBECONFIG"
            case PermissionError():
                advice = "run as root, or start k3py server with --write-kubeconfig-mode"
            case _:
                advice = "name another one with KUBECONFIG"
        raise K3pyError(f"{error}; {advice}") from error


def tell_failure(error: ApiError, config: Kubeconfig) -> str:
    """Return what kubectl says about a failed request (Source: kubectl v0.35 cmdutil.checkErr)."""
    if isinstance(error, Unreachable):
        host = config.server.partition("://")[2]
        text = str(error.__cause__ or error)
        match error.__cause__:
            case OSError() if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
                why = text.partition("certificate verify failed:")[2].partition("(_ssl")[0].strip(" ]")
                return f"Unable to connect to the server: tls: failed to verify certificate of {host}: {why or text}"
            case OSError() if isinstance(
                error.__cause__.__cause__ or error.__cause__, ConnectionRefusedError
            ):
                return f"The connection to the server {host} was refused - did you specify the right host or port?"
            case _:
                return f"Unable to connect to the server {host}: {text or type(error.__cause__).__name__}"
    reason = f" ({error.reason})" if error.reason else ""
    if error.code == 401:
        return "error: You must be logged in to the server (Unauthorized)"
    if error.reason == "Invalid":
        return f"The {error.message}"
    return f"Error from server{reason}: {error.message}"
