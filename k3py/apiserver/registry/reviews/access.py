"""SubjectAccessReview, its Self and Local forms, and SelfSubjectRulesReview.

Source: k8s.io/kubernetes/pkg/registry/authorization, pkg/apis/authorization/validation v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, forbidden_field, invalid_value, required
from k3py.api.names import find_qualified_name_faults
from k3py.api.selectors import SelectorError, parse_field_selector, parse_label_selector
from k3py.api.status import bad_request, invalid
from k3py.api.user import User
from k3py.apiserver.interface import Attributes, ObjectResult
from k3py.apiserver.registry.decoding import decode_object, settle_namespace
from k3py.apiserver.registry.options import write_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.apiserver.authz.policy import Policy
    from k3py.apiserver.authz.rule import Rule
    from k3py.apiserver.interface import Authorizer
    from k3py.apiserver.registry.call import Call
    from k3py.apiserver.registry.table import Handler
    from k3py.jsontypes import JsonObject


_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")
_PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "fieldSelector": parse_field_selector,
    "labelSelector": parse_label_selector,
}
_OWN_METADATA: Final = ("managedFields", "namespace")


async def decode_review(call: Call) -> JsonObject:
    """Return the admitted review of the request. Raises ApiError."""
    options = write_options(call.request, "CreateOptions")
    review = decode_object(call, call.kind, field_validation=options.field_validation)
    call.services.patches.track(
        call.kind, None, review, manager=options.field_manager, subresource="", now=call.now()
    )
    request = call.admission_request("CREATE", name="", obj=review, old=None, dry_run=options.dry_run)
    await call.services.admission.admit(request)
    await call.services.admission.validate(request)
    return review


class AccessReviews:
    """Answers what somebody may do."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def create_self(self, call: Call) -> ObjectResult:
        """SelfSubjectAccessReview: about the requester. Raises ApiError."""
        review = await decode_review(call)
        spec = review.get("spec") or {}
        _raise_faults(call, _find_faults(spec) + _find_metadata_faults(review))
        return await self._answer(call, review, call.request.user)

    async def create(self, call: Call) -> ObjectResult:
        """SubjectAccessReview: about anybody. Raises ApiError."""
        review = await decode_review(call)
        spec = review.get("spec") or {}
        _raise_faults(call, _find_faults(spec) + _find_subject_faults(spec) + _find_metadata_faults(review))
        return await self._answer(call, review, _subject_of(spec))

    async def create_local(self, call: Call) -> ObjectResult:
        """LocalSubjectAccessReview: about anybody, in one namespace. Raises ApiError."""
        review = await decode_review(call)
        settle_namespace(call.kind, review, call.namespace)
        spec = review.get("spec") or {}
        errors = _find_faults(spec) + _find_subject_faults(spec)
        inner = (spec.get("resourceAttributes") or {}).get("namespace") or ""
        if spec.get("nonResourceAttributes"):
            errors.append(
                invalid_value(
                    "spec.nonResourceAttributes",
                    spec["nonResourceAttributes"],
                    "disallowed on this kind of request",
                )
            )
        elif inner != call.namespace:
            errors.append(
                invalid_value("spec.resourceAttributes.namespace", inner, "must match metadata.namespace")
            )
        _raise_faults(call, errors)
        return await self._answer(call, review, _subject_of(spec))

    async def _answer(self, call: Call, review: JsonObject, user: User) -> ObjectResult:
        decision = await self._authorizer.authorize(_attributes_of(review.get("spec") or {}, user))
        status: JsonObject = {"allowed": decision.allowed}
        if decision.denied and not decision.allowed:
            status["denied"] = True
        if decision.reason:
            status["reason"] = decision.reason
        if faults := _find_ignored_selectors(review.get("spec") or {}):
            status["evaluationError"] = faults
        review["status"] = status
        return ObjectResult(kind=call.kind, document=review, status_code=201)


def _raise_faults(call: Call, errors: list[FieldError]) -> None:
    if errors:
        raise invalid(call.kind.group, "", "", errors)


def _find_faults(spec: JsonObject) -> list[FieldError]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        return [
            invalid_value(
                "spec.nonResourceAttributes",
                path,
                "cannot be specified in combination with resourceAttributes",
            )
        ]
    if resource is None and path is None:
        return [
            invalid_value(
                "spec.resourceAttributes",
                None,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )
        ]
    return _find_selector_faults(resource) if resource is not None else []


def _find_metadata_faults(review: JsonObject) -> list[FieldError]:
    """Reviews are no objects: their metadata must be empty but for what the server puts there."""
    rest = {key: value for key, value in review["metadata"].items() if key not in _OWN_METADATA and value}
    return [invalid_value("metadata", rest, "must be empty")] if rest else []


def _find_selector_faults(resource: JsonObject) -> list[FieldError]:
    """Source: k8s.io/kubernetes/pkg/apis/authorization/validation ValidateResourceAttributes v1.35."""
    errors: list[FieldError] = []
    for field in ("fieldSelector", "labelSelector"):
        selector = resource.get(field)
        if selector is None:
            continue
        path = f"spec.resourceAttributes.{field}"
        requirements: list[JsonObject] = selector.get("requirements") or []
        if selector.get("rawSelector"):
            if requirements:
                text = "may not specify both at once"
                errors.append(invalid_value(f"{path}.rawSelector", selector["rawSelector"], text))
            continue
        if not requirements:
            errors.append(
                required(f"{path}.requirements", "when specified, requirements must have at least one entry")
            )
        for index, one in enumerate(requirements):
            errors += _find_requirement_faults(
                one, f"{path}.requirements[{index}]", is_label=field == "labelSelector"
            )
    return errors


