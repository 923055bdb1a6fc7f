"""certificatesigningrequests/approval: conditions say who approved or denied. Source: pkg/registry/certificates/certificates v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.kinds.certificates.certificate_signing_request import CertificateSigningRequestStrategy
from k3py.apiserver.registry.get import get
from k3py.apiserver.registry.patch import patch_part
from k3py.apiserver.registry.update import update_part
from k3py.apiserver.registry.updating import Part

if TYPE_CHECKING:
    from k3py.apiserver.interface import ObjectResult
    from k3py.apiserver.registry.call import Call

_STRATEGY = CertificateSigningRequestStrategy()
_PART = Part(prepare=_STRATEGY.prepare_approval_update, validate=_STRATEGY.validate_approval_update)


async def handle_approval(call: Call) -> ObjectResult:
    """Answer get, update or patch. Raises ApiError, StorageError."""
    match call.request.verb:
        case "get":
            return await get(call)
        case "update":
            return await update_part(call, _PART)
    return await patch_part(call, _PART)
