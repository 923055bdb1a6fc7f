"""From a valid token's claims to a user. Source: k8s.io/apiserver/plugin/pkg/authenticator/token/oidc v0.35."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from k3py.api.status import unauthorized
from k3py.api.user import User
from k3py.errors import K3pyError
from k3py.pki.key_set import issuer_of

if TYPE_CHECKING:
    from collections.abc import Mapping as AbcMapping

    from k3py.apiserver.authn.json_web_token.settings import JwtSettings, Mapping, Rule
    from k3py.apiserver.interface import Authenticator, Credentials
    from k3py.jsontypes import JsonObject, JsonValue

log = logging.getLogger(__name__)


class ClaimsRefused(K3pyError):
    """A valid token whose claims do not make a user."""


class Verifier(Protocol):
    """Checks signatures of one issuer."""

    async def verify(self, token: str) -> JsonObject:
        """Return the claims. Raises K3pyError."""


class JwtAuthenticator:
    """Tokens of one issuer."""

    def __init__(self, settings: JwtSettings, keys: Verifier) -> None:
        self._settings = settings
        self._keys = keys

    async def authenticate(self, credentials: Credentials) -> User | None:
        """Return the token's user, None for tokens of others. Raises ApiError 401."""
        token = credentials.bearer
        if token.count(".") != 2 or issuer_of(token) != self._settings.issuer:
            return None
        try:
            return make_user(self._settings, await self._keys.verify(token))
        except K3pyError as error:
            log.info("a token is refused", extra={"issuer": self._settings.issuer, "why": str(error)})
            raise unauthorized() from error


def make_user(settings: JwtSettings, claims: JsonObject) -> User:
    """Return the user whom the claims describe.

    Raises:
        ClaimsRefused: a rule is not kept, or a claim is missing or of the wrong type.
        EvaluationFault, CostExceeded: of an expression.
    """
    for rule in settings.claim_rules:
        _check_rule(rule, claims)
    name = _text(settings.username, claims, "username")
    if not name:
        raise ClaimsRefused("the user name is empty")
    if settings.username.claim == "email" and claims.get("email_verified", True) is not True:
        raise ClaimsRefused("claim email_verified: must be true")
    groups = _texts(settings.groups, claims, "groups")
    uid = _text(settings.uid, claims, "uid") if settings.uid.claim or settings.uid.expression else ""
    extra = {}
    for key, expression in settings.extra:
        values = _as_texts(expression.run(claims), f"extra {key!r}")
        if values:
            extra[key] = values
    user = User(name=name, uid=uid, groups=groups, extra=extra)
    if settings.user_rules:
        described = _describe(user)
        for rule in settings.user_rules:
            if rule.expression is not None and rule.expression.run(described) is not True:
                raise ClaimsRefused(rule.message or f"the rule {rule.expression.text!r} is not kept")
    return user


def _check_rule(rule: Rule, claims: JsonObject) -> None:
    if rule.expression is not None:
        if rule.expression.run(claims) is not True:
            raise ClaimsRefused(rule.message or f"the rule {rule.expression.text!r} is not kept")
        return
    if claims.get(rule.claim) != rule.value or not isinstance(claims.get(rule.claim), str):
        raise ClaimsRefused(f"claim {rule.claim!r}: has not the required value")


def _text(mapping: Mapping, claims: JsonObject, what: str) -> str:
    value = mapping.expression.run(claims) if mapping.expression is not None else claims.get(mapping.claim)
    if not isinstance(value, str):
        raise ClaimsRefused(f"{what}: must come out as a text")
    return mapping.prefix + value if value else ""


def _texts(mapping: Mapping, claims: JsonObject, what: str) -> tuple[str, ...]:
    if mapping.expression is not None:
        return _as_texts(mapping.expression.run(claims), what)
    if not mapping.claim or claims.get(mapping.claim) is None:
        return ()
    return tuple(mapping.prefix + one for one in _as_texts(claims[mapping.claim], what))


def _as_texts(value: JsonValue, what: str) -> tuple[str, ...]:
    """Return a text, or a list of them, as a tuple without empty ones."""
    values = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
        raise ClaimsRefused(f"{what}: must come out as a text or a list of texts")
    return tuple(one for one in values if one)


def _describe(user: User) -> JsonObject:
    extra: AbcMapping[str, tuple[str, ...]] = user.extra
    return {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in extra.items()},
    }


if TYPE_CHECKING:

    def _check(one: JwtAuthenticator) -> Authenticator:
        return one
