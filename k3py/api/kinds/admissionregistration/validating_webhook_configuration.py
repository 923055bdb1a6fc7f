"""Webhooks that may refuse writes.

Source: kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration v1.35.
"""

from __future__ import annotations

from typing import Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.kind import Kind, StoragePolicy
from k3py.api.kinds.admissionregistration.webhook_configurations import (
    WebhookConfigurationStrategy,
    count_webhooks,
)

KIND: Final = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    categories=("api-extensions",),
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    strategy=WebhookConfigurationStrategy(is_mutating=False),
    columns=(NAME, column("Webhooks", count_webhooks, kind="integer"), AGE),
    storage=StoragePolicy(prefix="validatingwebhookconfigurations"),
    storage_version_hash="B0wHjQmsGNk=",
)
