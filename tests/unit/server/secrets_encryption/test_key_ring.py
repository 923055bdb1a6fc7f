"""Steps happen in K3s' order, and a step that was cut short is one that did not happen."""

import datetime as dt

import pytest

from k3py.errors import ConfigError
from k3py.server.secrets_encryption import key_ring
from k3py.server.secrets_encryption.key_ring import Key, KeyRing, RotationRefused, make_key, read_ring

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
FIRST = make_key("aescbc", NOW, first=True)
SECOND = make_key("aescbc", NOW, first=False)
ENABLED = KeyRing((FIRST,), enabled=True)


def names(ring):
    return [one.name for one in ring.keys]


def test_the_classic_order_ends_with_one_new_key():
    ring = key_ring.prepare(ENABLED, SECOND)
    assert (names(ring), ring.stage) == (["aescbckey", "aescbckey-2026-01-02T030405Z"], "prepare")
    ring = key_ring.rotate(ring)
    assert (ring.keys[0], ring.stage) == (SECOND, "rotate")
    ring = key_ring.finish(key_ring.reencrypt(ring))
    assert (ring.keys, ring.stage) == ((SECOND,), "reencrypt_finished")


def test_old_keys_stay_on_demand():
    ring = key_ring.rotate(key_ring.prepare(ENABLED, SECOND))
    assert key_ring.finish(key_ring.reencrypt(ring, keep=True)).keys == (SECOND, FIRST)


def test_disabling_keeps_keys_until_everything_is_plain():
    ring = key_ring.disable(ENABLED)
    assert (ring.keys, ring.enabled) == ((FIRST,), False)
    assert ring.rules[0].providers[0].prefix == b""
    ring = key_ring.finish(key_ring.reencrypt(ring, force=True))
    assert ring.keys == ()
    assert key_ring.enable(ring, SECOND).keys == (SECOND,)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda: key_ring.rotate(ENABLED), "must be prepare, or --force"),
        (lambda: key_ring.reencrypt(ENABLED), "must be rotate, or --force"),
        (lambda: key_ring.prepare(key_ring.prepare(ENABLED, SECOND), SECOND), "must be start or"),
        (lambda: key_ring.prepare(KeyRing(), SECOND), "is disabled"),
        (lambda: key_ring.rotate_keys(KeyRing((FIRST,)), SECOND), "is disabled"),
        (lambda: key_ring.rotate_keys(key_ring.rotate_keys(ENABLED, SECOND), SECOND), "already going on"),
        (lambda: key_ring.disable(key_ring.rotate_keys(ENABLED, SECOND)), "must be start or"),
        (lambda: key_ring.prepare(KeyRing((Key("secretbox", "a", ""),), enabled=True), SECOND), "rotate-keys"),
    ],
)
def test_steps_out_of_order_are_refused_with_what_to_do(step, message):
    with pytest.raises(RotationRefused, match=message):
        step()


CHAINS = {
    "rotate-keys": (ENABLED, key_ring.rotate_keys(ENABLED, SECOND)),
    "finish": (key_ring.rotate_keys(ENABLED, SECOND), key_ring.finish(key_ring.rotate_keys(ENABLED, SECOND))),
    "prepare": (ENABLED, key_ring.prepare(ENABLED, SECOND)),
    "rotate": (key_ring.prepare(ENABLED, SECOND), key_ring.rotate(key_ring.prepare(ENABLED, SECOND))),
    "disable": (ENABLED, key_ring.disable(ENABLED)),
    "enable": (KeyRing(), key_ring.enable(KeyRing(), FIRST)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_step_that_was_cut_between_its_files_did_not_happen(name):
    before, after = CHAINS[name]
    assert read_ring(after.document, after.state, "f") == after
    assert read_ring(before.document, before.state, "f") == before
    cut = read_ring(before.document, after.state, "f")
    assert (cut.keys, cut.enabled) == (before.keys, before.enabled)
    expected = {"finish": "reencrypt_request", "rotate": "prepare"}.get(name, "start")
    assert cut.stage == expected


def test_keeping_survives_a_restart():
    ring = key_ring.reencrypt(key_ring.rotate(key_ring.prepare(ENABLED, SECOND)), keep=True)
    assert read_ring(ring.document, ring.state, "f").keep


def test_documents_are_k3s_own():
    assert ENABLED.document == (
        b'{"kind":"EncryptionConfiguration","apiVersion":"apiserver.config.k8s.io/v1","resources":[{"resources":["secrets"],'
        b'"providers":[{"aescbc":{"keys":[{"name":"aescbckey","secret":"' + FIRST.secret.encode() + b'"}]}},{"identity":{}}]}]}'
    )
    assert ENABLED.state.startswith("start-")
    mixed = key_ring.rotate_keys(ENABLED, make_key("secretbox", NOW, first=False))
    assert read_ring(mixed.document, mixed.state, "f").keys == mixed.keys


@pytest.mark.parametrize("document", [b"{", b"{}", ENABLED.document.replace(b'"secrets"', b'"secrets","configmaps"')])
def test_damage_and_foreign_documents_are_told_without_their_secrets(document):
    with pytest.raises(ConfigError) as caught:
        read_ring(document, "", "f.json")
    assert str(caught.value).startswith("f.json: ")
    assert FIRST.secret not in str(caught.value)


def test_keys_do_not_show():
    assert FIRST.secret not in repr(ENABLED)
