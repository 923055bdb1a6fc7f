"""Webhooks that may change writes.

Source: kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration v1.35.
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
    kind="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    categories=("api-extensions",),
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    strategy=WebhookConfigurationStrategy(is_mutating=True),
    columns=(NAME, column("Webhooks", count_webhooks, kind="integer"), AGE),
    storage=StoragePolicy(prefix="mutatingwebhookconfigurations"),
    storage_version_hash="Sqi0GUgDaX0=",
)
