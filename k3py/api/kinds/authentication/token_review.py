"""TokenReview: answered, not stored."""

from __future__ import annotations

from typing import Final

from k3py.api.kind import Kind, StoragePolicy

KIND: Final = Kind(
    group="authentication.k8s.io",
    version="v1",
    kind="TokenReview",
    plural="tokenreviews",
    singular="tokenreview",
    namespaced=False,
    verbs=("create",),
    schema="io.k8s.api.authentication.v1.TokenReview",
    reset_fields=(),
    storage=StoragePolicy(prefix="tokenreviews"),
)
