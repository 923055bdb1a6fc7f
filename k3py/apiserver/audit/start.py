"""Makes the audit log that the arguments ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.apiserver.audit.log_file import LogFile, LogFileSettings
from k3py.apiserver.audit.policy import load_policy
from k3py.apiserver.audit.recorder import AuditRecorder
from k3py.apiserver.audit.webhook_batch import BatchSettings, WebhookBatch
from k3py.apiserver.review_webhook import ReviewWebhook
from k3py.client.kubeconfig import load_kubeconfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.config.api_server_arguments import ApiServerArguments
    from k3py.util.supervise import Component


@dataclass(frozen=True, slots=True)
class AuditLog:
    """What the API server calls, and the components that write."""

    recorder: AuditRecorder
    components: Sequence[Component]


def build_audit_log(arguments: ApiServerArguments, policy_file: Path) -> AuditLog:
    """Read the policy and make the backends. Blocking; call it while a loop runs.

    Raises:
        ConfigError, KubeconfigError: a file cannot be used.
    """
    policy = load_policy(policy_file)
    backends: list[LogFile | WebhookBatch] = []
    path = arguments.path("audit-log-path")
    if path is not None:
        settings = LogFileSettings(
            path=path,
            most_megabytes=arguments.number("audit-log-maxsize", 100) or 100,
            most_days=arguments.number("audit-log-maxage", 0),
            most_files=arguments.number("audit-log-maxbackup", 0),
            compress=arguments.flag("audit-log-compress", default=False),
        )
        backends.append(LogFile(settings))
    kubeconfig = arguments.path("audit-webhook-config-file")
    if kubeconfig is not None:
        batch = BatchSettings(
            most_buffered=arguments.number("audit-webhook-batch-buffer-size", 10000),
            most_events=arguments.number("audit-webhook-batch-max-size", 400),
            longest_wait_s=arguments.seconds("audit-webhook-batch-max-wait", 30.0),
            pause_s=arguments.seconds("audit-webhook-initial-backoff", 10.0),
        )
        backends.append(WebhookBatch(ReviewWebhook(load_kubeconfig(kubeconfig), name="audit"), batch))
    return AuditLog(AuditRecorder(policy, backends), backends)
