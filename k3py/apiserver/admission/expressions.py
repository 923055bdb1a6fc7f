"""What expressions may refer to, taken from a request; questions to the authorizer are answered between two tries.

Source: k8s.io/apiserver/pkg/admission/plugin/cel v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from k3py.api.cel.admission import NeedsTime
from k3py.api.cel.libraries.authorizer import Authorizer as AuthorizerValue
from k3py.api.cel.libraries.authorizer import Check, ResourceCheck, Verdict
from k3py.api.resource import NAMESPACES
from k3py.api.user import AUTHENTICATED, User
from k3py.apiserver.interface import Attributes
from k3py.errors import K3pyError
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.kind import Kind
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest, Authorizer
    from k3py.jsontypes import JsonObject, JsonValue

T = TypeVar("T")
_PATIENCE: Final = 50_000  # some 20 ms


class Undecided(K3pyError):
    """An expression asks something of which the answer is not known yet."""

    def __init__(self, check: Check) -> None:
        super().__init__("the authorizer has not been asked yet")
        self.check = check


class Questions:
    """Answers what expressions about one request ask the authorizer: expressions run again once it has answered."""

    def __init__(self, authorizer: Authorizer, user: User) -> None:
        self._authorizer = authorizer
        self._user = user
        self._answers: dict[Check, Verdict] = {}

    def decide(self, check: Check) -> Verdict:
        """Return a known answer. Raises Undecided."""
        known = self._answers.get(check)
        if known is None:
            raise Undecided(check)
        return known

    async def settle(self, run: Callable[[int | None], T]) -> T:
        """Return `run(patience)` once all that it asks is answered, in a thread if it takes long; `run` must be repeatable."""
        patience: int | None = _PATIENCE
        while True:
            try:
                return await offload(run, None) if patience is None else run(patience)
            except NeedsTime:
                patience = None
                continue
            except Undecided as open_question:
                check = open_question.check
            self._answers[check] = await self._ask(check)

    async def _ask(self, check: Check) -> Verdict:
        decision = await self._authorizer.authorize(
            Attributes(
                user=_account(check.service_account) if check.service_account else self._user,
                verb=check.verb,
                group=check.group,
                version="*" if not check.path else "",
                resource=check.resource,
                subresource=check.subresource,
                namespace=check.namespace,
                name=check.name,
                path=check.path,
                field_selector=check.field_selector,
            )
        )
        return Verdict(allowed=decision.allowed, reason=decision.reason)


def _account(name: str) -> User:
    namespace = name.split(":")[2]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(name=name, groups=groups)


def bind_values(
    request: AdmissionRequest,
    described: JsonObject,
    kind: Kind,
    objects: tuple[JsonObject | None, JsonObject | None],
    questions: Questions,
) -> dict[str, JsonValue]:
    """Return values by name; `objects` are the new and the old one in the version of `kind`. namespaceObject is not among them."""
    check = Check(
        group=kind.group,
        resource=kind.plural,
        subresource=request.subresource,
        namespace=request.namespace,
        name=request.name,
    )
    return {
        "object": objects[0],
        "oldObject": objects[1],
        "request": described,
        "authorizer": AuthorizerValue(Check(), questions.decide),
        "authorizer.requestResource": ResourceCheck(check, questions.decide),
    }


async def find_namespace(request: AdmissionRequest, lookup: Lookup) -> JsonObject | None:
    """Return the namespace of the request (read-only); cluster-scoped objects, and namespaces, have none."""
    if not request.namespace or not request.kind.namespaced:
        return None
    return await lookup.find(NAMESPACES, "", request.namespace)
