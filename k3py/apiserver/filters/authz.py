"""May the user see this path: authorization outside the Dispatcher.

That is non-resource paths, and resource paths that lead nowhere (so that 404 and 405 tell nothing to those who may not ask).
Source: k8s.io/apiserver/pkg/endpoints/filters/authorization.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.apiserver.interface import Attributes

if TYPE_CHECKING:
    from k3py.api.user import User
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.apiserver.interface import Authorizer

_ALWAYS_ALLOWED: Final = frozenset(("/healthz", "/readyz", "/livez"))


async def authorize_path(authorizer: Authorizer, info: RequestInfo, user: User) -> None:
    """Check a non-resource request. Raises ApiError 403."""
    if info.path in _ALWAYS_ALLOWED:
        return
    decision = await authorizer.authorize(Attributes(user=user, verb=info.verb, path=info.path))
    if not decision.allowed:
        message = f'forbidden: User "{user.name}" cannot {info.verb} path "{info.path}"'
        if decision.reason:
            message += f": {decision.reason}"
        raise ApiError(403, "Forbidden", message, details={})


async def authorize_resource(authorizer: Authorizer, info: RequestInfo, user: User) -> None:
    """Check a resource request that the Dispatcher will not see. Raises ApiError 403."""
    decision = await authorizer.authorize(
        Attributes(
            user=user,
            verb=info.verb or info.method.lower(),
            group=info.group,
            version=info.version,
            resource=info.resource,
            subresource=info.subresource,
            namespace=info.namespace,
            name=info.name,
        )
    )
    if decision.allowed:
        return
    path = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    subject = f"{info.resource}.{info.group}" if info.group else info.resource
    named = f'{subject} "{info.name}"' if info.name else subject
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    message = (
        f'{named} is forbidden: User "{user.name}" cannot {info.verb} resource "{path}" '
        f'in API group "{info.group}" {where}'
    )
    if decision.reason:
        message += f": {decision.reason}"
    details = {"kind": info.resource}
    if info.name:
        details["name"] = info.name
    if info.group:
        details["group"] = info.group
    raise ApiError(403, "Forbidden", message, details=details)
