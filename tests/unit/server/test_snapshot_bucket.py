"""The flags of S3: what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3py.config.loader import load_values
from k3py.errors import ConfigError
from k3py.server.snapshot_bucket import read_s3_settings

GIVEN = ("--etcd-s3", "--etcd-s3-bucket=b1", "--etcd-s3-access-key=id", "--etcd-s3-secret-key=hidden")


def read(*arguments, environ=None):
    return read_s3_settings(load_values("server", arguments, environ or {}))


def test_without_the_flag_there_is_no_bucket():
    assert read("--etcd-s3-bucket=b1") is None


def test_defaults_are_those_of_k3s():
    found = read(*GIVEN)
    assert (found.endpoint, found.region, found.lookup) == ("s3.amazonaws.com", "us-east-1", "auto")
    assert (found.keep, found.timeout_s, found.verify, found.insecure) == (5, 300.0, True, False)


def test_all_flags_are_read():
    found = read(
        *GIVEN,
        "--etcd-s3-endpoint=minio:9000",
        "--etcd-s3-endpoint-ca=/ca.crt",
        "--etcd-s3-skip-ssl-verify",
        "--etcd-s3-session-token=t",
        "--etcd-s3-bucket-lookup-type=path",
        "--etcd-s3-region=eu-1",
        "--etcd-s3-folder=f",
        "--etcd-s3-retention=0",
        "--etcd-s3-proxy=http://p:1",
        "--etcd-s3-insecure",
        "--etcd-s3-timeout=1m30s",
    )
    assert (found.endpoint, found.ca_file, found.verify) == ("minio:9000", Path("/ca.crt"), False)
    assert (found.session_token, found.lookup, found.region, found.folder) == ("t", "path", "eu-1", "f")
    assert (found.keep, found.proxy, found.insecure, found.timeout_s) == (0, "http://p:1", True, 90.0)


def test_credentials_come_from_the_environment_too():
    environ = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_SESSION_TOKEN": "t"}
    found = read("--etcd-s3", "--etcd-s3-bucket=b1", environ=environ)
    assert (found.access_key, found.secret_key, found.session_token) == ("id", "hidden", "t")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--etcd-s3",), "--etcd-s3-bucket: '': must be"),
        ((*GIVEN, "--etcd-s3-bucket=a/b"), "--etcd-s3-bucket: 'a/b': must be"),
        ((*GIVEN, "--etcd-s3-endpoint=https://x"), "--etcd-s3-endpoint: 'https://x': must be host"),
        ((*GIVEN, "--etcd-s3-bucket-lookup-type=x"), "--etcd-s3-bucket-lookup-type: 'x': must be one of auto"),
        ((*GIVEN, "--etcd-s3-secret-key="), "must be given together"),
        (("--etcd-s3", "--etcd-s3-bucket=b1"), "--etcd-s3-access-key: must be given"),
        ((*GIVEN, "--etcd-s3-retention=-1"), "--etcd-s3-retention: -1"),
        ((*GIVEN, "--etcd-s3-timeout=soon"), "--etcd-s3-timeout: 'soon': must be a duration"),
        ((*GIVEN, "--etcd-s3-timeout=0s"), "--etcd-s3-timeout"),
    ],
)
def test_what_cannot_be_is_named(arguments, message):
    with pytest.raises(ConfigError) as caught:
        read(*arguments)
    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)
