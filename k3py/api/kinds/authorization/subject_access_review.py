"""SubjectAccessReview: answered, not stored."""

from __future__ import annotations

from typing import Final

from k3py.api.kind import Kind, StoragePolicy

KIND: Final = Kind(
    group="authorization.k8s.io",
    version="v1",
    kind="SubjectAccessReview",
    plural="subjectaccessreviews",
    singular="subjectaccessreview",
    namespaced=False,
    verbs=("create",),
    schema="io.k8s.api.authorization.v1.SubjectAccessReview",
    reset_fields=(),
    storage=StoragePolicy(prefix="subjectaccessreviews"),
)
