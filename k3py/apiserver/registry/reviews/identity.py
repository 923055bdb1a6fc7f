"""TokenReview and SelfSubjectReview: who somebody is.

Source: k8s.io/kubernetes/pkg/registry/authentication/{tokenreview,selfsubjectreview} v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.status import ApiError, bad_request
from k3py.apiserver.authn.union import with_authenticated
from k3py.apiserver.interface import Credentials, ObjectResult
from k3py.apiserver.registry.reviews.access import decode_review

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.user import User
    from k3py.apiserver.authn.service_account import ServiceAccountAuthenticator
    from k3py.apiserver.interface import Authenticator
    from k3py.apiserver.registry.call import Call
    from k3py.apiserver.registry.table import Handler
    from k3py.jsontypes import JsonObject


def user_info(user: User) -> JsonObject:
    """Return a UserInfo."""
    info: JsonObject = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


async def create_self_subject_review(call: Call) -> ObjectResult:
    """Answer with the requester's own identity. Raises ApiError."""
    review = await decode_review(call)
    review["metadata"] = {"creationTimestamp": call.now()}
    review["status"] = {"userInfo": user_info(call.request.user)}
    return ObjectResult(kind=call.kind, document=review, status_code=201)


class TokenReviews:
    """Checks bearer tokens for others.

    Args:
        tokens: authenticators of bearer tokens that know no audiences.
        service_accounts: of service-account tokens, None = the server makes none.
        audiences: the API's own.
    """

    def __init__(
        self,
        *,
        tokens: Authenticator,
        service_accounts: ServiceAccountAuthenticator | None,
        audiences: Sequence[str],
    ) -> None:
        self._tokens = tokens
        self._service_accounts = service_accounts
        self._audiences = tuple(audiences)

    async def create(self, call: Call) -> ObjectResult:
        """Answer whose token it is. Raises ApiError."""
        review = await decode_review(call)
        spec = review.get("spec") or {}
        token = spec.get("token") or ""
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        wanted = tuple(spec.get("audiences") or ())
        try:
            user, audiences = await self._review(token, wanted or self._audiences)
        except ApiError as error:
            review["status"] = {"user": {}, "error": f"[invalid bearer token, {error.message}]"}
            return ObjectResult(kind=call.kind, document=review, status_code=201)
        status: JsonObject = {"user": {}}
        if user is not None:
            status = {"authenticated": True, "user": user_info(with_authenticated(user))}
            if audiences:
                status["audiences"] = list(audiences)
        review["status"] = status
        return ObjectResult(kind=call.kind, document=review, status_code=201)

    async def _review(self, token: str, audiences: Sequence[str]) -> tuple[User | None, tuple[str, ...]]:
        credentials = Credentials(bearer=token)
        if self._service_accounts is not None and self._service_accounts.is_ours(token):
            return await self._service_accounts.review(token, audiences)
        user = await self._tokens.authenticate(credentials)
        own = tuple(one for one in audiences if one in self._audiences)
        return (user, own) if user is not None and own else (None, ())


if TYPE_CHECKING:

    def _check(one: TokenReviews) -> tuple[Handler, ...]:
        return one.create, create_self_subject_review
