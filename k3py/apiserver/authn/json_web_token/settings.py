"""What a JWT authenticator is configured with, from an AuthenticationConfiguration or from --oidc-… arguments.

Source: k8s.io/apiserver/pkg/apis/apiserver/{v1,validation} v0.35, kubernetes/pkg/kubeapiserver/options/authentication.go v1.35.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.apiserver.authn.json_web_token.expression import Expression, compile_claims, compile_user
from k3py.config.fields import Fields, load_document
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.config.api_server_arguments import ApiServerArguments

VERSIONS: Final = tuple(f"apiserver.config.k8s.io/{one}" for one in ("v1", "v1beta1", "v1alpha1"))
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
_MOST_ISSUERS: Final = 64
_HTTPS: Final = re.compile(r"https://[^/?#@\s]+(/[^?#@\s]*)?")
_EXTRA_KEY: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[a-z0-9/._~!$&'()*+,;=:@%-]+")
_RESERVED: Final = ("kubernetes.io", "k8s.io")


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where a text of the user comes from: a claim with a prefix, or an expression; neither = nowhere."""

    claim: str = ""
    prefix: str = ""
    expression: Expression | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A claim must have a value, or an expression be true; `message` is said when it is not."""

    claim: str = ""
    value: str = ""
    expression: Expression | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """One issuer.

    discovery_url: "" = below the issuer. authority: PEM that signs the issuer's certificate, "" = the system's.
    audiences: a token must be for one of them. extra: (key, expression).
    """

    issuer: str
    discovery_url: str = ""
    authority: str = ""
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = ALGORITHMS
    username: Mapping
    groups: Mapping = Mapping()
    uid: Mapping = Mapping()
    extra: tuple[tuple[str, Expression], ...] = ()
    claim_rules: tuple[Rule, ...] = ()
    user_rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class AnonymousSettings:
    """Requests without credentials: refused, let in, or let in on some paths only (paths None = all)."""

    enabled: bool = True
    paths: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class AuthenticationSettings:
    """issuers in order; anonymous None = the file says nothing of it."""

    issuers: tuple[JwtSettings, ...] = ()
    anonymous: AnonymousSettings | None = None


def load_authentication(file: Path) -> AuthenticationSettings:
    """Read an AuthenticationConfiguration. Blocking.

    Raises:
        ConfigError: it cannot be read or used; names the field.
    """
    fields = load_document(file, "authentication-config", "AuthenticationConfiguration", VERSIONS)
    issuers = fields.objects("jwt")
    if len(issuers) > _MOST_ISSUERS:
        raise fields.fault("jwt", f"must hold at most {_MOST_ISSUERS} issuers")
    read: list[JwtSettings] = []
    for one in issuers:
        settings = _read_issuer(one)
        for other in read:
            if settings.issuer == other.issuer:
                raise one.fault("issuer.url", f"{settings.issuer!r}: stands there twice")
            if settings.discovery_url and settings.discovery_url == other.discovery_url:
                raise one.fault("issuer.discoveryURL", f"{settings.discovery_url!r}: stands there twice")
        read.append(settings)
    anonymous = _read_anonymous(fields)
    fields.finish()
    return AuthenticationSettings(tuple(read), anonymous)


def _read_anonymous(fields: Fields) -> AnonymousSettings | None:
    anonymous = fields.object("anonymous")
    if anonymous is None:
        return None
    enabled = anonymous.flag("enabled")
    paths = []
    for condition in anonymous.objects("conditions"):
        paths.append(condition.text("path", default=None))
        condition.finish()
    if paths and not enabled:
        raise anonymous.fault("conditions", "must be empty when anonymous is not enabled")
    anonymous.finish()
    return AnonymousSettings(enabled, frozenset(paths) if paths else None)


def _read_issuer(fields: Fields) -> JwtSettings:
    issuer = fields.object("issuer", required=True)
    assert issuer is not None
    url = _https(issuer, "url", required=True)
    discovery = _https(issuer, "discoveryURL", required=False)
    if discovery and discovery.rstrip("/") == url.rstrip("/"):
        raise issuer.fault("discoveryURL", "must be different from url")
    audiences = issuer.texts("audiences")
    if not audiences or not all(audiences):
        raise issuer.fault("audiences", "must hold at least one, and no empty one")
    policy = issuer.text("audienceMatchPolicy", allowed=("", "MatchAny"))
    if len(audiences) > 1 and policy != "MatchAny":
        raise issuer.fault("audienceMatchPolicy", "must be 'MatchAny' for several audiences")
    authority = issuer.text("certificateAuthority")
    issuer.text("egressSelectorType", allowed=("", "controlplane", "cluster"))  # there is one way out
    issuer.finish()
    claim_rules = tuple(_read_claim_rule(one) for one in fields.objects("claimValidationRules"))
    mappings = fields.object("claimMappings", required=True)
    assert mappings is not None
    username = _read_mapping(mappings, "username", required=True)
    groups = _read_mapping(mappings, "groups")
    uid = _read_uid(mappings)
    extra = tuple(_read_extra(one) for one in mappings.objects("extra"))
    mappings.finish()
    user_rules = tuple(_read_user_rule(one) for one in fields.objects("userValidationRules"))
    fields.finish()
    if username.expression is not None and "claims.email" in username.expression.text:
        _require_verified(mappings, username.expression, claim_rules, extra)
    keys = [key for key, _ in extra]
    if len(set(keys)) != len(keys):
        raise mappings.fault("extra", "must not name a key twice")
    return JwtSettings(
        issuer=url,
        discovery_url=discovery,
        authority=authority,
        audiences=audiences,
        username=username,
        groups=groups,
        uid=uid,
        extra=extra,
        claim_rules=claim_rules,
        user_rules=user_rules,
    )


def _require_verified(
    mappings: Fields,
    username: Expression,
    rules: Sequence[Rule],
    extra: Sequence[tuple[str, Expression]],
) -> None:
    """An address that nobody verified is no name; upstream wants an expression to have looked."""
    looked = [username, *(one.expression for one in rules if one.expression), *(one for _, one in extra)]
    if not any("claims.email_verified" in one.text for one in looked):
        raise mappings.fault(
            "username.expression",
            "uses claims.email: claims.email_verified must be used there, in extra or in a claim validation rule",
        )


def _https(fields: Fields, name: str, *, required: bool) -> str:
    url = fields.text(name, default=None if required else "")
    if url and not _HTTPS.fullmatch(url):
        raise fields.fault(name, f"{url!r}: must be a https URL without user, query and fragment")
    return url


def _read_claim_rule(fields: Fields) -> Rule:
    claim, value = fields.text("claim"), fields.text("requiredValue")
    text, message = fields.text("expression"), fields.text("message")
    if bool(claim) == bool(text):
        raise fields.fault("claim", "exactly one of claim and expression must be given")
    if claim and message:
        raise fields.fault("message", "can be given for an expression only")
    if text and value:
        raise fields.fault("requiredValue", "can be given for a claim only")
    fields.finish()
    compiled = compile_claims(text, fields.path("expression"), "bool") if text else None
    return Rule(claim, value, compiled, message)


def _read_user_rule(fields: Fields) -> Rule:
    text, message = fields.text("expression", default=None), fields.text("message")
    fields.finish()
    return Rule(expression=compile_user(text, fields.path("expression")), message=message)


def _read_mapping(mappings: Fields, name: str, *, required: bool = False) -> Mapping:
    fields = mappings.object(name, required=required)
    if fields is None:
        return Mapping()
    claim, text = fields.text("claim"), fields.text("expression")
    if claim and text:
        raise fields.fault("claim", "cannot be given together with expression")
    if required and not claim and not text:
        raise fields.fault("claim", "claim or expression must be given")
    if claim and not fields.has("prefix"):
        # so that nobody forgets it: "" must be written
        raise fields.fault("prefix", "must be given with claim; it may be empty")
    prefix = fields.text("prefix")
    if prefix and not claim:
        raise fields.fault("prefix", "can be given with claim only")
    fields.finish()
    result = "string" if name == "username" else "texts"
    return Mapping(claim, prefix, compile_claims(text, fields.path("expression"), result) if text else None)


def _read_uid(mappings: Fields) -> Mapping:
    fields = mappings.object("uid")
    if fields is None:
        return Mapping()
    claim, text = fields.text("claim"), fields.text("expression")
    if claim and text:
        raise fields.fault("claim", "cannot be given together with expression")
    fields.finish()
    return Mapping(claim, "", compile_claims(text, fields.path("expression"), "string") if text else None)


def _read_extra(fields: Fields) -> tuple[str, Expression]:
    key = fields.text("key", default=None)
    if not _EXTRA_KEY.fullmatch(key):
        raise fields.fault(
            "key", f"{key!r}: must be a domain and a path in lower case, such as example.com/role"
        )
    domain = key.partition("/")[0]
    if any(domain == one or domain.endswith(f".{one}") for one in _RESERVED):
        raise fields.fault("key", f"{key!r}: the domain is reserved for Kubernetes")
    text = fields.text("valueExpression", default=None)
    fields.finish()
    return key, compile_claims(text, fields.path("valueExpression"), "texts")


def settings_of_arguments(arguments: ApiServerArguments, authority: str) -> JwtSettings:
    """Return the issuer of the --oidc-… arguments; `authority`: PEM of --oidc-ca-file.

    Raises:
        ConfigError: a value cannot be used.
    """
    issuer = arguments.text("oidc-issuer-url")
    if not _HTTPS.fullmatch(issuer):
        raise ConfigError(
            f"oidc-issuer-url: {issuer!r}: must be a https URL without user, query and fragment"
        )
    claim = arguments.text("oidc-username-claim", "sub")
    prefix = arguments.text("oidc-username-prefix")
    if prefix == "-":
        prefix = ""
    elif not prefix and claim != "email":
        prefix = f"{issuer}#"
    rules = []
    for pair in arguments.texts("oidc-required-claim"):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"oidc-required-claim: {pair!r}: must be claim=value")
        rules.append(Rule(name, value))
    algorithms = arguments.texts("oidc-signing-algs") or ("RS256",)
    for one in algorithms:
        if one not in ALGORITHMS:
            raise ConfigError(f"oidc-signing-algs: {one!r}: must be of {', '.join(ALGORITHMS)}")
    return JwtSettings(
        issuer=issuer,
        authority=authority,
        audiences=(arguments.text("oidc-client-id"),),
        algorithms=algorithms,
        username=Mapping(claim, prefix),
        groups=Mapping(arguments.text("oidc-groups-claim"), arguments.text("oidc-groups-prefix")),
        claim_rules=tuple(rules),
    )
