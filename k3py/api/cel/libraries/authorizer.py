"""Questions to the authorizer. Source: k8s.io/apiserver/pkg/cel/library/authz.go v0.35."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.overload import Overload, Size, member
from k3py.api.cel.types import (
    AUTHORIZER,
    BOOL,
    DECISION,
    GROUP_CHECK,
    PATH_CHECK,
    RESOURCE_CHECK,
    STRING,
    CelType,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CHECK_COST: Final[Size] = (350_000, 350_000)
_ACCOUNT: Final = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Check:
    """A question; service_account "" = about the user of the request. field_selector, label_selector: as written."""

    verb: str = ""
    service_account: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer; `error` "" = there was none."""

    cel_type: ClassVar[CelType] = DECISION
    allowed: bool
    reason: str = ""
    error: str = ""


class _Question:
    """A question that is being put together."""

    __slots__ = ("check", "decide")

    def __init__(self, check: Check, decide: Callable[[Check], Verdict]) -> None:
        self.check = check
        self.decide = decide


class Authorizer(_Question):
    """The variable `authorizer`; `decide` may raise what its caller understands to ask later."""

    __slots__ = ()
    cel_type: ClassVar[CelType] = AUTHORIZER


class _PathCheck(_Question):
    __slots__ = ()
    cel_type: ClassVar[CelType] = PATH_CHECK


class _GroupCheck(_Question):
    __slots__ = ()
    cel_type: ClassVar[CelType] = GROUP_CHECK


class ResourceCheck(_Question):
    """The variable `authorizer.requestResource`."""

    __slots__ = ()
    cel_type: ClassVar[CelType] = RESOURCE_CHECK


def _service_account(one: Authorizer, namespace: str, name: str) -> Authorizer:
    if not namespace or not name:
        raise EvaluationFault("Invalid service account: namespace and name must not be empty")
    return Authorizer(replace(one.check, service_account=f"{_ACCOUNT}{namespace}:{name}"), one.decide)


def _path(one: Authorizer, path: str) -> _PathCheck:
    if not path:
        raise EvaluationFault("path must not be empty")
    return _PathCheck(replace(one.check, path=path), one.decide)


def _group(one: Authorizer, group: str) -> _GroupCheck:
    return _GroupCheck(replace(one.check, group=group), one.decide)


def _resource(one: _GroupCheck, resource: str) -> ResourceCheck:
    return ResourceCheck(replace(one.check, resource=resource), one.decide)


def _narrow(key: str) -> Overload:
    def narrow(one: ResourceCheck, value: str) -> ResourceCheck:
        return ResourceCheck(replace(one.check, **{_KEYS.get(key, key): value}), one.decide)

    return member(key, (RESOURCE_CHECK, STRING), RESOURCE_CHECK, narrow)


def _check(one: _Question, verb: str) -> Verdict:
    return one.decide(replace(one.check, verb=verb))


def _costly(_sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    return _CHECK_COST, None


_KEYS: Final = {"fieldSelector": "field_selector", "labelSelector": "label_selector"}

OVERLOADS: Final = (
    member("path", (AUTHORIZER, STRING), PATH_CHECK, _path),
    member("group", (AUTHORIZER, STRING), GROUP_CHECK, _group),
    member("serviceAccount", (AUTHORIZER, STRING, STRING), AUTHORIZER, _service_account),
    member("resource", (GROUP_CHECK, STRING), RESOURCE_CHECK, _resource),
    _narrow("subresource"),
    _narrow("namespace"),
    _narrow("name"),
    _narrow("fieldSelector"),
    _narrow("labelSelector"),
    member("check", (PATH_CHECK, STRING), DECISION, _check, _costly),
    member("check", (RESOURCE_CHECK, STRING), DECISION, _check, _costly),
    member("errored", (DECISION,), BOOL, lambda one: bool(one.error)),
    member("error", (DECISION,), STRING, lambda one: one.error),
    member("allowed", (DECISION,), BOOL, lambda one: one.allowed),
    member("reason", (DECISION,), STRING, lambda one: one.reason),
)
