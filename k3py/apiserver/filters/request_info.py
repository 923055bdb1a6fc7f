"""What a request is about: verb, resource and name, from method and path.

Source: k8s.io/apiserver/pkg/endpoints/request/requestinfo.go v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

_VERBS: Final = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_NAMESPACE_SUBRESOURCES: Final = ("status", "finalize")
_LONG_RUNNING_SUBRESOURCES: Final = ("attach", "exec", "proxy", "log", "portforward")
READ_VERBS: Final = frozenset(("get", "list", "watch"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """The address of a request.

    path: decoded URL path. verb: as authorization calls it; the lower-case method for non-resource requests.
    is_resource: the path leads into a group and version; resource may still be unknown.
    rest: path behind the subresource (of proxy), without a slash in front.
    has_namespace: the path names a namespace (`namespace` is then set, for the resource namespaces too, where it is the name).
    """

    method: str
    path: str
    verb: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    rest: str = ""
    legacy_watch: bool = False
    depth: int = 0

    @property
    def is_long_running(self) -> bool:
        """Say whether the answer may take for ever: exempt from deadlines and from the limit of requests in flight."""
        return self.is_resource and (self.verb == "watch" or self.subresource in _LONG_RUNNING_SUBRESOURCES)

    @property
    def scope(self) -> str:
        """Return metrics' word for how much the request is about: "resource", "namespace", "cluster" or ""."""
        if not self.is_resource:
            return ""
        if self.name:
            return "resource"
        return "namespace" if self.namespace else "cluster"


def parse_request_info(method: str, raw_path: str, *, watch: bool = False) -> RequestInfo:
    """Parse a method and an undecoded path; `watch` is the query parameter of that name."""
    path = unquote(raw_path) if "%" in raw_path else raw_path
    # Names may hold an encoded slash in theory only; like upstream's mux, the decoded path decides.
    parts = path.split("/")[1:]
    if parts and parts[-1] == "":
        parts.pop()
    if parts and parts[0] == "api":
        start = 2
        group = ""
    elif parts and parts[0] == "apis":
        start = 3
        group = parts[1] if len(parts) > 1 else ""
    else:
        return RequestInfo(method=method, path=path, verb=method.lower())
    if len(parts) <= start:
        return RequestInfo(method=method, path=path, verb=method.lower())
    return _parse_resource(method, path, parts[start - 1], group, parts[start:], watch=watch)


def _parse_resource(
    method: str, path: str, version: str, group: str, parts: list[str], *, watch: bool
) -> RequestInfo:
    verb = _VERBS.get(method, "")
    legacy_watch = parts[0] == "watch" and len(parts) > 1
    if legacy_watch:
        parts = parts[1:]
        verb = "watch" if verb == "get" else verb
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    count = len(parts)
    name = parts[1] if count > 1 else ""
    if not name and not legacy_watch:
        if verb == "get":
            verb = "watch" if watch else "list"
        elif verb == "delete":
            verb = "deletecollection"
    return RequestInfo(
        method=method,
        path=path,
        verb=verb,
        is_resource=True,
        group=group,
        version=version,
        resource=parts[0],
        subresource=parts[2] if count > 2 else "",
        namespace=namespace,
        name=name,
        rest="/".join(parts[3:]) if count > 3 else "",
        legacy_watch=legacy_watch,
        depth=count,
    )
