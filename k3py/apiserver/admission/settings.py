"""Which admission plugins run, and how: --enable-admission-plugins, --disable-admission-plugins, --admission-control-config-file.

Source: k8s.io/apiserver/pkg/server/options/admission.go, pkg/apis/apiserver v0.35; k8s.io/pod-security-admission/admission/api v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from k3py.api.pod_security.labels import LEVELS, DefaultLevels, LevelVersion, read_version
from k3py.apiserver.admission.plugins.resource_quota import LimitedResource
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.apiserver.admission.plugins.event_rate_limit import EventLimit
    from k3py.apiserver.admission.webhooks.credentials import WebhookCredentials
    from k3py.config.api_server_arguments import ApiServerArguments
    from k3py.config.fields import Fields

DEFAULT: Final = (
    "NamespaceLifecycle", "LimitRanger", "ServiceAccount", "NodeRestriction", "TaintNodesByCondition", "PodSecurity",
    "Priority", "DefaultTolerationSeconds", "DefaultStorageClass", "StorageObjectInUseProtection",
    "PersistentVolumeClaimResize", "RuntimeClass", "CertificateApproval", "CertificateSigning",
    "CertificateSubjectRestriction", "DefaultIngressClass", "PodTopologyLabels", "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook", "ResourceQuota",
)  # fmt: skip
OPTIONAL: Final = (
    "AlwaysPullImages",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
)
# Of kube-apiserver; whoever disables them has what they want.
_ABSENT: Final = (
    "AlwaysAdmit", "AlwaysDeny", "ClusterTrustBundleAttest", "ImagePolicyWebhook", "LimitPodHardAntiAffinityTopology",
    "MutatingAdmissionPolicy", "NamespaceAutoProvision", "NamespaceExists", "NodeDeclaredFeatureValidator",
    "OwnerReferencesPermissionEnforcement", "PodNodeSelector", "PodTolerationRestriction",
)  # fmt: skip
_FLAG: Final = "--kube-apiserver-arg=admission-control-config-file"
_CONFIGURATIONS: Final = ("apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1")
_POD_SECURITY: Final = tuple(
    f"pod-security.admission.config.k8s.io/{one}" for one in ("v1", "v1beta1", "v1alpha1")
)
_QUOTA: Final = tuple(
    f"{group}/{version}"
    for group, versions in (
        ("apiserver.config.k8s.io", ("v1",)),
        ("resourcequota.admission.k8s.io", ("v1", "v1beta1", "v1alpha1")),
    )
    for version in versions
)
_SECTIONS: Final = {
    "PodSecurity": ("PodSecurityConfiguration", _POD_SECURITY),
    "EventRateLimit": ("Configuration", ("eventratelimit.admission.k8s.io/v1alpha1",)),
    "ResourceQuota": ("ResourceQuotaConfiguration", _QUOTA),
    **dict.fromkeys(
        ("MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"),
        (
            "WebhookAdmissionConfiguration",
            ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1alpha1"),
        ),
    ),
}
_SCOPES: Final = (
    *("Terminating", "NotTerminating", "BestEffort", "NotBestEffort"),
    *("PriorityClass", "CrossNamespacePodAffinity"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSecuritySettings:
    """Levels of namespaces that say nothing, and who is exempt."""

    defaults: DefaultLevels = field(default_factory=DefaultLevels)
    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionSettings:
    """plugins: names of those that run, in no order. event_limits: of EventRateLimit. limited_resources: of ResourceQuota.

    mutating_credentials, validating_credentials: who this server is to webhooks, None = nobody.
    """

    plugins: frozenset[str] = frozenset(DEFAULT)
    pod_security: PodSecuritySettings = field(default_factory=PodSecuritySettings)
    event_limits: Sequence[EventLimit] = ()
    limited_resources: Sequence[LimitedResource] = ()
    mutating_credentials: WebhookCredentials | None = None
    validating_credentials: WebhookCredentials | None = None


def load_admission_settings(arguments: ApiServerArguments) -> AdmissionSettings:
    """Read what the arguments say, and the files that they name. Blocking.

    Raises:
        ConfigError: an unknown plugin, or a file that cannot be read or used; names the field.
    """
    enabled = _read_names(arguments, "enable-admission-plugins")
    disabled = _read_names(arguments, "disable-admission-plugins", also=_ABSENT)
    if both := enabled & disabled:
        raise ConfigError(f"disable-admission-plugins: {min(both)}: is in enable-admission-plugins, too")
    plugins = (frozenset(DEFAULT) | enabled) - disabled
    settings = AdmissionSettings(plugins=plugins)
    file = arguments.path("admission-control-config-file")
    if file is not None:
        settings = _load_file(file, settings)
    if "EventRateLimit" in plugins and not settings.event_limits:
        raise ConfigError(
            "enable-admission-plugins: EventRateLimit: needs limits in admission-control-config-file"
        )
    return settings


def _read_names(arguments: ApiServerArguments, flag: str, *, also: Sequence[str] = ()) -> frozenset[str]:
    known = sorted((*DEFAULT, *OPTIONAL, *also))
    for name in arguments.texts(flag):
        if name not in known:
            raise ConfigError(f"{flag}: {name!r}: must be one of {', '.join(known)}")
    return frozenset(arguments.texts(flag))


def _load_file(file: Path, settings: AdmissionSettings) -> AdmissionSettings:
    from k3py.config.fields import load_document  # noqa: PLC0415 - few have such a file

    document = load_document(file, _FLAG, "AdmissionConfiguration", _CONFIGURATIONS)
    for entry in document.objects("plugins"):
        name = entry.text("name", default=None, allowed=tuple(_SECTIONS))
        kind, versions = _SECTIONS[name]
        path = entry.text("path")
        inline = entry.object("configuration", required=not path)
        entry.finish()
        if inline is None:
            fields = load_document(file.parent / path, _FLAG, kind, versions)
        else:
            fields = inline
            _ = fields.text("kind", default=None, allowed=(kind,))
            _ = fields.text("apiVersion", default=None, allowed=versions)
        match name:
            case "PodSecurity":
                settings = replace(settings, pod_security=_read_pod_security(fields))
            case "EventRateLimit":
                settings = replace(settings, event_limits=_read_limits(fields))
            case "ResourceQuota":
                settings = replace(settings, limited_resources=_read_limited_resources(fields))
            case "MutatingAdmissionWebhook":
                settings = replace(settings, mutating_credentials=_read_credentials(fields))
            case _:
                settings = replace(settings, validating_credentials=_read_credentials(fields))
    document.finish()
    return settings


def _read_credentials(fields: Fields) -> WebhookCredentials:
    from pathlib import Path  # noqa: PLC0415 - as the next

    from k3py.apiserver.admission.webhooks.credentials import load_credentials  # noqa: PLC0415 - few have such a file

    file = Path(fields.text("kubeConfigFile", default=None))
    if not file.is_absolute():
        raise fields.fault("kubeConfigFile", f"'{file}': must be an absolute path")
    fields.finish()
    return load_credentials(file)


def _read_limited_resources(fields: Fields) -> tuple[LimitedResource, ...]:
    """Source: k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota/{v1,validation} v0.35."""
    found = []
    for one in fields.objects("limitedResources"):
        scopes = []
        for scope in one.objects("matchScopes"):
            operator = scope.text("operator", default=None, allowed=("In", "NotIn", "Exists", "DoesNotExist"))
            values = scope.texts("values")
            if bool(values) != (operator in ("In", "NotIn")):
                raise scope.fault("values", "must be given for In and NotIn, and for no other operator")
            name = scope.text("scopeName", default=None, allowed=_SCOPES)
            scopes.append({"scopeName": name, "operator": operator, "values": list(values)})
            scope.finish()
        limited = LimitedResource(
            one.text("apiGroup"),
            one.text("resource", default=None),
            one.texts("matchContains"),
            tuple(scopes),
        )
        one.finish()
        found.append(limited)
    fields.finish()
    return tuple(found)


def _read_pod_security(fields: Fields) -> PodSecuritySettings:
    found: dict[str, LevelVersion] = {}
    defaults = fields.object("defaults")
    if defaults is not None:
        for mode in ("enforce", "audit", "warn"):
            level = defaults.text(mode, default="privileged", allowed=LEVELS)
            text = defaults.text(f"{mode}-version", default="latest")
            minor = read_version(text)
            if minor is None:
                raise defaults.fault(f"{mode}-version", f'{text!r}: must be "latest" or "v1.x"')
            found[mode] = LevelVersion(level, minor)
        defaults.finish()
    exempt: dict[str, frozenset[str]] = {}
    exemptions = fields.object("exemptions")
    if exemptions is not None:
        for key, name in (("usernames",) * 2, ("namespaces",) * 2, ("runtimeClasses", "runtime_classes")):
            exempt[name] = frozenset(exemptions.texts(key))
        exemptions.finish()
    fields.finish()
    return PodSecuritySettings(defaults=DefaultLevels(**found), **exempt)


def _read_limits(fields: Fields) -> tuple[EventLimit, ...]:
    from k3py.apiserver.admission.plugins.event_rate_limit import LIMIT_TYPES, EventLimit  # noqa: PLC0415

    limits = []
    for one in fields.objects("limits"):
        kind = one.text("type", default=None, allowed=LIMIT_TYPES)
        limit = EventLimit(
            type=kind,
            qps=one.number("qps", least=1),
            burst=one.number("burst", least=1),
            cache_size=one.number("cacheSize", default=4096, least=1),
        )
        one.finish()
        limits.append(limit)
    fields.finish()
    return tuple(limits)
