"""Bindings: posted to give a pod a node; answered, not stored."""

from __future__ import annotations

from typing import Final

from k3py.api.kind import Kind, StoragePolicy

KIND: Final = Kind(
    version="v1",
    kind="Binding",
    plural="bindings",
    singular="binding",
    verbs=("create",),
    schema="io.k8s.api.core.v1.Binding",
    storage=StoragePolicy(prefix="bindings"),
)
