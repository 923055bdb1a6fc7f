"""Configurations are read as upstream reads them; a fault names its field and no secret."""

import base64

import pytest

from k3py.api.kind import Kind, StoragePolicy
from k3py.errors import ConfigError
from k3py.storage.encryption.at_rest import EncryptionAtRest
from k3py.storage.encryption.configuration import parse_encryption

GOOD = base64.b64encode(bytes(32)).decode()


def kind(plural, group=""):
    storage = StoragePolicy(prefix=f"{group}/{plural}")
    return Kind(group=group, version="v1", kind=plural.title(), plural=plural, storage=storage)


def configuration(*rules):
    entries = [{"resources": list(names), "providers": list(providers)} for names, providers in rules]
    return {"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "resources": entries}


def keyed(provider, *names, secret=GOOD):
    return {provider: {"keys": [{"name": name, "secret": secret} for name in names]}}


def prefix_for(rules, one):
    return EncryptionAtRest(rules).transformer_for(one).seal(b"k", b"{}").rpartition(b":")[0]


def test_the_first_rule_that_covers_a_kind_counts():
    document = configuration(
        (["secrets"], [keyed("aescbc", "a"), {"identity": {}}]),
        (["deployments.apps"], [keyed("aesgcm", "d")]),
        (["*.apps"], [keyed("aesgcm", "apps")]),
        (["*."], [keyed("aesgcm", "core")]),
        (["*.*"], [keyed("secretbox", "all")]),
    )
    rules = parse_encryption(document, "f")
    found = {
        (one.plural, one.group): prefix_for(rules, one).split(b":")[4]
        for one in (
            kind("secrets"),
            kind("pods"),
            kind("deployments", "apps"),
            kind("daemonsets", "apps"),
            kind("jobs", "batch"),
        )
    }
    assert found == {
        ("secrets", ""): b"a",
        ("pods", ""): b"core",
        ("deployments", "apps"): b"d",
        ("daemonsets", "apps"): b"apps",
        ("jobs", "batch"): b"all",
    }


def test_a_kind_without_a_rule_is_left_alone():
    rules = parse_encryption(configuration((["secrets"], [keyed("aescbc", "a")])), "f")
    one = EncryptionAtRest(rules).transformer_for(kind("pods"))
    assert one.seal(b"k", b"{}") == b"{}"
    assert one.is_current(b"{}")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "kind"),
        ({"kind": "EncryptionConfiguration", "apiVersion": "v2"}, "apiVersion"),
        (configuration(), "resources"),
        (configuration(([], [{"identity": {}}])), "resources[0].resources"),
        (configuration((["secrets"], [])), "resources[0].providers"),
        (configuration((["secrets"], [{"identity": {}, **keyed("aescbc", "a")}])), "providers[0]"),
        (configuration((["secrets"], [{"kms": {}}])), "'kms': must be one of aescbc, aesgcm, secretbox, identity"),
        (configuration((["secrets"], [keyed("aescbc")])), "providers[0].aescbc.keys"),
        (configuration((["secrets"], [keyed("aescbc", "a", "a")])), "aescbc.keys[1].name"),
        (configuration((["secrets"], [keyed("aescbc", "a:b")])), "aescbc.keys[0].name"),
        (configuration((["secrets"], [keyed("aescbc", "a", secret="?")])), "keys[0].secret: must be base64"),
        (configuration((["secrets"], [keyed("secretbox", "a", secret="c2VjcmV0")])), "keys[0].secret: must be 32 bytes"),
    ],
)
def test_faults_name_the_field(document, field):
    with pytest.raises(ConfigError) as caught:
        parse_encryption(document, "f.json")
    assert field in str(caught.value)
    assert str(caught.value).startswith("f.json: ")
    assert "c2VjcmV0" not in str(caught.value)
