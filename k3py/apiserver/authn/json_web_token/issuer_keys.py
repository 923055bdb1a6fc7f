"""Fetches an issuer's keys when they are first needed, and again when a token names one that is not known.

Source: OpenID Connect Discovery 1.0; github.com/coreos/go-oidc as k8s.io/apiserver v0.35 uses it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson

from k3py.apiserver.review_webhook import read_answer
from k3py.errors import K3pyError
from k3py.pki.errors import InvalidToken
from k3py.pki.key_set import KeySet, KeyUnknown
from k3py.util import clock

if TYPE_CHECKING:
    from k3py.apiserver.authn.json_web_token.settings import JwtSettings
    from k3py.jsontypes import JsonObject

_TIMEOUT_S: Final = 10.0
_AGAIN_S: Final = 10.0  # an unknown key makes us ask so often at most
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class IssuerUnreachable(K3pyError):
    """The issuer's documents cannot be had."""


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(self, settings: JwtSettings) -> None:
        self._settings = settings
        self._keys: KeySet | None = None
        self._asked_s = -_AGAIN_S
        self._fault = ""
        self._asking = asyncio.Lock()

    async def verify(self, token: str) -> JsonObject:
        """Return the claims of a valid token.

        Raises:
            InvalidToken: it is not valid.
            IssuerUnreachable: its keys are not known, and the issuer does not tell them.
        """
        keys = await self._current(self._keys)
        try:
            return self._check(keys, token)
        except KeyUnknown:
            return self._check(await self._current(keys, newer=True), token)

    def _check(self, keys: KeySet, token: str) -> JsonObject:
        settings = self._settings
        return keys.verify(
            token, issuer=settings.issuer, audiences=settings.audiences, algorithms=settings.algorithms
        )

    async def _current(self, known: KeySet | None, *, newer: bool = False) -> KeySet:
        """Return the keys; `newer`: other ones than `known`, unless the issuer was asked just now."""
        if known is not None and not newer:
            return known
        async with self._asking:
            if self._keys is not None and self._keys is not known:
                return self._keys
            if clock.monotonic_s() - self._asked_s < _AGAIN_S:
                if known is not None:
                    return known
                raise IssuerUnreachable(self._fault)
            self._asked_s = clock.monotonic_s()
            try:
                self._keys = await self._fetch()
            except (aiohttp.ClientError, OSError, TimeoutError, InvalidToken, IssuerUnreachable) as error:
                self._fault = f"issuer {self._settings.issuer}: {error}"
                if known is not None:  # what we had is better than nothing
                    return known
                raise IssuerUnreachable(self._fault) from error
            return self._keys

    async def _fetch(self) -> KeySet:
        settings = self._settings
        tls = await asyncio.to_thread(_make_tls, settings.authority)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls), timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)
        ) as session:
            url = settings.discovery_url or settings.issuer.rstrip("/") + _WELL_KNOWN
            document = await _get(session, url)
            if document.get("issuer") != settings.issuer:
                raise IssuerUnreachable(f"{url}: names another issuer: {document.get('issuer')!r}")
            keys_url = document.get("jwks_uri")
            if not isinstance(keys_url, str) or not keys_url.startswith("https://"):
                raise IssuerUnreachable(f"{url}: jwks_uri: must be a https URL")
            return KeySet(await _get(session, keys_url))


def _make_tls(authority: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority or None)


async def _get(session: aiohttp.ClientSession, url: str) -> JsonObject:
    async with session.get(url) as response:
        body = await read_answer(response)
        if response.status != 200:
            raise IssuerUnreachable(f"{url}: answered {response.status}")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise IssuerUnreachable(f"{url}: is not JSON") from error
    if not isinstance(document, dict):
        raise IssuerUnreachable(f"{url}: is not an object")
    return document
