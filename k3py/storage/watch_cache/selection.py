"""Selectors of a list or watch, prepared for views: no dict is built to look at a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.api.selectors import FieldSelector, LabelSelector
    from k3py.storage.cached_object import CachedObject, Shape


class Selection:
    """Namespace, labels and fields that an object must have.

    Attributes:
        everything: nothing is filtered (not even by namespace).
        filtered: labels or fields are filtered.
        name: the only possible name, "" = any.
    """

    __slots__ = ("_fields", "_labels", "everything", "filtered", "name", "namespace")

    def __init__(
        self, shape: Shape, namespace: str, labels: LabelSelector | None, fields: FieldSelector | None
    ) -> None:
        self.namespace = namespace
        self._labels = labels if labels is not None and (labels.requirements or labels.nothing) else None
        self.name = ""
        self._fields: list[tuple[int, str, bool]] = []
        for term in fields.terms if fields is not None else ():
            if term.field == "metadata.name":
                index = -1
                if term.equal:
                    self.name = term.value
            elif term.field == "metadata.namespace":
                index = -2
                if term.equal and not namespace:
                    self.namespace = term.value
            else:
                index = shape.fields.index(term.field) if term.field in shape.fields else -3
            self._fields.append((index, term.value, term.equal))
        self.filtered = self._labels is not None or bool(self._fields)
        self.everything = not self.filtered and not self.namespace

    def accepts(self, view: CachedObject) -> bool:
        """Say whether `view` is selected."""
        if self.everything:
            return True
        if self.namespace and view.namespace != self.namespace:
            return False
        for index, value, equal in self._fields:
            if index >= 0:
                actual = view.values[index]
            elif index == -1:
                actual = view.name
            else:
                actual = view.namespace if index == -2 else ""
            if (actual == value) is not equal:
                return False
        return self._labels is None or self._labels.matches(view.labels)
