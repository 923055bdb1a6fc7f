"""The bucket that a Secret names: `--etcd-s3-config-secret` (D-23), read anew for each snapshot, so that keys can be changed while k3py runs.

Its keys are the names of the flags; `etcd-s3-endpoint-ca-name` names a ConfigMap whose values are authorities.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from k3py.api.resource import CONFIG_MAPS, SECRETS
from k3py.api.status import ApiError
from k3py.config.options import OPTIONS
from k3py.config.value import read_value
from k3py.datastore.snapshot.errors import SnapshotError
from k3py.errors import ConfigError
from k3py.server.snapshot_bucket import read_s3_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.client.interface import Client
    from k3py.config.value import Value
    from k3py.datastore.snapshot.s3.settings import S3Settings
    from k3py.jsontypes import JsonObject

NAMESPACE: Final = "kube-system"
TYPE: Final = "etcd.k3s.cattle.io/s3-config-secret"
_CA_NAME: Final = "etcd-s3-endpoint-ca-name"
_OPTIONS: Final = tuple(
    one for one in OPTIONS if one.name.startswith("etcd-s3-") and one.name != "etcd-s3-config-secret"
)


async def read_secret(client: Client, name: str) -> S3Settings:
    """Return the bucket that the Secret kube-system/`name` names.

    Raises:
        SnapshotError: there is none, or it cannot be used; names the key, never a value.
    """
    where = f"Secret {NAMESPACE}/{name}"
    try:
        secret = await client.get(SECRETS, name, namespace=NAMESPACE)
        data = _decoded(secret, where)
        settings = _settings(data, where)
        if authority := data.get(_CA_NAME):
            map_ = await client.get(CONFIG_MAPS, authority, namespace=NAMESPACE)
            settings = replace(settings, ca_data="\n".join((map_.get("data") or {}).values()))
    except ApiError as error:
        raise SnapshotError(f"cannot read the {where}: {error}") from error
    return settings


def _settings(data: Mapping[str, str], where: str) -> S3Settings:
    values = {"etcd_s3": True, "etcd_s3_config_secret": "", **_values(data, where)}
    try:
        settings = read_s3_settings(values)
    except ConfigError as error:
        raise SnapshotError(f"{where}: {error}") from None
    if settings is None:
        raise SnapshotError(f"{where}: names no bucket")
    return settings


def _decoded(secret: JsonObject, where: str) -> dict[str, str]:
    if secret.get("type") != TYPE:
        raise SnapshotError(f"{where}: must be of type {TYPE}")
    found = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(str(value), validate=True).decode().strip()
        except (binascii.Error, UnicodeDecodeError):
            raise SnapshotError(f"{where}: {key}: is not text") from None
    return found


def _values(data: Mapping[str, str], where: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for option in _OPTIONS:
        text = data.get(option.name, option.default)
        try:
            values[option.field] = read_value(option.value_type, text)
        except ValueError as error:
            raise SnapshotError(f"{where}: {option.name}: {error}") from None
    return values