def _find_requirement_faults(requirement: JsonObject, path: str, *, is_label: bool) -> list[FieldError]:
    key, values = requirement.get("key") or "", requirement.get("values")
    operator = requirement.get("operator") or ""
    errors: list[FieldError] = []
    if not key:
        errors.append(required(f"{path}.key", "must be specified"))
    elif is_label:
        errors += [invalid_value(f"{path}.key", key, fault) for fault in find_qualified_name_faults(key)]
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist") and values:
        text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        errors.append(forbidden_field(f"{path}.values", text))
    return errors


def _find_subject_faults(spec: JsonObject) -> list[FieldError]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [
        invalid_value("spec.user", spec.get("user") or "", "at least one of user or group must be specified")
    ]


def _subject_of(spec: JsonObject) -> User:
    return User(
        name=spec.get("user") or "",
        uid=spec.get("uid") or "",
        groups=tuple(spec.get("groups") or ()),
        extra={key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()},
    )


def _attributes_of(spec: JsonObject, user: User) -> Attributes:
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return Attributes(user=user, verb=path.get("verb") or "", path=path.get("path") or "")
    resource = spec.get("resourceAttributes") or {}
    return Attributes(
        user=user,
        verb=resource.get("verb") or "",
        group=resource.get("group") or "",
        version=resource.get("version") or "",
        resource=resource.get("resource") or "",
        subresource=resource.get("subresource") or "",
        namespace=resource.get("namespace") or "",
        name=resource.get("name") or "",
        field_selector=_field_selector_of(resource.get("fieldSelector") or {}),
        label_selector=_label_selector_of(resource.get("labelSelector") or {}),
    )


def _field_selector_of(selector: JsonObject) -> str:
    if selector.get("rawSelector"):
        return str(selector["rawSelector"])
    parts = []
    for one in selector.get("requirements") or ():
        values: list[str] = one.get("values") or []
        if len(values) == 1 and one.get("operator") in ("In", "NotIn"):
            parts.append(f"{one.get('key', '')}{'=' if one['operator'] == 'In' else '!='}{values[0]}")
    return ",".join(parts)


def _label_selector_of(selector: JsonObject) -> str:
    if selector.get("rawSelector"):
        return str(selector["rawSelector"])
    parts = []
    for one in selector.get("requirements") or ():
        key, values = one.get("key", ""), ",".join(one.get("values") or ())
        match one.get("operator"):
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def _find_ignored_selectors(spec: JsonObject) -> str:
    """Name the selectors that no authorizer sees, since they cannot be understood."""
    attributes = spec.get("resourceAttributes") or {}
    return ", ".join(
        f"spec.resourceAttributes.{field} ignored due to parse error"
        for field, parse in _PARSERS.items()
        if not _is_understood(attributes.get(field) or {}, parse)
    )


def _is_understood(selector: JsonObject, parse: Callable[[str], object]) -> bool:
    if any(one.get("operator") not in _OPERATORS for one in selector.get("requirements") or ()):
        return False
    try:
        parse(selector.get("rawSelector") or "")
    except SelectorError:
        return False
    return True


class RulesReviews:
    """SelfSubjectRulesReview: all that the requester may do in a namespace, as far as rules tell it.

    `asks_others`: webhooks decide, too, whose rules nobody knows.
    """

    def __init__(self, policy: Policy, *, asks_others: bool = False) -> None:
        self._policy = policy
        self._asks_others = asks_others

    async def create(self, call: Call) -> ObjectResult:
        """Answer with the rules. Raises ApiError."""
        review = await decode_review(call)
        spec = review.get("spec") or {}
        namespace = spec.get("namespace") or ""
        if not namespace:
            raise bad_request("no namespace on request")
        user = call.request.user
        resources: list[JsonObject] = []
        paths: list[JsonObject] = []
        for rule in self._policy.rules_for(user, namespace):
            _add(rule, resources, paths)
        review["metadata"], review["spec"] = {}, {}
        review["status"] = {
            "resourceRules": resources,
            "nonResourceRules": paths,
            "incomplete": self._asks_others,
        }
        if self._asks_others:
            review["status"]["evaluationError"] = "webhook authorizer does not support user rule resolution"
        return ObjectResult(kind=call.kind, document=review, status_code=201)


def _add(rule: Rule, resources: list[JsonObject], paths: list[JsonObject]) -> None:
    if rule.resources:
        one: JsonObject = {
            "verbs": list(rule.verbs),
            "apiGroups": list(rule.groups),
            "resources": list(rule.resources),
        }
        if rule.names:
            one["resourceNames"] = list(rule.names)
        resources.append(one)
    if rule.urls:
        paths.append({"verbs": list(rule.verbs), "nonResourceURLs": list(rule.urls)})


if TYPE_CHECKING:

    def _check(one: AccessReviews, other: RulesReviews) -> tuple[Handler, ...]:
        return one.create, one.create_self, one.create_local, other.create
