"""What an object uses of a ResourceQuota: pure.

Source: kubernetes/pkg/quota/v1/evaluator/core v1.35. Amounts are exact numbers, by quota name ("requests.cpu", "count/pods").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from k3py.api.quantity import format_of, format_quantity, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from k3py.api.quantity import QuantityFormat
    from k3py.jsontypes import JsonObject

_PLAIN: Final = ("cpu", "memory", "ephemeral-storage")
_LEGACY: Final = ("configmaps", "secrets", "replicationcontrollers", "resourcequotas")
_CLASS_SUFFIX: Final = ".storageclass.storage.k8s.io/"
_ONE: Final = Decimal(1)


@dataclass(slots=True)
class Usage:
    """Amounts by quota name, and how each is written."""

    amounts: dict[str, Decimal] = field(default_factory=dict)
    forms: dict[str, QuantityFormat] = field(default_factory=dict)

    def add(self, name: str, amount: Decimal, form: QuantityFormat = "DecimalSI") -> None:
        """Add to one amount."""
        self.amounts[name] = self.amounts.get(name, Decimal(0)) + amount
        self.forms.setdefault(name, form)

    def add_all(self, other: Usage) -> None:
        """Add all amounts of another usage."""
        for name, amount in other.amounts.items():
            self.add(name, amount, other.forms[name])

    def shown(self, names: Iterable[str]) -> dict[str, str]:
        """Return the amounts of `names` as the API writes them, 0 where there is none."""
        return {
            name: format_quantity(self.amounts.get(name, Decimal(0)), self.forms.get(name, "DecimalSI"))
            for name in names
        }


def count_name(group: str, plural: str) -> str:
    """Return the name under which objects of a resource are counted."""
    return f"count/{plural}.{group}" if group else f"count/{plural}"


def usage_of(group: str, plural: str, obj: JsonObject) -> Usage:
    """Return what one object uses."""
    usage = Usage()
    usage.add(count_name(group, plural), _ONE)
    if group:
        return usage
    if plural == "pods":
        _add_pod(usage, obj)
    elif plural == "services":
        _add_service(usage, obj)
    elif plural == "persistentvolumeclaims":
        _add_claim(usage, obj)
    elif plural in _LEGACY:
        usage.add(plural, _ONE)
    return usage


def _add_pod(usage: Usage, pod: JsonObject) -> None:
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return
    usage.add("pods", _ONE)
    for side in ("requests", "limits"):
        for name, (amount, form) in pod_amounts(pod.get("spec") or {}, side).items():
            if side == "limits":
                if name in _PLAIN:
                    usage.add(f"limits.{name}", amount, form)
                continue
            usage.add(f"requests.{name}", amount, form)
            if name in _PLAIN or name.startswith("hugepages-"):
                usage.add(name, amount, form)


def pod_amounts(spec: JsonObject, side: str) -> dict[str, tuple[Decimal, QuantityFormat]]:
    """Return a pod's requests or limits: its containers and sidecars together, or its largest init container, and the overhead."""
    total: dict[str, Decimal] = {}
    peak: dict[str, Decimal] = {}
    forms: dict[str, QuantityFormat] = {}

    def amounts(resources: Mapping[str, str] | None) -> dict[str, Decimal]:
        for name, text in (resources or {}).items():
            forms.setdefault(name, format_of(text))
        return {name: parse_quantity(text) for name, text in (resources or {}).items()}

    sidecars: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        wanted = amounts((container.get("resources") or {}).get(side))
        if container.get("restartPolicy") == "Always":
            _sum(sidecars, wanted)
            _sum(total, wanted)
            wanted = {}
        for name in {*wanted, *sidecars}:
            at_once = wanted.get(name, Decimal(0)) + sidecars.get(name, Decimal(0))
            peak[name] = max(peak.get(name, Decimal(0)), at_once)
    for container in spec.get("containers") or ():
        _sum(total, amounts((container.get("resources") or {}).get(side)))
    for name, amount in peak.items():
        total[name] = max(total.get(name, Decimal(0)), amount)
    total.update(amounts((spec.get("resources") or {}).get(side)))
    overhead = amounts(spec.get("overhead"))
    for name, amount in overhead.items():
        if side == "requests" or name in total:
            total[name] = total.get(name, Decimal(0)) + amount
    return {name: (amount, forms[name]) for name, amount in total.items()}


def _sum(total: dict[str, Decimal], part: Mapping[str, Decimal]) -> None:
    for name, amount in part.items():
        total[name] = total.get(name, Decimal(0)) + amount


def _add_service(usage: Usage, service: JsonObject) -> None:
    usage.add("services", _ONE)
    spec = service.get("spec") or {}
    ports = spec.get("ports") or ()
    if spec.get("type") == "NodePort":
        usage.add("services.nodeports", Decimal(len(ports)))
    elif spec.get("type") == "LoadBalancer":
        usage.add("services.loadbalancers", _ONE)
        if spec.get("allocateLoadBalancerNodePorts") is False:
            ports = [one for one in ports if one.get("nodePort")]
        usage.add("services.nodeports", Decimal(len(ports)))


def _add_claim(usage: Usage, claim: JsonObject) -> None:
    spec = claim.get("spec") or {}
    annotations = claim["metadata"].get("annotations") or {}
    class_name = annotations.get("volume.beta.kubernetes.io/storage-class") or spec.get("storageClassName")
    prefixes = ["", f"{class_name}{_CLASS_SUFFIX}"] if class_name else [""]
    text = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    for prefix in prefixes:
        usage.add(f"{prefix}persistentvolumeclaims", _ONE)
        if text:
            usage.add(f"{prefix}requests.storage", parse_quantity(text), format_of(text))


def covers(quota: JsonObject, group: str, plural: str, obj: JsonObject) -> bool:
    """Say whether the quota's scopes select the object; scopes select nothing but pods."""
    terms = scopes_of(quota)
    if not terms:
        return True
    return (group, plural) == ("", "pods") and all(matches_scope(one, obj) for one in terms)


def scopes_of(quota: JsonObject) -> list[JsonObject]:
    """Return the quota's scopes in their long form."""
    spec = quota.get("spec") or {}
    terms: list[JsonObject] = [{"scopeName": one, "operator": "Exists"} for one in spec.get("scopes") or ()]
    terms += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return terms


def matches_scope(term: JsonObject, pod: JsonObject) -> bool:
    """Say whether a scope selects a pod."""
    spec = pod.get("spec") or {}
    match term["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return _is_best_effort(spec)
        case "NotBestEffort":
            return not _is_best_effort(spec)
        case "PriorityClass":
            name, values = spec.get("priorityClassName") or "", term.get("values") or ()
            operator = term["operator"]
            if operator == "In":
                return name in values
            if operator == "NotIn":
                return name not in values
            return bool(name) is (operator == "Exists")
        case "CrossNamespacePodAffinity":
            return _crosses_namespaces(spec.get("affinity") or {})
    return False


def _is_best_effort(spec: JsonObject) -> bool:
    return not any(
        (container.get("resources") or {}).get(side)
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
        for side in ("requests", "limits")
    )


def _crosses_namespaces(affinity: JsonObject) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [
            one["podAffinityTerm"]
            for one in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
        if any(one.get("namespaces") or one.get("namespaceSelector") is not None for one in terms):
            return True
    return False
