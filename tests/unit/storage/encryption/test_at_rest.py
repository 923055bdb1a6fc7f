"""Stores seal what they write, open what any known key sealed, and seal anew on demand."""

import base64

import pytest

from k3py.api.kinds.core.secret import KIND
from k3py.datastore.factory import open_backend
from k3py.storage.encryption.at_rest import EncryptionAtRest
from k3py.storage.encryption.configuration import Rule
from k3py.storage.encryption.errors import SealBroken
from k3py.storage.encryption.providers import AesCbc, AesGcm, Plain
from k3py.storage.errors import StorageError
from k3py.storage.factory import open_storage
from k3py.storage.interface import ListQuery

OLD, NEW = AesCbc("old", bytes(32)), AesGcm("new", bytes(range(32)))
PREFIX = b"/registry/secrets/"


def rules(*providers):
    return (Rule(("secrets",), providers),)


def secret(name):
    data = {"k": base64.b64encode(b"hidden").decode()}
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name, "namespace": "d"}, "data": data}


async def sealed(backend):
    found = await backend.range(PREFIX, b"/registry/secrets0")
    return {kv.key.rpartition(b"/")[2].decode(): kv.value.split(b":")[4].decode() for kv in found.kvs if b"k8s:enc:" in kv.value}


@pytest.fixture
async def backend():
    async with open_backend("memory://") as backend:
        yield backend


async def test_nothing_readable_reaches_the_datastore(backend):
    async with open_storage(backend, transformers=EncryptionAtRest(rules(OLD))) as storage:
        store = await storage.store_for(KIND)
        made = await store.create(secret("a"))
        assert made.parsed["data"] == secret("a")["data"]
    [kv] = (await backend.range(PREFIX, b"/registry/secrets0")).kvs
    assert b"hidden" not in kv.value
    assert base64.b64encode(b"hidden") not in kv.value
    async with open_storage(backend, transformers=EncryptionAtRest(rules(NEW, OLD))) as storage:
        found = await (await storage.store_for(KIND)).get("d", "a")
        assert found.parsed["data"] == secret("a")["data"]


async def test_keys_move_while_stores_are_open_and_old_documents_are_sealed_anew(backend):
    at_rest = EncryptionAtRest(rules(Plain()))
    async with open_storage(backend, transformers=at_rest) as storage:
        store = await storage.store_for(KIND)
        await store.create(secret("plain"))
        at_rest.use(rules(OLD, Plain()))
        before = (await store.create(secret("old"))).revision
        at_rest.use(rules(NEW, OLD, Plain()))
        assert await sealed(backend) == {"old": "old"}
        counts = []
        await storage.reseal(KIND, counts.append)
        assert await sealed(backend) == {"old": "new", "plain": "new"}
        assert sum(counts) == 2
        at_rest.use(rules(NEW))
        page = await store.list(ListQuery())
        assert {one.name for one in page.items} == {"old", "plain"}
        assert all(one.revision >= before for one in page.items)
        revision = backend.current_revision
        await storage.reseal(KIND, counts.append)  # nothing is left to do: nothing is written
        assert backend.current_revision == revision
        at_rest.use(rules(Plain(), NEW))
        await storage.reseal(KIND, counts.append)
        assert await sealed(backend) == {}


async def test_a_key_that_is_not_there_is_named(backend):
    async with open_storage(backend, transformers=EncryptionAtRest(rules(OLD))) as storage:
        await (await storage.store_for(KIND)).create(secret("a"))
    async with open_storage(backend, transformers=EncryptionAtRest(rules(NEW))) as storage:
        with pytest.raises(StorageError, match="'old', which is not in the encryption configuration"):
            await storage.store_for(KIND)


def test_a_wrong_secret_under_the_right_name_is_told():
    one = EncryptionAtRest(rules(AesGcm("new", bytes(32)))).transformer_for(KIND)
    with pytest.raises(SealBroken, match="cannot be decrypted"):
        one.open(b"k", NEW.seal(b"k", b"{}"))


def test_another_aescbc_key_of_the_same_name_never_makes_a_document():
    """It authenticates nothing: once in a few hundred times the padding fits by luck."""
    sealed_by = EncryptionAtRest(rules(AesCbc("k", bytes(32)))).transformer_for(KIND)
    other = EncryptionAtRest(rules(AesCbc("k", bytes(range(32))))).transformer_for(KIND)
    for number in range(2000):
        with pytest.raises(SealBroken):
            other.open(b"k", sealed_by.seal(b"k", b'{"n":%d}' % number))
