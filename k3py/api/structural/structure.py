"""A custom resource's type: one object a served version, compiled piece by piece when first needed."""

from __future__ import annotations

import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.fielderror import FieldError
from k3py.api.structural.defaulting import compile_defaulter
from k3py.api.structural.list_types import find_duplicates, has_list_types
from k3py.api.structural.metadata import coerce_embedded, has_embedded, validate_embedded
from k3py.api.structural.numbers import copy_canonical
from k3py.api.structural.pruning import prune
from k3py.api.structural.rules import has_rules
from k3py.api.structural.values import ABSENT, NO_PATH, compile_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.cel.rules import RuleSet
    from k3py.api.patch.merge_type import MergeType
    from k3py.jsontypes import JsonObject


_BLOCKING: Final = frozenset(
    (
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    )
)
_NOT_RUN: Final = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)


class Structure:
    """What a version's openAPIV3Schema says.

    Args:
        schema: the structural schema, {} = none was given; kept packed until somebody needs it.
        preserves: nothing is pruned (spec.preserveUnknownFields).
    """

    def __init__(self, schema: JsonObject, *, preserves: bool = False) -> None:
        self._packed = zlib.compress(orjson.dumps(schema), 1)
        self._preserves = preserves
        self._merge_type: MergeType | None = None

    @cached_property
    def schema(self) -> JsonObject:
        """The schema without its texts; READ-ONLY."""
        return _without_texts(self.publish())

    def publish(self) -> JsonObject:
        """Return the whole schema, made for the caller."""
        schema: JsonObject = orjson.loads(zlib.decompress(self._packed))
        return schema

    def decode(
        self, obj: JsonObject, decode_metadata: Callable[[JsonObject], tuple[JsonObject, list[str]]]
    ) -> tuple[JsonObject, list[str]]:
        """Return a pruned copy with canonical metadata, and the paths of unknown fields.

        Raises:
            K3pyError: metadata of a wrong type, in the words of `decode_metadata`.
        """
        copied: JsonObject = copy_canonical(obj)
        metadata, lost = decode_metadata(copied.get("metadata") or {})
        copied["metadata"] = metadata
        unknown = [f"metadata.{path}" for path in lost]
        if self._has_embedded:
            unknown += coerce_embedded(copied, self.schema, decode_metadata)
        return copied, sorted(unknown + self.prune(copied))

    def prune(self, obj: JsonObject) -> list[str]:
        """Drop unknown fields in place; return their paths."""
        return [] if self._preserves else prune(obj, self.schema)

    def default(self, obj: JsonObject) -> bool:
        """Fill in defaults and drop nulls that are not allowed, in place; say whether something changed."""
        complete = self._defaulter
        return complete is not None and complete(obj)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check a new object, apart from its metadata."""
        errors: list[FieldError] = []
        self._check(obj, "", errors, ABSENT)
        if self._has_embedded:
            errors += validate_embedded(obj, self.schema)
        if self._has_list_types:
            errors += find_duplicates(obj, self.schema)
        return errors + self._run_rules(obj, None, errors)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check an updated object; what was wrong before and did not change is let be."""
        errors: list[FieldError] = []
        self._check(new, "", errors, old)
        if self._has_embedded and not validate_embedded(old, self.schema):
            errors += validate_embedded(new, self.schema)
        if self._has_list_types and not find_duplicates(old, self.schema):
            errors += find_duplicates(new, self.schema)
        return errors + self._run_rules(new, old, errors)

    def _run_rules(
        self, new: JsonObject, old: JsonObject | None, errors: list[FieldError]
    ) -> list[FieldError]:
        if not self._has_rules:
            return []
        if any(error.reason in _BLOCKING for error in errors):
            return [FieldError(NO_PATH, "FieldValueInvalid", _NOT_RUN)]
        return self._rules.run(new, old)

    def merge_type(self, metadata: Callable[[], MergeType]) -> MergeType:
        """Return how objects merge in server-side apply; `metadata` gives the type of their metadata."""
        if self._merge_type is None:
            from k3py.api.patch.merge_type import merge_type_of_structure  # noqa: PLC0415 - imported when chosen

            self._merge_type = merge_type_of_structure(self.schema, root=True, metadata=metadata)
        return self._merge_type

    @cached_property
    def _defaulter(self) -> Callable[..., bool] | None:
        return compile_defaulter(self.schema)

    @cached_property
    def _check(self) -> Callable[..., int]:
        return compile_values(self.schema, is_root=True)

    @cached_property
    def _has_rules(self) -> bool:
        return has_rules(self.schema)

    @cached_property
    def _rules(self) -> RuleSet:
        from k3py.api.cel.rules import RuleSet  # noqa: PLC0415 - few schemas have rules

        return RuleSet(self.schema, is_root=True)

    @cached_property
    def _has_embedded(self) -> bool:
        return has_embedded(self.schema)

    @cached_property
    def _has_list_types(self) -> bool:
        return has_list_types(self.schema)


_TEXTS: Final = frozenset(("description", "title", "example", "externalDocs"))
_LISTS: Final = ("allOf", "anyOf", "oneOf")


def _without_texts(schema: JsonObject) -> JsonObject:
    result: JsonObject = {}
    for key, value in schema.items():
        if key in _TEXTS:
            continue
        if key == "properties":
            result[key] = {name: _without_texts(one) for name, one in value.items()}
        elif key in _LISTS:
            result[key] = [_without_texts(one) for one in value]
        elif key in ("items", "additionalProperties", "not") and isinstance(value, dict):
            result[key] = _without_texts(value)
        else:
            result[key] = value
    return result
