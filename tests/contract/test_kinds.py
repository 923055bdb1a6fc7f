"""Every built-in kind keeps the promises of its record: unique names, cells for any object, an example that it takes.

Examples: tests/support/manifests/<group>-<kind>.yaml, the smallest sensible object of each kind.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest

from k3py.api.kinds import ALL

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STORED = [kind for kind in ALL if "list" in kind.verbs]


def label(kind):
    return f"{kind.api_version}-{kind.kind}"


def test_names_are_unique_within_a_group():
    seen = set()
    for kind in ALL:
        names = [kind.plural, kind.kind.lower(), *kind.short_names]
        for name in set(names):
            key = (kind.group, kind.version, name)
            assert key not in seen, key
            seen.add(key)


def test_kinds_with_one_prefix_are_stored_in_one_version():
    versions = {}
    for kind in STORED:
        stored = kind.storage_version or kind.api_version
        assert versions.setdefault(kind.storage.prefix, stored) == stored


@pytest.mark.parametrize("kind", STORED, ids=label)
def test_the_storage_version_hash_is_that_of_the_stored_version(kind):
    stored = kind.storage_version or kind.api_version
    group_version = stored if "/" in stored else f"/{stored}"
    digest = hashlib.sha256(f"{group_version}/{kind.kind}".encode())
    assert kind.storage_version_hash == base64.b64encode(digest.digest()[:8]).decode()


@pytest.mark.parametrize("kind", STORED, ids=label)
def test_cells_of_a_bare_object_are_there(kind):
    bare = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "a"}}
    assert kind.columns
    cells = [column.value(bare, NOW) for column in kind.columns]
    assert "a" in cells


@pytest.mark.parametrize("kind", STORED, ids=label)
def test_selectable_fields_of_a_bare_object_are_text(kind):
    bare = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "a"}}
    for getter in kind.selectable_fields.values():
        assert isinstance(getter(bare), str)
