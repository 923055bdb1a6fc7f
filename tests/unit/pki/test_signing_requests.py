"""Keys and signing requests from a process of their own: the same as made here, keys in no argument."""

import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from k3py.pki.authority import make_key
from k3py.pki.signing_requests import make_apart
from k3py.util.process import ProcessFailed

COMMAND = [sys.executable, "-m", "k3py", "signing-requests"]


async def test_missing_keys_are_made_and_present_ones_used():
    present = make_key()
    made = await make_apart(COMMAND, {"a": present, "b": b""}, "n1")
    assert made["a"][0] == present
    for key, request in made.values():
        signed = x509.load_der_x509_csr(request)
        assert signed.is_signature_valid
        assert signed.subject.rfc4514_string() == "CN=n1"
        assert signed.public_key() == serialization.load_pem_private_key(key, None).public_key()


async def test_a_key_that_is_none_is_a_failure_that_does_not_show_it():
    with pytest.raises(ProcessFailed) as caught:
        await make_apart(COMMAND, {"a": b"-----SECRET-----"}, "n1")
    assert "SECRET" not in str(caught.value)


async def test_a_child_that_cannot_be_started_is_a_failure():
    with pytest.raises(ProcessFailed):
        await make_apart(["/nonexistent"], {"a": b""}, "n1")
