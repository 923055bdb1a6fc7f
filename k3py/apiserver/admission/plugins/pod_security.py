"""Pods keep to the security level that their namespace asks for.

Source: k8s.io/pod-security-admission/admission v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.pod_security.evaluation import evaluate
from k3py.api.pod_security.labels import PREFIX, read_policy, validate_policy_labels
from k3py.api.resource import NAMESPACES, PODS
from k3py.api.status import invalid
from k3py.apiserver.admission.plugins.base import BasePlugin, refuse
from k3py.apiserver.admission.settings import PodSecuritySettings

if TYPE_CHECKING:
    from k3py.api.pod_security.labels import DefaultLevels, LevelVersion
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject

# Where the pod template of a kind is.
_TEMPLATES: Final = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}
_MOST_PODS: Final = 3000


class PodSecurity(BasePlugin):
    """See the module."""

    name = "PodSecurity"

    def __init__(self, lookup: Lookup, settings: PodSecuritySettings | None = None) -> None:
        self._lookup = lookup
        self._settings = settings or PodSecuritySettings()

    def handles(self, request: AdmissionRequest) -> bool:
        """See writes of namespaces, pods and what makes pods."""
        if request.operation not in ("CREATE", "UPDATE"):
            return False
        key = (request.kind.group, request.kind.plural)
        if key == ("", "pods"):
            return request.subresource in ("", "ephemeralcontainers")
        return not request.subresource and (key == ("", "namespaces") or key in _TEMPLATES)

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse pods with 403 and namespaces with 422; warn about templates."""
        key = (request.kind.group, request.kind.plural)
        if (why := self._find_exemption(request, key)) is not None:
            request.annotate(f"{PREFIX}exempt", why)
            return
        if key == ("", "namespaces"):
            await self._judge_namespace(request)
            return
        namespace = await self._lookup.find(NAMESPACES, "", request.namespace)
        labels = ((namespace or {}).get("metadata") or {}).get("labels")
        if key == ("", "pods"):
            _judge_pod(request, labels, self._settings.defaults)
            return
        template = _template_of(request.obj, key)
        _note(request, template, read_policy(labels, "audit", self._settings.defaults))
        _warn(request, template, read_policy(labels, "warn", self._settings.defaults))

    def _find_exemption(self, request: AdmissionRequest, key: tuple[str, str]) -> str | None:
        """Return what exempts a request from all levels."""
        settings = self._settings
        if request.namespace in settings.namespaces and request.namespace:
            return "namespace"
        if key == ("", "namespaces"):
            return None
        if request.user.name in settings.usernames:
            return "user"
        if settings.runtime_classes:
            pod = (request.obj or {}) if key == ("", "pods") else _template_of(request.obj, key)
            if (pod.get("spec") or {}).get("runtimeClassName") in settings.runtime_classes:
                return "runtimeClass"
        return None

    async def _judge_namespace(self, request: AdmissionRequest) -> None:
        labels = _labels_of(request.obj)
        errors = validate_policy_labels(labels)
        if request.old is not None:
            known = [one.path for one in validate_policy_labels(_labels_of(request.old))]
            errors = [one for one in errors if one.path not in known]
        if errors:
            raise invalid("", "Namespace", request.name, errors)
        if request.old is None:
            return
        defaults = self._settings.defaults
        new = read_policy(labels, "enforce", defaults)
        old = read_policy(_labels_of(request.old), "enforce", defaults)
        is_stricter = new.strictness > old.strictness or new.minor != old.minor
        if new == old or new.level == "privileged" or not is_stricter:
            return
        request.warnings += await self._find_violations(request.name, new)

    async def _find_violations(self, namespace: str, policy: LevelVersion) -> list[str]:
        """Return warnings about pods that are there already, those with the same faults together."""
        pods = (await self._lookup.list(PODS, namespace))[:_MOST_PODS]
        groups: dict[str, list[str]] = {}
        for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
            found = evaluate(pod, policy)
            if found:
                groups.setdefault(", ".join(one.title for one in found), []).append(pod["metadata"]["name"])
        if not groups:
            return []
        lines = [
            f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{policy}"'
        ]
        for titles, names in sorted(groups.items(), key=lambda one: one[1][0]):
            others = len(names) - 1
            more = f" (and {others} other {'pod' if others == 1 else 'pods'})" if others else ""
            lines.append(f"{names[0]}{more}: {titles}")
        return lines


def _labels_of(obj: JsonObject | None) -> JsonObject:
    return ((obj or {}).get("metadata") or {}).get("labels") or {}


def _template_of(obj: JsonObject | None, key: tuple[str, str]) -> JsonObject:
    template = obj or {}
    for part in _TEMPLATES[key]:
        template = template.get(part) or {}
    return template


def _judge_pod(request: AdmissionRequest, labels: JsonObject | None, defaults: DefaultLevels) -> None:
    enforced = read_policy(labels, "enforce", defaults)
    pod = request.obj or {}
    if request.operation == "UPDATE" and not _is_significant(pod, request.old or {}):
        return
    request.annotate(f"{PREFIX}enforce-policy", str(enforced))
    _note(request, pod, read_policy(labels, "audit", defaults))
    found = evaluate(pod, enforced)
    if found:
        listed = ", ".join(str(one) for one in found)
        raise refuse(request, f'violates PodSecurity "{enforced}": {listed}')
    _warn(request, pod, read_policy(labels, "warn", defaults))


def _note(request: AdmissionRequest, pod: JsonObject, policy: LevelVersion) -> None:
    if request.annotations is None:
        return
    if found := evaluate(pod, policy):
        listed = ", ".join(str(one) for one in found)
        request.annotate(f"{PREFIX}audit-violations", f'would violate PodSecurity "{policy}": {listed}')


def _warn(request: AdmissionRequest, pod: JsonObject, policy: LevelVersion) -> None:
    found = evaluate(pod, policy)
    if found:
        listed = ", ".join(str(one) for one in found)
        request.warnings.append(f'would violate PodSecurity "{policy}": {listed}')


def _is_significant(new: JsonObject, old: JsonObject) -> bool:
    """Say whether an update changes what runs: its images, or which containers there are."""

    def images(pod: JsonObject) -> list[tuple[str, str]]:
        spec = pod.get("spec") or {}
        fields = ("initContainers", "containers", "ephemeralContainers")
        return [
            (one.get("name", ""), one.get("image", "")) for field in fields for one in spec.get(field) or ()
        ]

    return images(new) != images(old)
