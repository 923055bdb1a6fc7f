"""Where a bucket is asked: as a part of the host or of the path."""

from __future__ import annotations

import pytest

from k3py.datastore.snapshot.s3.settings import S3Settings


@pytest.mark.parametrize(
    ("settings", "host", "path"),
    [
        ({}, "b.s3.amazonaws.com", "/f/n%20ame"),
        ({"bucket": "b.c"}, "s3.amazonaws.com", "/b.c/f/n%20ame"),
        ({"lookup": "path"}, "s3.amazonaws.com", "/b/f/n%20ame"),
        ({"endpoint": "minio:9000"}, "minio:9000", "/b/f/n%20ame"),
        ({"endpoint": "minio:9000", "lookup": "dns"}, "b.minio:9000", "/f/n%20ame"),
        ({"folder": ""}, "b.s3.amazonaws.com", "/n%20ame"),
    ],
)
def test_buckets_are_looked_up_as_k3s_does(settings, host, path):
    found = S3Settings(**{"bucket": "b", "folder": "/f/", **settings})
    assert found.host == host
    assert found.path(found.key("n ame")) == path


def test_the_bucket_itself_has_a_path():
    assert S3Settings(bucket="b").path() == "/"
    assert S3Settings(bucket="b", lookup="path").path() == "/b"


def test_secrets_are_never_shown():
    shown = repr(S3Settings(bucket="b", secret_key="hidden", session_token="hidden", proxy="http://u:hidden@p"))
    assert "hidden" not in shown
