"""Admission of connections (exec, attach, port-forward, proxy): plugins see the options as an object.

Source: k8s.io/apiserver/pkg/endpoints/handlers/rest.go (ConnectResource), k8s.io/api/core/v1 PodExecOptions and its like v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.apiserver.registry.options import parse_flag

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_KINDS: Final = {
    ("pods", "exec"): "PodExecOptions",
    ("pods", "attach"): "PodAttachOptions",
    ("pods", "portforward"): "PodPortForwardOptions",
    ("pods", "proxy"): "PodProxyOptions",
    ("services", "proxy"): "ServiceProxyOptions",
    ("nodes", "proxy"): "NodeProxyOptions",
}
_FLAGS: Final = ("stdin", "stdout", "stderr", "tty")


async def admit_connect(call: Call) -> None:
    """Ask admission whether the connection may be made. Raises ApiError."""
    name = call.request.name
    request = call.admission_request("CONNECT", name=name, obj=_options(call), old=None, dry_run=False)
    await call.services.admission.admit(request)
    await call.services.admission.validate(request)


def _options(call: Call) -> JsonObject:
    subresource, options, lists = call.request.subresource, call.request.options, call.request.multi_options
    document: JsonObject = {"kind": _KINDS[call.kind.plural, subresource], "apiVersion": "v1"}
    if subresource == "proxy":
        document["path"] = "/" + options.get("path", "").lstrip("/")
    elif subresource == "portforward":
        if ports := [int(one) for one in lists.get("ports", ()) if one.isdigit()]:
            document["ports"] = ports
    else:
        document |= {name: True for name in _FLAGS if options.get(name) and parse_flag(options[name])}
        if options.get("container"):
            document["container"] = options["container"]
        if subresource == "exec" and lists.get("command"):
            document["command"] = list(lists["command"])
    return document
