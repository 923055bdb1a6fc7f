"""The bucket that `--etcd-s3` and its sisters name (C-35), for the server and for `k3py etcd-snapshot`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from k3py.api.timestamps import parse_duration
from k3py.config.loader import load_defaults
from k3py.datastore.snapshot.s3.settings import Lookup, S3Settings
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from k3py.config.value import Value

_LOOKUPS: Final = ("auto", "dns", "path")
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ENDPOINT: Final = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


def config_secret(values: Mapping[str, Value]) -> str:
    """Return the name of the Secret that holds the settings, "" if there is none or a flag says otherwise (D-23)."""
    if not values["etcd_s3"]:
        return ""
    defaults = load_defaults("server")
    given = (
        name
        for name, value in values.items()
        if name.startswith("etcd_s3_") and name != "etcd_s3_config_secret" and value != defaults[name]
    )
    return "" if any(given) else str(values["etcd_s3_config_secret"])


def read_s3_settings(values: Mapping[str, Value]) -> S3Settings | None:
    """Return the bucket that the flags name, None without --etcd-s3.

    Raises:
        ConfigError: a value cannot be used; names the flag and what is allowed, and never a secret.
    """
    if not values["etcd_s3"]:
        return None
    if config_secret(values):
        raise ConfigError(
            "--etcd-s3-config-secret: is for the running server's schedule: give the other --etcd-s3 flags here"
        )
    text = {name: str(value) for name, value in values.items() if name.startswith("etcd_s3_")}
    bucket, endpoint, lookup = (
        text[f"etcd_s3_{name}"] for name in ("bucket", "endpoint", "bucket_lookup_type")
    )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(f"--etcd-s3-bucket: {bucket!r}: must be the name of a bucket")
    if not _ENDPOINT.fullmatch(endpoint):
        raise ConfigError(f"--etcd-s3-endpoint: {endpoint!r}: must be host or host:port, without a scheme")
    if lookup not in _LOOKUPS:
        raise ConfigError(f"--etcd-s3-bucket-lookup-type: {lookup!r}: must be one of {', '.join(_LOOKUPS)}")
    if bool(text["etcd_s3_access_key"]) != bool(text["etcd_s3_secret_key"]):
        raise ConfigError("--etcd-s3-access-key and --etcd-s3-secret-key: must be given together")
    if not text["etcd_s3_access_key"]:
        raise ConfigError(
            "--etcd-s3-access-key: must be given, with --etcd-s3-secret-key (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment)"
        )
    keep = cast("int", values["etcd_s3_retention"])
    if keep < 0:
        raise ConfigError(f"--etcd-s3-retention: {keep}: must not be negative")
    ca_file = values["etcd_s3_endpoint_ca"]
    return S3Settings(
        bucket=bucket,
        endpoint=endpoint,
        region=text["etcd_s3_region"],
        folder=text["etcd_s3_folder"],
        lookup=cast("Lookup", lookup),
        access_key=text["etcd_s3_access_key"],
        secret_key=text["etcd_s3_secret_key"],
        session_token=text["etcd_s3_session_token"],
        ca_file=cast("Path", ca_file) if ca_file else None,
        verify=not values["etcd_s3_skip_ssl_verify"],
        insecure=bool(values["etcd_s3_insecure"]),
        proxy=text["etcd_s3_proxy"],
        timeout_s=_seconds(text["etcd_s3_timeout"]),
        keep=keep,
    )


def _seconds(text: str) -> float:
    try:
        total_ns = parse_duration(text)
    except ValueError:
        total_ns = 0
    if total_ns <= 0:
        raise ConfigError(f"--etcd-s3-timeout: {text!r}: must be a duration such as 5m0s")
    return total_ns / 1e9
