"""What most plugins have in common: they see one kind's main resource, and do one of the two steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.status import forbidden

if TYPE_CHECKING:
    from k3py.api.status import ApiError
    from k3py.apiserver.interface import AdmissionRequest


class BasePlugin:
    """Steps that do nothing."""

    name = ""

    async def admit(self, request: AdmissionRequest) -> None:
        """Change nothing."""

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse nothing."""


def is_for(request: AdmissionRequest, group: str, plural: str, operations: tuple[str, ...]) -> bool:
    """Say whether the request is one of `operations` on the main resource of a kind."""
    kind = request.kind
    return (
        not request.subresource
        and request.operation in operations
        and (kind.group, kind.plural) == (group, plural)
    )


def refuse(request: AdmissionRequest, message: str) -> ApiError:
    """Return the 403 that a plugin answers with."""
    name = request.name or str(((request.obj or {}).get("metadata") or {}).get("name") or "")
    return forbidden(request.kind.group, request.kind.plural, name, message)


def is_resize(request: AdmissionRequest) -> bool:
    """Say whether the request changes the resources of a pod that runs."""
    kind = request.kind
    return request.subresource == "resize" and (kind.group, kind.plural) == ("", "pods")
