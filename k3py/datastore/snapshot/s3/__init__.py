"""Copies of snapshots in an S3 bucket (K3s' `--etcd-s3`): settings, signatures, and the few requests that are needed."""
