"""Flags of snapshots, also in S3, and of restoring."""

from __future__ import annotations

from typing import Final

from k3py.config.option import Option

OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        name="etcd-disable-snapshots",
        theme="snapshots",
        value_type="bool",
        help="make no scheduled snapshots of the datastore",
    ),
    Option(
        name="etcd-snapshot-name",
        theme="snapshots",
        default="etcd-snapshot",
        help="what the names of scheduled snapshots begin with",
    ),
    Option(
        name="etcd-snapshot-schedule-cron",
        theme="snapshots",
        value_type="cron",
        help="when to make snapshots, local time (default: 0 */12 * * * for SQLite and the etcd of --cluster-init, never for other datastores)",
    ),
    Option(
        name="etcd-snapshot-retention",
        theme="snapshots",
        value_type="int",
        default="5",
        help="how many scheduled snapshots to keep; 0 = all",
    ),
    Option(
        name="etcd-snapshot-dir",
        theme="snapshots",
        value_type="path",
        help="folder of snapshots (default: DATA_DIR/server/db/snapshots)",
    ),
    Option(
        name="etcd-snapshot-compress",
        theme="snapshots",
        value_type="bool",
        default="true",
        help="compress snapshots with gzip",
    ),
    # C-35
    Option(
        name="etcd-s3",
        theme="snapshots",
        value_type="bool",
        help="also copy snapshots to S3; with --cluster-reset-restore-path: fetch the snapshot from there",
    ),
    Option(
        name="etcd-s3-endpoint",
        theme="snapshots",
        default="s3.amazonaws.com",
        help="host and port of S3",
    ),
    Option(
        name="etcd-s3-endpoint-ca",
        theme="snapshots",
        value_type="path",
        help="authority of its certificate, a PEM file",
    ),
    Option(
        name="etcd-s3-skip-ssl-verify",
        theme="snapshots",
        value_type="bool",
        help="take any certificate",
    ),
    Option(
        name="etcd-s3-access-key",
        theme="snapshots",
        env="AWS_ACCESS_KEY_ID",
        help="who we are in S3",
    ),
    Option(
        name="etcd-s3-secret-key",
        theme="snapshots",
        env="AWS_SECRET_ACCESS_KEY",
        secret=True,
        help="its secret; better in the environment than on the command line",
    ),
    Option(
        name="etcd-s3-session-token",
        theme="snapshots",
        env="AWS_SESSION_TOKEN",
        secret=True,
        help="of temporary credentials",
    ),
    Option(
        name="etcd-s3-bucket",
        theme="snapshots",
        help="bucket for snapshots",
    ),
    Option(
        name="etcd-s3-bucket-lookup-type",
        theme="snapshots",
        default="auto",
        help="where the bucket's name goes: dns (host), path, or auto (host at Amazon)",
    ),
    Option(
        name="etcd-s3-region",
        theme="snapshots",
        default="us-east-1",
        help="region of the bucket",
    ),
    Option(
        name="etcd-s3-folder",
        theme="snapshots",
        help="folder in the bucket",
    ),
    Option(
        name="etcd-s3-retention",
        theme="snapshots",
        value_type="int",
        default="5",
        help="how many scheduled snapshots to keep in S3; 0 = all",
    ),
    Option(
        name="etcd-s3-proxy",
        theme="snapshots",
        secret=True,
        help="URL of a proxy to S3",
    ),
    Option(
        name="etcd-s3-insecure",
        theme="snapshots",
        value_type="bool",
        help="plain HTTP instead of HTTPS",
    ),
    Option(
        name="etcd-s3-timeout",
        theme="snapshots",
        default="5m0s",
        help="how long a request to S3 may take",
    ),
    Option(
        name="etcd-s3-config-secret",
        theme="snapshots",
        value_type="name",
        help="Secret in kube-system with the values of the other --etcd-s3 flags, for scheduled snapshots; only if none of them is given",
    ),
    Option(
        name="cluster-reset",
        theme="snapshots",
        value_type="bool",
        env="K3PY_CLUSTER_RESET",
        help="make this server the only member of its managed etcd, or restore the snapshot of --cluster-reset-restore-path, then exit",
    ),
    Option(
        name="cluster-reset-restore-path",
        theme="snapshots",
        value_type="path",
        help="snapshot to restore",
    ),
)
