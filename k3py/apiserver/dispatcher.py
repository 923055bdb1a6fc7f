"""The API server without its HTTP face: authorize a request, find who answers it, translate storage's errors.

Called by the HTTP layer and, with dicts, by the in-process client; the order of steps is upstream's (api-machinery.md §4.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.names import find_path_segment_faults
from k3py.api.selectors import SelectorError, parse_field_selector
from k3py.api.status import ApiError, bad_request, forbidden, method_not_allowed
from k3py.apiserver.interface import Attributes
from k3py.apiserver.registry.call import Call, Services
from k3py.apiserver.registry.create import create
from k3py.apiserver.registry.delete import delete
from k3py.apiserver.registry.deletecollection import delete_collection
from k3py.apiserver.registry.errors import to_api_error
from k3py.apiserver.registry.get import get
from k3py.apiserver.registry.list import list_objects
from k3py.apiserver.registry.patch import patch
from k3py.apiserver.registry.subresources.scale import handle_scale
from k3py.apiserver.registry.subresources.status import handle_status
from k3py.apiserver.registry.update import update
from k3py.apiserver.registry.watch import watch
from k3py.storage.errors import StorageError
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.interface import ApiRequest, Authorizer, Dispatcher, RemoteResources, Result
    from k3py.apiserver.registry.seams import Admission, ObjectSchemas, Patches, WriteGuard, WriteHook
    from k3py.apiserver.registry.table import Handler
    from k3py.storage.interface import Storage

_VERBS: Final[Mapping[str, Handler]] = {
    "get": get,
    "list": list_objects,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
_GENERIC_SUBRESOURCES: Final[Mapping[str, Handler]] = {"status": handle_status, "scale": handle_scale}


class ApiDispatcher:
    """Carries out resource requests.

    Args:
        kinds: what is served; may grow and shrink.
        storage: where objects lie.
        authorizer: who may do what.
        admission: the chain of admission plugins.
        schemas: types of objects.
        patches: the ways to patch, and managed fields.
        subresources: handlers by (group, plural, subresource) beside the generic status and scale.
        virtual: handlers of all verbs by (group, plural), for kinds that are answered and not stored (reviews).
        guards: who refuses writes for other reasons, by (group, plural).
        hooks: what takes addresses and ports, by (group, plural).
        now: the wall clock.
    """

    def __init__(
        self,
        *,
        kinds: KindRegistry,
        storage: Storage,
        authorizer: Authorizer,
        admission: Admission,
        schemas: ObjectSchemas,
        patches: Patches,
        subresources: Mapping[tuple[str, str, str], Handler] | None = None,
        virtual: Mapping[tuple[str, str], Handler] | None = None,
        hooks: Mapping[tuple[str, str], WriteHook] | None = None,
        guards: Mapping[tuple[str, str], WriteGuard] | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self.services = Services(
            kinds=kinds,
            storage=storage,
            authorizer=authorizer,
            admission=admission,
            schemas=schemas,
            patches=patches,
            now=now,
            hooks=hooks or {},
            guards=guards or {},
        )
        self._subresources = subresources or {}
        self._virtual = dict(virtual or {})
        self._remote: RemoteResources | None = None

    def pass_on(self, remote: RemoteResources) -> None:
        """Let other servers carry out what `remote` says is theirs."""
        self._remote = remote

    def serve(self, kind: Kind, answer: Callable[[ApiRequest], Awaitable[Result]]) -> None:
        """Serve a kind whose objects are not stored: `answer` carries out its requests, once they are authorized."""

        async def handle(call: Call) -> Result:
            return await answer(call.request)

        self._virtual[kind.group, kind.plural] = handle
        self.services.kinds.add(kind)

    async def dispatch(self, request: ApiRequest) -> Result:
        """Authorize and carry out a request.

        Raises:
            ApiError: as the API answers it.
        """
        resource = request.resource
        await self._authorize(request)
        if self._remote is not None and self._remote.serves(resource):
            return await self._remote.dispatch(request)
        kind = self.services.kinds.find(resource.group, resource.version, resource.plural)
        if kind is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", details={})
        handler = self._find_handler(kind, request)
        if kind.deprecation:
            request.warnings.append(kind.deprecation)
        if kind.creation_refusal and request.verb == "create":
            raise forbidden(kind.group, kind.plural, error_name(request), kind.creation_refusal)
        if request.name:
            _check_path_name(request.name)
        try:
            is_stored = (kind.group, kind.plural) not in self._virtual
            store = await self.services.storage.store_for(kind) if is_stored else None
            result = await handler(Call(services=self.services, kind=kind, request=request, opened=store))
        except StorageError as error:
            raise to_api_error(error, kind, error_name(request)) from error
        return result

    def _find_handler(self, kind: Kind, request: ApiRequest) -> Handler:
        if request.subresource:
            return self._find_subresource_handler(kind, request)
        handler = self._virtual.get((kind.group, kind.plural)) or _VERBS.get(request.verb)
        if handler is None or request.verb not in kind.verbs:
            raise method_not_allowed(kind.group, kind.plural, request.verb)
        return handler

    def _find_subresource_handler(self, kind: Kind, request: ApiRequest) -> Handler:
        subresource = kind.find_subresource(request.subresource)
        if subresource is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", details={})
        # A proxy takes methods that are no verb here (OPTIONS) too.
        if request.verb not in subresource.verbs and (request.verb or subresource.name != "proxy"):
            raise method_not_allowed(kind.group, f"{kind.plural}/{subresource.name}", request.verb)
        handler = self._subresources.get(
            (kind.group, kind.plural, subresource.name)
        ) or _GENERIC_SUBRESOURCES.get(subresource.name)
        if handler is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", details={})
        return handler

    async def _authorize(self, request: ApiRequest) -> None:
        attributes = attributes_of(request)
        decision = await self.services.authorizer.authorize(attributes)
        if request.annotations is not None:
            request.annotations["authorization.k8s.io/decision"] = "allow" if decision.allowed else "forbid"
            request.annotations["authorization.k8s.io/reason"] = decision.reason
        if not decision.allowed:
            raise refusal(attributes, decision.reason)


def _check_path_name(name: str) -> None:
    """Refuse names that cannot be keys. Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go NamespaceKeyFunc v0.35."""
    if faults := find_path_segment_faults(name):
        raise bad_request(f'Name parameter invalid: "{name}": {";".join(faults)}')


def attributes_of(request: ApiRequest) -> Attributes:
    """Return what authorization decides about: a list or watch of one name counts as about that name."""
    resource = request.resource
    fields = request.options.get("fieldSelector", "")
    name = request.name
    if not name and fields and request.verb in ("list", "watch"):
        name = _pinned_name(fields)
    namespace = request.namespace
    if resource.plural == "namespaces" and not resource.group:
        namespace = name  # upstream: a namespace is authorized as if it lay in itself
    return Attributes(
        user=request.user,
        verb=request.verb,
        group=resource.group,
        version=resource.version,
        resource=resource.plural,
        subresource=request.subresource,
        namespace=namespace,
        name=name,
        field_selector=fields,
        label_selector=request.options.get("labelSelector", ""),
    )


def _pinned_name(selector: str) -> str:
    try:
        return parse_field_selector(selector).find_exact("metadata.name") or ""
    except SelectorError:
        return ""


def refusal(attributes: Attributes, reason: str) -> ApiError:
    """Return the 403 of an authorizer's no. Source: k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go v0.35."""
    group, plural = attributes.group, attributes.resource
    path = f"{plural}/{attributes.subresource}" if attributes.subresource else plural
    qualified = f"{plural}.{group}" if group else plural
    subject = f'{qualified} "{attributes.name}"' if attributes.name else qualified
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{attributes.user.name}" cannot {attributes.verb} resource "{path}" '
        f'in API group "{group}" {where}'
    )
    if reason:
        message += f": {reason}"
    details = {"name": attributes.name, "group": group, "kind": plural}
    return ApiError(
        403, "Forbidden", message, details={key: value for key, value in details.items() if value}
    )


def error_name(request: ApiRequest) -> str:
    """Return the name for error messages: the URL's, or that of the object being created."""
    if request.name:
        return request.name
    if isinstance(request.body, dict):
        metadata = request.body.get("metadata")
        if isinstance(metadata, dict):
            return str(metadata.get("name") or "")
    return ""


if TYPE_CHECKING:

    def _check(one: ApiDispatcher) -> Dispatcher:
        return one
