"""Another server decides, by SubjectAccessReview.

Source: k8s.io/apiserver/plugin/pkg/authorizer/webhook, pkg/apis/apiserver AuthorizationConfiguration v0.35.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.selectors import SelectorError, parse_field_selector, parse_label_selector
from k3py.apiserver.interface import Decision
from k3py.apiserver.review_webhook import WebhookFault
from k3py.errors import K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from k3py.api.cel.program import Program
    from k3py.apiserver.interface import Attributes, Authorizer
    from k3py.apiserver.review_webhook import ReviewWebhook
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

_MOST_REMEMBERED: Final = 4096
_COST_LIMIT: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """name: in messages. version: of SubjectAccessReview. deny_on_failure: else a failure is no opinion.

    authorized_ttl_s, unauthorized_ttl_s: how long answers are remembered, 0 = not. conditions: all must be true, or nobody is asked.
    """

    name: str = "webhook"
    version: str = "v1"
    authorized_ttl_s: float = 300.0
    unauthorized_ttl_s: float = 30.0
    deny_on_failure: bool = False
    conditions: tuple[Program, ...] = ()


class WebhookAuthorizer:
    """Asks a webhook and remembers what it said."""

    def __init__(self, webhook: ReviewWebhook, settings: WebhookSettings) -> None:
        self._webhook = webhook
        self._settings = settings
        self._known: OrderedDict[Hashable, tuple[float, Decision]] = OrderedDict()

    async def authorize(self, attributes: Attributes) -> Decision:
        """Decide."""
        spec = spec_of(attributes, self._settings.version)
        try:
            if not self._is_asked(spec):
                return Decision(False)
        except K3pyError as error:
            return self._failed(f"a match condition failed: {error}")
        key = _key_of(attributes)
        found = self._known.get(key)
        if found is not None and found[0] > clock.monotonic_s():
            return found[1]
        try:
            decision = await self._ask(spec)
        except WebhookFault as error:
            return self._failed(str(error))
        settings = self._settings
        ttl_s = settings.authorized_ttl_s if decision.allowed else settings.unauthorized_ttl_s
        if ttl_s > 0:
            self._known[key] = (clock.monotonic_s() + ttl_s, decision)
            self._known.move_to_end(key)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return decision

    def _is_asked(self, spec: JsonObject) -> bool:
        """Say whether all conditions hold; one that is false counts more than one that fails. Raises K3pyError."""
        failure: K3pyError | None = None
        for condition in self._settings.conditions:
            try:
                if condition.run({"request": spec}, limit=_COST_LIMIT)[0] is not True:
                    return False
            except K3pyError as error:
                failure = error
        if failure is not None:
            raise failure
        return True

    async def _ask(self, spec: JsonObject) -> Decision:
        review = {
            "kind": "SubjectAccessReview",
            "apiVersion": f"authorization.k8s.io/{self._settings.version}",
            "metadata": {"creationTimestamp": None},
            "spec": spec,
        }
        answer = await self._webhook.post(review)
        status = answer.get("status")
        if not isinstance(status, dict):
            raise WebhookFault("the webhook's answer has no status")
        allowed, denied = status.get("allowed") is True, status.get("denied") is True
        if allowed and denied:
            raise WebhookFault("the webhook both allowed and denied")
        return Decision(allowed, str(status.get("reason") or ""), denied)

    def _failed(self, why: str) -> Decision:
        log.warning("an authorization webhook failed", extra={"webhook": self._settings.name, "why": why})
        return Decision(False, "", denied=self._settings.deny_on_failure)


def spec_of(attributes: Attributes, version: str) -> JsonObject:
    """Return the spec of a SubjectAccessReview about a request."""
    user = attributes.user
    spec: JsonObject = {"user": user.name}
    if user.uid:
        spec["uid"] = user.uid
    if user.groups:
        spec["groups" if version == "v1" else "group"] = list(user.groups)
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}
    if attributes.path:
        spec["nonResourceAttributes"] = {"path": attributes.path, "verb": attributes.verb}
        return spec
    resource: JsonObject = {
        "namespace": attributes.namespace,
        "verb": attributes.verb,
        "group": attributes.group,
        "version": attributes.version,
        "resource": attributes.resource,
        "subresource": attributes.subresource,
        "name": attributes.name,
    }
    resource = {key: value for key, value in resource.items() if value}
    if fields := _field_requirements(attributes.field_selector):
        resource["fieldSelector"] = {"requirements": fields}
    if labels := _label_requirements(attributes.label_selector):
        resource["labelSelector"] = {"requirements": labels}
    spec["resourceAttributes"] = resource
    return spec


def _field_requirements(selector: str) -> Sequence[JsonObject]:
    if not selector:
        return ()
    try:
        terms = parse_field_selector(selector).terms
    except SelectorError:
        return ()
    return [
        {"key": one.field, "operator": "In" if one.equal else "NotIn", "values": [one.value]} for one in terms
    ]


def _label_requirements(selector: str) -> Sequence[JsonObject]:
    if not selector:
        return ()
    try:
        requirements = parse_label_selector(selector).requirements
    except SelectorError:
        return ()
    found: list[JsonObject] = []
    for one in requirements:
        operator = _OPERATORS.get(one.operator)
        if operator is None:
            continue
        requirement: JsonObject = {"key": one.key, "operator": operator}
        if one.values:
            requirement["values"] = list(one.values)
        found.append(requirement)
    return found


_OPERATORS: Final = {"in": "In", "notin": "NotIn", "exists": "Exists", "!": "DoesNotExist"}


def _key_of(attributes: Attributes) -> Hashable:
    user = attributes.user
    extra = tuple(sorted((key, tuple(values)) for key, values in user.extra.items()))
    return (
        user.name,
        user.uid,
        user.groups,
        extra,
        attributes.verb,
        attributes.group,
        attributes.version,
        attributes.resource,
        attributes.subresource,
        attributes.namespace,
        attributes.name,
        attributes.path,
        attributes.field_selector,
        attributes.label_selector,
    )


if TYPE_CHECKING:

    def _check(one: WebhookAuthorizer) -> Authorizer:
        return one
