"""Sealed bytes are those that kube-apiserver reads and writes, and what was changed is not opened."""

import contextlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from k3py.storage.encryption.errors import SealBroken
from k3py.storage.encryption.providers import KEYED, AesCbc

SECRET = bytes(range(32))
KEY = b"/registry/secrets/default/a"
TAMPERED_IS_FOUND = ("aesgcm", "secretbox")


@pytest.mark.parametrize("provider", KEYED)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4000])
def test_what_was_sealed_opens_and_does_not_show(provider, size):
    one = KEYED[provider][0]("k1", SECRET)
    sealed = one.seal(KEY, b"x" * size)
    assert sealed.startswith(f"k8s:enc:{provider}:v1:k1:".encode())
    assert one.open(KEY, sealed) == b"x" * size
    assert size < 15 or b"xxx" not in sealed
    assert one.seal(KEY, b"x" * size) != sealed  # never the same bytes twice


@pytest.mark.parametrize("provider", TAMPERED_IS_FOUND)
def test_changed_bytes_are_not_opened(provider):
    one = KEYED[provider][0]("k1", SECRET)
    sealed = bytearray(one.seal(KEY, b"text"))
    sealed[-1] ^= 1
    with pytest.raises(SealBroken):
        one.open(KEY, bytes(sealed))


@pytest.mark.parametrize("provider", KEYED)
def test_another_secret_does_not_open(provider):
    make = KEYED[provider][0]
    sealed = make("k1", SECRET).seal(KEY, b"text of more than one block, so that luck does not help")
    other = make("k1", bytes(32))
    opened = None
    with contextlib.suppress(SealBroken):
        opened = other.open(KEY, sealed)
    assert opened is None or (provider == "aescbc" and b"text" not in opened)  # which authenticates nothing


@pytest.mark.parametrize("provider", KEYED)
@pytest.mark.parametrize("left", [0, 1, 12, 16, 20])
def test_bytes_that_were_cut_are_broken(provider, left):
    one = KEYED[provider][0]("k1", SECRET)
    sealed = one.seal(KEY, b"text")
    with pytest.raises(SealBroken):
        one.open(KEY, sealed[: len(one.prefix) + left])


def test_gcm_binds_to_the_name():
    one = KEYED["aesgcm"][0]("k1", SECRET)
    with pytest.raises(SealBroken):
        one.open(b"/registry/secrets/default/b", one.seal(KEY, b"text"))


def test_cbc_is_a_random_vector_then_padded_blocks():
    vector = bytes(16)
    encryptor = Cipher(algorithms.AES(SECRET), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(b"text" + b"\x0c" * 12) + encryptor.finalize()
    assert AesCbc("k", SECRET).open(KEY, b"k8s:enc:aescbc:v1:k:" + vector + sealed) == b"text"
