"""What the support bundle takes out, and what it leaves."""

import base64
import json

import pytest

from k3py.cli.support_bundle.redaction import GONE, Redactor

SECRET = "correct horse/battery+staple=9"


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN EC PRIVATE KEY-----\nS3CR3T\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nS3CR3T cut off",
        "Authorization: Bearer S3CR3T.abcdef",
        "basic S3CR3TS3CR3T",
        "got eyJhbGciOiJS.S3CR3T.c2ln from it",
        "K10" + "0" * 64 + "::server:S3CR3T",
        "--token S3CR3T",
        "K3PY_TOKEN=S3CR3T",
        "password: S3CR3T",
        '"db_password": "S3CR3T \\" more S3CR3T"',
        "MY_API_KEY='S3CR3T two'",
        "postgres://user:S3CR3T@host/db",
        "client-key-data: S3CR3T",
        "etcd-s3-secret-key: S3CR3T",
    ],
)
def test_what_looks_like_a_secret_goes(text):
    shown = Redactor([]).text(f"before\n{text}\nafter")
    assert "S3CR3T" not in shown
    assert GONE in shown
    assert shown.startswith("before\n")


def test_what_is_known_goes_in_every_encoding_and_at_every_place():
    redactor = Redactor([SECRET])
    for before in ("", "a", "ab", "abc"):
        encoded = base64.b64encode(f"{before}{SECRET}x".encode()).decode()
        shown = redactor.text(f"log: {encoded}!")
        assert base64.b64encode(SECRET.encode()).decode()[4:-4] not in shown
        assert GONE in shown, before
    for text in (SECRET, f"x{SECRET}x", "correct%20horse%2Fbattery%2Bstaple%3D9", json.dumps({"a": SECRET})):
        assert "staple" not in redactor.text(text)


def test_ordinary_words_stay():
    text = "pod web-1 on node n1: Back-off restarting; secretName of volume; 1.2.3.4:6443; https://host:6443/x"
    assert Redactor(["short", ""]).text(text) == text
    assert Redactor(["abc"]).text("abcdef") == "abcdef"  # too short to look for


def test_objects_lose_what_may_hold_secrets_and_keep_the_rest():
    redactor = Redactor([])
    assert redactor.object({"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "djE="}})["data"] == {"k": "[4 characters]"}
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "managedFields": [1],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "me"},
        },
        "spec": {
            "containers": [{"name": "c", "env": [{"name": "MODE", "value": "x"}, {"name": "E", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "web-tls"}}],
        },
    }
    shown = redactor.object(pod)
    assert shown["metadata"] == {"name": "p", "annotations": {"keep": "me"}}
    assert shown["spec"]["containers"][0]["env"] == [
        {"name": "MODE", "value": GONE},
        {"name": "E", "valueFrom": {"secretKeyRef": {"name": "s"}}},
    ]
    assert shown["spec"]["volumes"] == [{"name": "v", "secret": {"secretName": "web-tls"}}]
    assert redactor.document({"token": "x", "bearerTokenFile": "/f", "list": [{"apiKey": "y"}]}) == {
        "token": GONE,
        "bearerTokenFile": "/f",
        "list": [{"apiKey": GONE}],
    }
