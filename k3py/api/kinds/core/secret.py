"""Secrets."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.data import validate_data, validate_immutable_data, validate_secret_type

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class SecretStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/secret/strategy.go v1.35."""

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Keys and total size."""
        return [*validate_data(obj, fields=("data",)), *validate_secret_type(obj)]

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """What is immutable stays as it is."""
        return [*validate_immutable_data(new, old, fields=("data",)), *self.validate(new)]

    def default(self, obj: JsonObject) -> None:
        """Texts of stringData become data."""
        texts = obj.pop("stringData", None)
        if texts:
            encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
            obj["data"] = {**(obj.get("data") or {}), **encoded}

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """The type stays when it is left out."""
        super().prepare_update(new, old, context)
        if not new.get("type"):
            new["type"] = old.get("type", "Opaque")


KIND: Final = Kind(
    version="v1",
    kind="Secret",
    plural="secrets",
    singular="secret",
    list_kind="SecretList",
    schema="io.k8s.api.core.v1.Secret",
    strategy=SecretStrategy(),
    columns=(
        NAME,
        column("Type", lambda obj: obj.get("type", "")),
        column("Data", lambda obj: len(obj.get("data") or {})),
        AGE,
    ),
    selectable_fields={
        "type": lambda obj: str(obj.get("type", "")),
    },
    storage=StoragePolicy(prefix="secrets"),
    storage_version_hash="S6u1pOWzb84=",
)
