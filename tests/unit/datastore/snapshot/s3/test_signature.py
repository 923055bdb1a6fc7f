"""Signatures as Amazon's documentation shows them for its example account."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from k3py.datastore.snapshot.s3.signature import Credentials, Request, canonical_query, signed_headers

WHO = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            Request("GET", HOST, "/test.txt", {}, {"Range": "bytes=0-9"}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            Request(
                "PUT",
                HOST,
                "/test%24file.text",
                {},
                {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            Request("GET", HOST, "/", {"lifecycle": ""}, {}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            Request("GET", HOST, "/", {"prefix": "J", "max-keys": "2"}, {}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_documentations_examples_are_signed_as_it_says(request_, signature):
    signed = signed_headers(request_, WHO, NOW)
    assert signed["authorization"].endswith(f",Signature={signature}")
    assert signed["x-amz-date"] == "20130524T000000Z"


def test_a_session_token_is_signed_too():
    who = Credentials("id", "secret", "token", "eu-central-1")
    signed = signed_headers(Request("GET", HOST, "/", {}, {}), who, NOW)
    assert signed["x-amz-security-token"] == "token"
    assert "x-amz-security-token" in signed["authorization"].partition("SignedHeaders=")[2]
    assert "/20130524/eu-central-1/s3/aws4_request" in signed["authorization"]


def test_a_query_is_encoded_and_ordered():
    assert canonical_query({"prefix": "a b/ü", "list-type": "2"}) == "list-type=2&prefix=a%20b%2F%C3%BC"


def test_secrets_are_never_shown():
    assert "EXAMPLE" not in repr(WHO)
