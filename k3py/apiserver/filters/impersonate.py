"""Acting as somebody else: Impersonate-User, -Group, -Uid and -Extra-*.

Source: k8s.io/apiserver/pkg/endpoints/filters/impersonation.go v0.35; refusals come one at a time, user first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from k3py.api.names import find_label_faults, find_subdomain_faults
from k3py.api.status import ApiError, bad_request
from k3py.api.user import AUTHENTICATED, UNAUTHENTICATED, User
from k3py.apiserver.interface import Attributes

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from k3py.apiserver.interface import Authorizer

_USER: Final = "Impersonate-User"
_GROUP: Final = "Impersonate-Group"
_UID: Final = "Impersonate-Uid"
_EXTRA: Final = "impersonate-extra-"
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_AUTHENTICATION_GROUP: Final = "authentication.k8s.io"


async def impersonate(headers: CIMultiDictProxy[str], user: User, authorizer: Authorizer) -> User:
    """Return who `user` wants to act as; `user` when the headers ask for nobody.

    Raises:
        ApiError: 400 groups, uid or extra without a user; 403 not allowed.
    """
    name = headers.get(_USER, "")
    groups = tuple(headers.getall(_GROUP, ()))
    uid = headers.get(_UID, "")
    extra: dict[str, list[str]] = {}
    for key, value in headers.items():
        if key[:18].lower() == _EXTRA:
            extra.setdefault(unquote(key[18:]).lower(), []).append(value)
    if not name:
        if groups or uid or extra:
            raise bad_request("requested extra without impersonating a user" if extra else _no_user(groups))
        return user
    account = _split_service_account(name)
    if account is not None:
        await _check(authorizer, user, resource="serviceaccounts", namespace=account[0], name=account[1])
        if not groups:
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}")
    else:
        await _check(authorizer, user, resource="users", name=name)
    for group in groups if headers.getall(_GROUP, ()) else ():
        await _check(authorizer, user, resource="groups", name=group)
    for key, values in extra.items():
        for value in values:
            await _check(
                authorizer,
                user,
                group=_AUTHENTICATION_GROUP,
                resource="userextras",
                subresource=key,
                name=value,
            )
    if uid:
        await _check(authorizer, user, group=_AUTHENTICATION_GROUP, resource="uids", name=uid)
    if name == "system:anonymous":
        if UNAUTHENTICATED not in groups:
            groups = (*groups, UNAUTHENTICATED)
    elif AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return User(name=name, uid=uid, groups=groups, extra={key: tuple(one) for key, one in extra.items()})


def is_impersonating(headers: CIMultiDictProxy[str]) -> bool:
    """Say, cheaply, whether any impersonation header may be there."""
    return any(key[:12].lower() == "impersonate-" for key in headers)


def _no_user(groups: tuple[str, ...]) -> str:
    return (
        "requested groups without impersonating a user"
        if groups
        else "requested uid without impersonating a user"
    )


def _split_service_account(name: str) -> tuple[str, str] | None:
    if not name.startswith(_SERVICE_ACCOUNT):
        return None
    namespace, _, account = name.removeprefix(_SERVICE_ACCOUNT).partition(":")
    if find_label_faults(namespace) or find_subdomain_faults(account):
        return None
    return namespace, account


async def _check(
    authorizer: Authorizer,
    user: User,
    *,
    resource: str,
    name: str,
    group: str = "",
    subresource: str = "",
    namespace: str = "",
) -> None:
    decision = await authorizer.authorize(
        Attributes(
            user=user,
            verb="impersonate",
            group=group,
            version="v1",
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            name=name,
        )
    )
    if decision.allowed:
        return
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    path = f"{resource}/{subresource}" if subresource else resource
    qualified = f"{path}.{group}" if group else path
    message = (
        f'{qualified} "{name}" is forbidden: User "{user.name}" cannot impersonate resource "{path}" '
        f'in API group "{group}"{where}'
    )
    if decision.reason:
        message += f": {decision.reason}"
    details = {"name": name, "kind": resource}
    if group:
        details["group"] = group
    raise ApiError(403, "Forbidden", message, details=details)
