"""Pods that lie as files in a folder of the node: the API only shows them. Blocking.

Source: pkg/kubelet/config/{file,common}.go v1.35.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final

import orjson

from k3py.errors import K3pyError
from k3py.kubelet.pod import CONFIG_HASH, CONFIG_SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject, JsonValue

log = logging.getLogger(__name__)

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_MOST_BYTES: Final = 10 * 1024 * 1024
_DEFAULTS: Final = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "terminationGracePeriodSeconds": 30,
    "enableServiceLinks": True,
}


class ManifestError(K3pyError):
    """A file holds no pod that can run; the text says why."""


def load_static_pods(folder: Path, node_name: str) -> list[JsonObject]:
    """Return the pods of all files, in order of names; a file that cannot be used is logged and left out."""
    found: dict[tuple[str, str], JsonObject] = {}
    try:
        files = sorted(
            one for one in folder.iterdir() if one.suffix in _SUFFIXES and not one.name.startswith(".")
        )
    except FileNotFoundError:
        return []
    for file in files:
        try:
            pod = read_static_pod(file, node_name)
        except (ManifestError, OSError) as error:
            log.warning("static pod cannot be used", extra={"file": str(file), "error": str(error)})
            continue
        key = pod["metadata"]["namespace"], pod["metadata"]["name"]
        if key in found:
            log.warning("static pod has the name of another one", extra={"file": str(file)})
            continue
        found[key] = pod
    return list(found.values())


def read_static_pod(file: Path, node_name: str) -> JsonObject:
    """Return the pod of a file as it runs on the node: named after both, with a uid that follows from its content.

    Raises:
        ManifestError: it is no pod.
        OSError: it cannot be read.
    """
    if not file.is_file() or file.stat().st_size > _MOST_BYTES:
        raise ManifestError(f"is not a file of at most {_MOST_BYTES >> 20} MiB")
    content = file.read_bytes()
    document = _parse(content, is_json=file.suffix == ".json")
    if not isinstance(document, dict) or document.get("kind") != "Pod" or document.get("apiVersion") != "v1":
        raise ManifestError("kind and apiVersion: must be Pod and v1")
    metadata, spec = document.get("metadata"), document.get("spec")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise ManifestError("metadata.name: is required")
    containers = spec.get("containers") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(containers, list) or not containers:
        raise ManifestError("spec.containers: must not be empty")
    for index, one in enumerate(containers):
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("name", "image")):
            raise ManifestError(f"spec.containers[{index}]: needs name and image")
    digest = hashlib.sha256(b"\0".join((node_name.encode(), str(file).encode(), content))).hexdigest()[:32]
    uid = str(metadata.get("uid") or digest)
    tolerations = [*(spec.get("tolerations") or ()), {"operator": "Exists", "effect": "NoExecute"}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            **metadata,
            "name": f"{metadata['name']}-{node_name.lower()}",
            "namespace": metadata.get("namespace") or "default",
            "uid": uid,
            "annotations": {**(metadata.get("annotations") or {}), CONFIG_SOURCE: "file", CONFIG_HASH: uid},
        },
        "spec": {**_DEFAULTS, **spec, "nodeName": node_name, "tolerations": tolerations},
        "status": {"phase": "Pending"},
    }


def _parse(content: bytes, *, is_json: bool) -> JsonValue:
    if is_json:
        try:
            value: JsonValue = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ManifestError(f"is not JSON: {error}") from error
        return value
    import yaml  # noqa: PLC0415 - few nodes have such files

    try:
        value = yaml.safe_load(content)
        _ = orjson.dumps(value)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise ManifestError(f"is not YAML: {error}") from error
    return value
