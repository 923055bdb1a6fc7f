"""Operations of kinds: URL paths with their methods, parameters and the extensions that clients read.

Neutral of the OpenAPI version: `Operation` says what, `k3py.api.openapi.documents` writes it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.api.kind import Kind, Subresource


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter; `type` is an OpenAPI type."""

    name: str
    text: str
    where: str = "query"
    type: str = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of a path.

    action: x-kubernetes-action. verb: the API's verb. answers: kind of type name, "" = the object itself, "list", "status".
    subresource: of the path, None for main resources. patches: what PATCH accepts.
    """

    path: str
    method: str
    action: str
    id: str
    kind: Kind
    subresource: Subresource | None = None
    has_body: bool = False
    lists: bool = False
    parameters: tuple[Parameter, ...] = ()


PRETTY: Final = Parameter("pretty", "If 'true', then the output is pretty printed.")
NAME: Final = Parameter("name", "name of the object", "path")
NAMESPACE: Final = Parameter(
    "namespace", "object name and auth scope, such as for teams and projects", "path"
)
DRY_RUN: Final = Parameter(
    "dryRun",
    "When present, indicates that modifications should not be persisted. Valid values are: All",
)
FIELD_MANAGER: Final = Parameter(
    "fieldManager", "fieldManager is a name associated with the actor that is making these changes."
)
FIELD_VALIDATION: Final = Parameter(
    "fieldValidation",
    "fieldValidation instructs the server on how to handle unknown or duplicate fields: Ignore, Warn or Strict.",
)
FORCE: Final = Parameter(
    "force", 'Force is going to "force" Apply requests and re-acquire conflicting fields.', type="boolean"
)
DELETE: Final = (
    DRY_RUN,
    Parameter(
        "gracePeriodSeconds", "The duration in seconds before the object should be deleted.", type="integer"
    ),
    Parameter("orphanDependents", "Deprecated: please use the PropagationPolicy.", type="boolean"),
    Parameter("propagationPolicy", "Whether and how garbage collection will be performed."),
)
LIST: Final = (
    Parameter("allowWatchBookmarks", 'Request watch events with type "BOOKMARK".', type="boolean"),
    Parameter("continue", "The continue option should be set when retrieving more results from the server."),
    Parameter("fieldSelector", "A selector to restrict the list of returned objects by their fields."),
    Parameter("labelSelector", "A selector to restrict the list of returned objects by their labels."),
    Parameter("limit", "limit is a maximum number of responses to return for a list call.", type="integer"),
    Parameter("resourceVersion", "Sets a constraint on what resource versions a request may be served from."),
    Parameter("resourceVersionMatch", "Determines how resourceVersion is applied to list calls."),
    Parameter(
        "sendInitialEvents", "Begin a watch with synthetic events of the present state.", type="boolean"
    ),
    Parameter("timeoutSeconds", "Timeout for the list/watch call.", type="integer"),
    Parameter("watch", "Watch for changes to the described resources.", type="boolean"),
)
WRITE: Final = (DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION)

_METHODS: Final = {
    "get": ("get", "get", "read", (), False),
    "update": ("put", "put", "replace", WRITE, True),
    "patch": ("patch", "patch", "patch", (*WRITE, FORCE), True),
    "delete": ("delete", "delete", "delete", DELETE, True),
    "create": ("post", "post", "create", WRITE, True),
}
# Subresources that lead to a kubelet, a service or a node.
_CONNECTED: Final = ("attach", "exec", "portforward", "proxy")


def _camel(group: str, version: str) -> str:
    name = group.removesuffix(".k8s.io") if group else "core"
    return "".join(part[:1].upper() + part[1:] for part in (*name.split("."), version))


def operations_of(kind: Kind) -> Iterator[Operation]:
    """Yield all operations of a kind and its subresources."""
    base = kind.resource.base_path
    scope = "Namespaced" if kind.namespaced else ""
    prefix = _camel(kind.group, kind.version)
    collection = (
        f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"
    )
    verbs = kind.verbs
    if "list" in verbs:
        yield Operation(
            path=collection,
            method="get",
            action="list",
            id=f"list{prefix}{scope}{kind.kind}",
            kind=kind,
            lists=True,
            parameters=LIST,
        )
        if kind.namespaced:
            yield Operation(
                path=f"{base}/{kind.plural}",
                method="get",
                action="list",
                id=f"list{prefix}{kind.kind}ForAllNamespaces",
                kind=kind,
                lists=True,
                parameters=LIST,
            )
    if "deletecollection" in verbs:
        yield Operation(
            path=collection,
            method="delete",
            action="deletecollection",
            id=f"delete{prefix}Collection{scope}{kind.kind}",
            kind=kind,
            has_body=True,
            parameters=(*DELETE, *LIST[1:-1]),
        )
    for verb, (method, action, word, parameters, has_body) in _METHODS.items():
        if verb in verbs:
            yield Operation(
                path=collection if verb == "create" else f"{collection}/{{name}}",
                method=method,
                action=action,
                id=f"{word}{prefix}{scope}{kind.kind}",
                kind=kind,
                has_body=has_body,
                parameters=parameters,
            )
    for subresource in kind.subresources:
        suffix = "".join(part[:1].upper() + part[1:] for part in subresource.name.split("/"))
        for verb in subresource.verbs:
            if verb in _METHODS:
                method, action, word, parameters, has_body = _METHODS[verb]
                if subresource.name in _CONNECTED:
                    action, word, parameters, has_body = "connect", "connect", (), False
                    prefix_of = f"{prefix}{method.capitalize()}"
                else:
                    prefix_of = prefix
                yield Operation(
                    path=f"{collection}/{{name}}/{subresource.name}",
                    method=method,
                    action=action,
                    id=f"{word}{prefix_of}{scope}{kind.kind}{suffix}",
                    kind=kind,
                    subresource=subresource,
                    has_body=has_body,
                    parameters=parameters,
                )
