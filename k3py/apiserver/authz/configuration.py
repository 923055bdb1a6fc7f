"""Which authorizers there are, in which order: AuthorizationConfiguration, or the --authorization-… arguments.

Source: k8s.io/apiserver/pkg/apis/apiserver/{v1,validation}, kubernetes/pkg/kubeapiserver/authorizer v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.names import find_subdomain_faults
from k3py.apiserver.authz.webhook import WebhookSettings
from k3py.config.fields import Fields, load_document
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from k3py.api.cel.program import Program
    from k3py.config.api_server_arguments import ApiServerArguments
    from k3py.jsontypes import JsonObject

_VERSIONS: Final = tuple(f"apiserver.config.k8s.io/{one}" for one in ("v1", "v1beta1", "v1alpha1"))
_TYPES: Final = ("Node", "RBAC", "Webhook", "AlwaysAllow", "AlwaysDeny")
_LONGEST_TIMEOUT_S: Final = 30.0
DEFAULT_MODES: Final = ("Node", "RBAC")

_RESOURCE: Final[JsonObject] = {
    "type": "object",
    "properties": {
        **{
            name: {"type": "string"}
            for name in ("namespace", "verb", "group", "version", "resource", "subresource", "name")
        },
    },
}
_PATH: Final[JsonObject] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "verb": {"type": "string"}},
}
_REQUEST: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "user": {"type": "string"},
        "uid": {"type": "string"},
        "groups": {"type": "array", "items": {"type": "string"}},
        "extra": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "resourceAttributes": _RESOURCE,
        "nonResourceAttributes": _PATH,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizerEntry:
    """mode: "Node", "RBAC", "Webhook", "AlwaysAllow" or "AlwaysDeny"; kubeconfig, timeout_s, webhook: of a webhook."""

    mode: str
    kubeconfig: Path | None = None
    timeout_s: float = 10.0
    webhook: WebhookSettings | None = None


DEFAULT: Final = tuple(AuthorizerEntry(mode=one) for one in DEFAULT_MODES)


def load_authorization(file: Path) -> tuple[AuthorizerEntry, ...]:
    """Read an AuthorizationConfiguration. Blocking.

    Raises:
        ConfigError: it cannot be read or used; names the field.
    """
    fields = load_document(file, "authorization-config", "AuthorizationConfiguration", _VERSIONS)
    entries: list[AuthorizerEntry] = []
    names: set[str] = set()
    found = fields.objects("authorizers")
    if not found:
        raise fields.fault("authorizers", "must hold at least one")
    for one in found:
        mode = one.text("type", default=None, allowed=_TYPES)
        name = one.text("name", default=None)
        if faults := find_subdomain_faults(name):
            raise one.fault("name", f"{name!r}: {'; '.join(faults)}")
        if name in names:
            raise one.fault("name", f"{name!r}: stands there twice")
        names.add(name)
        if mode != "Webhook" and any(entry.mode == mode for entry in entries):
            raise one.fault("type", f"{mode!r}: stands there twice")
        webhook = one.object("webhook")
        if (webhook is None) != (mode != "Webhook"):
            raise one.fault("webhook", "must be given for the type Webhook, and for no other")
        entries.append(_read_webhook(webhook, name) if webhook is not None else AuthorizerEntry(mode=mode))
        one.finish()
    fields.finish()
    return tuple(entries)


def _read_webhook(fields: Fields, name: str) -> AuthorizerEntry:
    authorized_s = fields.seconds("authorizedTTL", default=300.0)
    unauthorized_s = fields.seconds("unauthorizedTTL", default=30.0)
    timeout_s = fields.seconds("timeout", default=0.0)
    if not 0 < timeout_s <= _LONGEST_TIMEOUT_S:
        raise fields.fault("timeout", "must be given, more than 0s and at most 30s")
    for field in ("cacheAuthorizedRequests", "cacheUnauthorizedRequests"):
        if not fields.flag(field, default=True):
            authorized_s, unauthorized_s = (
                (0.0, unauthorized_s) if "Unauthorized" not in field else (authorized_s, 0.0)
            )
    version = fields.text("subjectAccessReviewVersion", default=None, allowed=("v1", "v1beta1"))
    condition_version = fields.text("matchConditionSubjectAccessReviewVersion", allowed=("", "v1"))
    policy = fields.text("failurePolicy", default=None, allowed=("NoOpinion", "Deny"))
    connection = fields.object("connectionInfo", required=True)
    assert connection is not None
    kind = connection.text("type", default=None, allowed=("KubeConfigFile", "InClusterConfig"))
    if kind == "InClusterConfig":
        raise connection.fault("type", "'InClusterConfig': must be 'KubeConfigFile': a server is no pod")
    kubeconfig = Path(connection.text("kubeConfigFile", default=None))
    if not kubeconfig.is_absolute():
        raise connection.fault("kubeConfigFile", f"'{kubeconfig}': must be an absolute path")
    connection.finish()
    conditions = fields.objects("matchConditions")
    if conditions and not condition_version:
        raise fields.fault("matchConditionSubjectAccessReviewVersion", "must be 'v1' for matchConditions")
    programs = tuple(_compile(one) for one in conditions)
    fields.finish()
    return AuthorizerEntry(
        mode="Webhook",
        kubeconfig=kubeconfig,
        timeout_s=timeout_s,
        webhook=WebhookSettings(
            name=name,
            version=version,
            authorized_ttl_s=authorized_s,
            unauthorized_ttl_s=unauthorized_s,
            deny_on_failure=policy == "Deny",
            conditions=programs,
        ),
    )


def _compile(fields: Fields) -> Program:
    # CEL is loaded only where somebody wrote an expression.
    from k3py.api.cel.declarations import declare  # noqa: PLC0415
    from k3py.api.cel.errors import CompilationFault  # noqa: PLC0415
    from k3py.api.cel.program import compile_expression  # noqa: PLC0415
    from k3py.api.cel.types import BOOL, DYNAMIC  # noqa: PLC0415

    text = fields.text("expression", default=None)
    fields.finish()
    declaration = declare(_REQUEST, path="object.request") or DYNAMIC
    try:
        return compile_expression(text, {"request": declaration}, result=BOOL)
    except CompilationFault as error:
        raise ConfigError(f"{fields.path('expression')}: {text!r}: {error}") from error


def authorization_of_arguments(arguments: ApiServerArguments) -> tuple[AuthorizerEntry, ...]:
    """Return the authorizers that arguments ask for. Blocking: reads files. Raises ConfigError."""
    file = arguments.path("authorization-config")
    if file is not None:
        return load_authorization(file)
    entries = []
    for mode in arguments.texts("authorization-mode") or DEFAULT_MODES:
        if mode != "Webhook":
            entries.append(AuthorizerEntry(mode=mode))
            continue
        settings = WebhookSettings(
            version=arguments.text("authorization-webhook-version", "v1beta1"),
            authorized_ttl_s=arguments.seconds("authorization-webhook-cache-authorized-ttl", 300.0),
            unauthorized_ttl_s=arguments.seconds("authorization-webhook-cache-unauthorized-ttl", 30.0),
        )
        kubeconfig = arguments.path("authorization-webhook-config-file")
        entries.append(AuthorizerEntry(mode=mode, kubeconfig=kubeconfig, timeout_s=30.0, webhook=settings))
    return tuple(entries)
