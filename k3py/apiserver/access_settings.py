"""How people and programs prove who they are and what they may, beyond what every server has: read from files at the start.

Heavy parts (webhooks, JWTs, expressions) are loaded only when they are configured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from k3py.api.user import User
    from k3py.apiserver.authn.json_web_token.settings import JwtSettings
    from k3py.apiserver.authz.configuration import AuthorizerEntry
    from k3py.apiserver.interface import Authenticator, Authorizer
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.config.api_server_arguments import ApiServerArguments


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """static_tokens: users by token. issuers: of JWTs. token_webhook: its kubeconfig, version of TokenReview and TTL in seconds.

    anonymous: requests without credentials are let in; anonymous_paths: on these only, None = on all.
    authorizers: None = Node and RBAC; `webhooks`: kubeconfigs of its webhooks, in their order.
    authentication_file, authorization_file: where issuers and authorizers were read from, if from files that are followed; `contents`:
    what was in them.
    """

    static_tokens: Mapping[str, User] = field(default_factory=dict)
    issuers: Sequence[JwtSettings] = ()
    token_webhook: tuple[Kubeconfig, str, float] | None = None
    anonymous: bool = True
    anonymous_paths: frozenset[str] | None = None
    authorizers: Sequence[AuthorizerEntry] | None = None
    webhooks: Sequence[Kubeconfig] = ()
    authentication_file: Path | None = None
    authorization_file: Path | None = None
    contents: Mapping[Path, bytes] = field(default_factory=dict)

    def make_issuers(self) -> list[Authenticator]:
        """Return the authenticators of JWTs, in order."""
        if not self.issuers:
            return []
        from k3py.apiserver.authn.json_web_token.authenticator import JwtAuthenticator  # noqa: PLC0415
        from k3py.apiserver.authn.json_web_token.issuer_keys import IssuerKeys  # noqa: PLC0415

        return [JwtAuthenticator(one, IssuerKeys(one)) for one in self.issuers]

    def make_token_webhook(self, audiences: Sequence[str]) -> list[Authenticator]:
        """Return the authenticator that asks a webhook about tokens, if it is configured."""
        made: list[Authenticator] = []
        if self.token_webhook is not None:
            from k3py.apiserver.authn.webhook_token import WebhookTokenAuthenticator  # noqa: PLC0415
            from k3py.apiserver.review_webhook import ReviewWebhook  # noqa: PLC0415

            kubeconfig, version, ttl_s = self.token_webhook
            webhook = ReviewWebhook(kubeconfig, name="token")
            made.append(WebhookTokenAuthenticator(webhook, version=version, audiences=audiences, ttl_s=ttl_s))
        return made

    def make_authorizers(self, built_in: Mapping[str, Authorizer]) -> list[Authorizer]:
        """Return the authorizers in order; `built_in`: "Node" and "RBAC"."""
        if self.authorizers is None:
            return list(built_in.values())
        from k3py.apiserver.authz.always import AlwaysAuthorizer  # noqa: PLC0415

        webhooks = iter(self.webhooks)
        made: list[Authorizer] = []
        for entry in self.authorizers:
            if entry.webhook is not None:
                from k3py.apiserver.authz.webhook import WebhookAuthorizer  # noqa: PLC0415
                from k3py.apiserver.review_webhook import ReviewWebhook  # noqa: PLC0415

                webhook = ReviewWebhook(next(webhooks), name=entry.webhook.name, timeout_s=entry.timeout_s)
                made.append(WebhookAuthorizer(webhook, entry.webhook))
            elif entry.mode in built_in:
                made.append(built_in[entry.mode])
            else:
                made.append(AlwaysAuthorizer(allows=entry.mode == "AlwaysAllow"))
        return made


def load_access_settings(arguments: ApiServerArguments) -> AccessSettings:
    """Read what the arguments name. Blocking.

    Raises:
        ConfigError: a file cannot be read or used; names it and the field.
        KubeconfigError: so for a kubeconfig.
    """
    if not arguments.values:
        return AccessSettings()
    from k3py.apiserver.authn.token_file import load_token_file  # noqa: PLC0415
    from k3py.client.kubeconfig import load_kubeconfig  # noqa: PLC0415

    # Before they are understood: what changes meanwhile is taken up later.
    followed = [arguments.path(name) for name in ("authentication-config", "authorization-config")]
    contents = {file: content_of(file) for file in followed if file is not None}
    tokens = arguments.path("token-auth-file")
    issuers, anonymous, paths = _load_issuers(arguments)
    webhook = arguments.path("authentication-token-webhook-config-file")
    token_webhook = None
    if webhook is not None:
        version = arguments.text("authentication-token-webhook-version", "v1beta1")
        ttl_s = arguments.seconds("authentication-token-webhook-cache-ttl", 120.0)
        token_webhook = (load_kubeconfig(webhook), version, ttl_s)
    authorizers = None
    if any(name.startswith("authorization-") for name in arguments.values):
        from k3py.apiserver.authz.configuration import authorization_of_arguments  # noqa: PLC0415

        authorizers = authorization_of_arguments(arguments)
    return AccessSettings(
        static_tokens=load_token_file(tokens) if tokens is not None else {},
        issuers=issuers,
        token_webhook=token_webhook,
        anonymous=anonymous,
        anonymous_paths=paths,
        authorizers=authorizers,
        webhooks=load_webhooks(authorizers or ()),
        authentication_file=arguments.path("authentication-config"),
        authorization_file=arguments.path("authorization-config"),
        contents=contents,
    )


def content_of(file: Path) -> bytes:
    """Return what is in a file, nothing if it cannot be read. Blocking."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def load_webhooks(authorizers: Sequence[AuthorizerEntry]) -> list[Kubeconfig]:
    """Read the kubeconfigs of webhooks that decide. Blocking. Raises KubeconfigError."""
    from k3py.client.kubeconfig import load_kubeconfig  # noqa: PLC0415 - few have one

    return [load_kubeconfig(one.kubeconfig) for one in authorizers if one.kubeconfig is not None]


def _load_issuers(
    arguments: ApiServerArguments,
) -> tuple[Sequence[JwtSettings], bool, frozenset[str] | None]:
    anonymous = arguments.flag("anonymous-auth", default=True)
    file = arguments.path("authentication-config")
    if file is None and not arguments.text("oidc-issuer-url"):
        return (), anonymous, None
    from k3py.apiserver.authn.json_web_token import settings  # noqa: PLC0415

    if file is not None:
        read = settings.load_authentication(file)
        if read.anonymous is None:
            return read.issuers, anonymous, None
        if "anonymous-auth" in arguments.values:
            raise ConfigError(f"{file}: anonymous: cannot be given together with anonymous-auth")
        return read.issuers, read.anonymous.enabled, read.anonymous.paths
    authority = ""
    if (ca_file := arguments.path("oidc-ca-file")) is not None:
        try:
            authority = ca_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"oidc-ca-file: '{ca_file}': cannot be read") from error
    return (settings.settings_of_arguments(arguments, authority),), anonymous, None
