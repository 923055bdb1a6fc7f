"""pods/log, exec, attach and portforward: which kubelet serves them, under which URL.

Source: k8s.io/kubernetes/pkg/registry/core/pod/{strategy.go (LogLocation, streamLocation),rest/*.go} v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from k3py.api.fielderror import FieldError, forbidden_field, invalid_value
from k3py.api.status import bad_request, invalid
from k3py.apiserver.interface import ObjectResult, StreamResult
from k3py.apiserver.registry.subresources.connect import admit_connect
from k3py.apiserver.registry.subresources.node_location import kubelet_base_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.apiserver.interface import Result
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
_LOG_OPTIONS: Final = (
    "follow",
    "limitBytes",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "stream",
    "tailLines",
    "timestamps",
)
_STREAMS: Final = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))
_LOG_FLAGS: Final = frozenset(("follow", "previous", "timestamps"))


async def handle_log(call: Call) -> Result:
    """Answer GET of a container's log. Raises ApiError, StorageError."""
    options = call.request.options
    pod = (await call.store.get(call.namespace, call.request.name)).parsed
    _validate_log_options(call)
    container = choose_container(pod, options.get("container", ""))
    node = pod["spec"].get("nodeName") or ""
    if not node:
        return ObjectResult(kind=None, document={}, status_code=204)
    pairs = [(name, options[name]) for name in _LOG_OPTIONS if name in options and name not in _LOG_FLAGS]
    query = urlencode([*((name, "true") for name in sorted(_LOG_FLAGS) if _is_on(options, name)), *pairs])
    return StreamResult(target=await _target(call, pod, "containerLogs", container, query))


async def handle_exec(call: Call) -> StreamResult:
    """Answer GET or POST of exec. Raises ApiError, StorageError."""
    return await _stream(call, "exec")


async def handle_attach(call: Call) -> StreamResult:
    """Answer GET or POST of attach. Raises ApiError, StorageError."""
    return await _stream(call, "attach")


async def handle_portforward(call: Call) -> StreamResult:
    """Answer GET or POST of portforward. Raises ApiError, StorageError."""
    pod = (await call.store.get(call.namespace, call.request.name)).parsed
    await admit_connect(call)
    query = urlencode([("port", port) for port in call.request.multi_options.get("ports", ())])
    return StreamResult(target=await _target(call, pod, "portForward", "", query))


async def _stream(call: Call, what: str) -> StreamResult:
    options = call.request.options
    pod = (await call.store.get(call.namespace, call.request.name)).parsed
    await admit_connect(call)
    container = choose_container(pod, options.get("container", ""))
    pairs = [(short, "1") for name, short in _STREAMS if _is_on(options, name)]
    if what == "exec":
        pairs += [("command", one) for one in call.request.multi_options.get("command", ())]
    return StreamResult(target=await _target(call, pod, what, container, urlencode(pairs)))


async def _target(call: Call, pod: JsonObject, what: str, container: str, query: str) -> str:
    name = pod["metadata"]["name"]
    node = pod["spec"].get("nodeName") or ""
    if not node:
        raise bad_request(f"pod {name} does not have a host assigned")
    path = "/".join(quote(one, safe="") for one in (what, call.namespace, name, container) if one)
    url = f"{await kubelet_base_url(call, node)}/{path}"
    return f"{url}?{query}" if query else url


def _is_on(options: Mapping[str, str], name: str) -> bool:
    """Read a flag as upstream does: anything but "false" and "0" is true, an empty value too; absence is false."""
    return name in options and options[name].lower() not in ("false", "0")


def choose_container(pod: JsonObject, wanted: str) -> str:
    """Return the container that is meant. Raises ApiError 400 when there is none or it is not clear which."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers = [one["name"] for one in spec.get("containers") or ()]
    inits = [one["name"] for one in spec.get("initContainers") or ()]
    ephemerals = [one["name"] for one in spec.get("ephemeralContainers") or ()]
    if wanted:
        if wanted not in (*containers, *inits, *ephemerals):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(containers) == 1:
        return str(containers[0])
    default = (pod["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    if default and default in containers:
        return str(default)
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]"
    if inits:
        message += f" or one of the init containers: [{' '.join(inits)}]"
    if ephemerals:
        message += f" or one of the ephemeral containers: [{' '.join(ephemerals)}]"
    raise bad_request(message)


def _validate_log_options(call: Call) -> None:
    """Check PodLogOptions. Raises ApiError 400, 422. Source: pkg/apis/core/validation ValidatePodLogOptions v1.35."""
    options = call.request.options
    numbers: dict[str, int] = {}
    for name in ("tailLines", "limitBytes", "sinceSeconds"):
        if name in options:
            try:
                numbers[name] = int(options[name])
            except ValueError as error:
                raise bad_request(f'strconv.ParseInt: parsing "{options[name]}": invalid syntax') from error
    errors: list[FieldError] = []
    if numbers.get("tailLines", 0) < 0:
        errors.append(invalid_value("tailLines", numbers["tailLines"], "must be greater than or equal to 0"))
    if numbers.get("limitBytes", 1) < 1:
        errors.append(invalid_value("limitBytes", numbers["limitBytes"], "must be greater than 0"))
    if options.get("sinceSeconds") and options.get("sinceTime"):
        errors.append(forbidden_field("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif numbers.get("sinceSeconds", 1) < 1:
        errors.append(invalid_value("sinceSeconds", numbers["sinceSeconds"], "must be greater than 0"))
    if errors:
        raise invalid("", "PodLogOptions", call.request.name, errors)
