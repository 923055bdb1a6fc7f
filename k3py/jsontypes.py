"""The project's one door to `Any`: JSON documents as Python dicts.

Kubernetes objects are plain JSON dicts everywhere (ARCHITECTURE §1.1). Objects that come from a cache are read-only for their
receiver; whoever wants to change one copies it first (`k3py.api.object.deep_copy`).
"""

from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]
