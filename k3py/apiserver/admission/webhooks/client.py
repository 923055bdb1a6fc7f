"""Sends AdmissionReviews over HTTPS; the certificate is verified against caBundle, or the system's trust where there is none.

Source: k8s.io/apiserver/pkg/util/webhook/client.go, pkg/admission/plugin/webhook/{request,errors} v0.35.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import uuid
from typing import TYPE_CHECKING, Final

import orjson

from k3py.errors import K3pyError
from k3py.util.body import BodyTooLong, read_bounded
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from k3py.apiserver.admission.webhooks.credentials import WebhookCredentials
    from k3py.apiserver.admission.webhooks.index import Webhook
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.jsontypes import JsonObject, JsonValue

_LONGEST_ANSWER: Final = 16 * 1024 * 1024
_KIND: Final = "AdmissionReview"


class CallFault(K3pyError):
    """A webhook could not be asked, or gave no usable answer."""


class WebhookClient:
    """Asks webhooks; connections are kept.

    Args:
        open_session: makes the session, at the first call.
        mutating, validating: who this server is to webhooks of that kind; None = nobody.
    """

    def __init__(
        self,
        open_session: Callable[[], aiohttp.ClientSession],
        *,
        mutating: WebhookCredentials | None = None,
        validating: WebhookCredentials | None = None,
    ) -> None:
        self._open = open_session
        self._mutating = mutating
        self._validating = validating
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def ask(self, hook: Webhook, request: JsonObject, *, may_patch: bool) -> JsonObject:
        """Return the `response` to a request (which gets a uid). Raises CallFault."""
        uid = str(uuid.uuid4())
        version = f"admission.k8s.io/{hook.review_version}"
        review = {"kind": _KIND, "apiVersion": version, "request": {"uid": uid, **request}}
        credentials = self._mutating if may_patch else self._validating
        user = None if credentials is None else credentials.find(hook.url)
        answer = await self._post(hook, orjson.dumps(review), user)
        response = answer.get("response")
        if not isinstance(response, dict):
            raise CallFault("webhook response was absent")
        if hook.review_version == "v1":
            _check_v1(answer, response, uid, may_patch=may_patch)
        elif response.get("patch") and not may_patch:
            response.pop("patch")  # as upstream: only v1 forbids it
        return response

    async def _post(self, hook: Webhook, body: bytes, user: Kubeconfig | None) -> JsonObject:
        import aiohttp  # noqa: PLC0415 - for its errors; the session is made by then

        if hook.tls is None:
            # without a bundle the system's whole trust is read
            hook.tls = (
                _make_context(hook.bundle, user) if hook.bundle else await offload(_make_context, "", user)
            )
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
        if user is not None:
            headers |= await _authorization(user)
        if self._session is None:
            self._session = self._open()
        what = f'failed to call webhook: Post "{hook.url}"'
        try:
            async with (
                asyncio.timeout(hook.timeout_s),
                self._session.post(
                    hook.url,
                    data=body,
                    headers=headers,
                    ssl=hook.tls,
                    allow_redirects=False,
                ) as response,
            ):
                data = await read_bounded(response.content, _LONGEST_ANSWER)
                status = response.status
        except BodyTooLong as error:
            raise CallFault(f"failed to call webhook: {error}") from error
        except TimeoutError as error:
            raise CallFault(f"{what}: context deadline exceeded") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFault(f"{what}: {_describe(error)}") from error
        if not 200 <= status < 300:
            raise CallFault(f"failed to call webhook: the server responded with status {status}")
        try:
            answer: JsonValue = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise CallFault(f"failed to call webhook: the answer is not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise CallFault("failed to call webhook: the answer is not an AdmissionReview")
        return answer


def _describe(error: Exception) -> str:
    """Return what went wrong without aiohttp's own objects, as upstream says it where it has words for it."""
    import aiohttp  # noqa: PLC0415 - see _post

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"dial tcp {error.host}:{error.port}: {error.os_error}"
    return str(error) or type(error).__name__


def _check_v1(answer: JsonObject, response: JsonObject, uid: str, *, may_patch: bool) -> None:
    if response.get("uid") != uid:
        raise CallFault(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    got = (answer.get("apiVersion"), answer.get("kind"))
    if got != ("admission.k8s.io/v1", _KIND):
        raise CallFault(
            f"expected webhook response of admission.k8s.io/v1, Kind={_KIND}, got {got[0]}, Kind={got[1]}"
        )
    patch, kind = response.get("patch"), response.get("patchType")
    if not may_patch:
        if patch or kind:
            raise CallFault("expected no response.patch or response.patchType from a validating webhook")
        return
    if patch and not kind:
        raise CallFault("webhook returned response.patch but not response.patchType")
    if kind and not patch:
        raise CallFault("webhook returned response.patchType but not response.patch")
    if kind and kind != "JSONPatch":
        raise CallFault(f'invalid response.patchType, expected "JSONPatch", got "{kind}"')


async def _authorization(user: Kubeconfig) -> dict[str, str]:
    from k3py.apiserver.admission.webhooks.credentials import bearer_of  # noqa: PLC0415 - few have credentials

    try:
        token = await bearer_of(user)
    except OSError as error:
        raise CallFault(f"unable to read the token for the webhook: {error.strerror}") from error
    return {"Authorization": f"Bearer {token}"} if token else {}


def _make_context(bundle: str, user: Kubeconfig | None) -> ssl.SSLContext:
    try:
        text = base64.b64decode(bundle).decode()
        context = ssl.create_default_context(cadata=text or None)
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError) as error:
        raise CallFault(f"unable to load root certificates: {error}") from error
    if user is not None:
        try:
            user.log_in(context)
        except (OSError, ValueError) as error:
            raise CallFault(f"our own certificate for the webhook cannot be used: {error}") from error
    return context
