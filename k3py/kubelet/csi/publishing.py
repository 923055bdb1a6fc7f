"""What comes with the publishing of a volume: secrets, what the driver wants to know of the pod, tokens of its account."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.resource import SECRETS
from k3py.api.status import ApiError
from k3py.kubelet.csi.requests import TOKENS, pod_information
from k3py.kubelet.volumes.interface import VolumeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.csi.source import CsiSource
    from k3py.kubelet.volumes.interface import VolumeContext

_TOKEN_S: Final = 3600


async def secrets_of(reference: JsonObject | None, client: Client) -> dict[str, str]:
    """Return the values of a Secret, none without a reference. Raises VolumeError."""
    if not reference or not reference.get("name"):
        return {}
    try:
        found = await client.get(SECRETS, reference["name"], namespace=reference.get("namespace", ""))
    except ApiError as error:
        raise VolumeError(
            f"fetching NodeStageSecretRef {reference.get('namespace', '')}/{reference['name']} failed: {error.message}"
        ) from error
    data: Mapping[str, str] = found.get("data") or {}
    return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}


async def publish_context_of(
    source: CsiSource, spec: JsonObject, context: VolumeContext, client: Client
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is added to the volume's context, and the secrets; `spec`: of the CSIDriver."""
    reference = source.csi.get("nodePublishSecretRef")
    if reference and source.is_inline:
        reference = {"namespace": context.pod["metadata"]["namespace"], **reference}
    secrets = await secrets_of(reference, client)
    more = pod_information(context.pod, is_inline=source.is_inline) if spec.get("podInfoOnMount") else {}
    requests = spec.get("tokenRequests") or ()
    if requests:
        tokens = {}
        for one in requests:
            audience = one.get("audience") or ""
            text, expires = await context.objects.csi_token(
                audience=audience, expiration_s=int(one.get("expirationSeconds") or _TOKEN_S)
            )
            tokens[audience] = {"token": text, "expirationTimestamp": expires}
        document = orjson.dumps(tokens).decode()
        if spec.get("serviceAccountTokenInSecrets"):
            secrets[TOKENS] = document
        else:
            more[TOKENS] = document
    return more, secrets
