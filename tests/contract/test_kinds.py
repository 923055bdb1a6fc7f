"""Every built-in kind keeps the promises of its record: unique names, cells for any object, an example that it takes.

Examples: tests/support/manifests/<group>-<kind>.yaml, a small sensible object of each kind.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from k3py.api.kind import WriteContext
from k3py.api.kinds import ALL
from k3py.api.object import deep_copy
from k3py.api.schema import load_schema
from k3py.api.user import User

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONTEXT = WriteContext(user=User(name="tester"), now="2026-01-02T03:04:05Z")
MANIFESTS = Path(__file__).resolve().parents[1] / "support" / "manifests"
STORED = [kind for kind in ALL if "watch" in kind.verbs]


# Upstream still stores definitions in the old version, and says so; the document of ours is v1.
HASHED_AS = {"CustomResourceDefinition": "apiextensions.k8s.io/v1beta1"}


def label(kind):
    return f"{kind.api_version}-{kind.kind}"


@pytest.fixture(scope="module")
def schemas():
    return load_schema()


def read_example(kind, schemas):
    """Return the example as it arrives at the registry: decoded, with defaults."""
    path = MANIFESTS / f"{kind.group or 'core'}-{kind.kind.lower()}.yaml"
    obj, unknown = schemas.decode(kind.schema, yaml.safe_load(path.read_text()))
    assert not unknown
    schemas.default(kind.schema, obj)
    kind.strategy.default(obj)
    return obj


def create(kind, obj):
    """Do what the registry does to a new object."""
    obj = deep_copy(obj)
    obj["metadata"].update({"uid": "5a1b2c3d-0000-4000-8000-000000000001", "creationTimestamp": CONTEXT.now})
    kind.strategy.prepare_create(obj, CONTEXT)
    return obj


def test_names_are_unique_within_a_group():
    seen = set()
    for kind in ALL:
        for name in {kind.plural, kind.kind.lower(), *kind.short_names}:
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
    stored = HASHED_AS.get(kind.kind) or kind.storage_version or kind.api_version
    group_version = stored if "/" in stored else f"/{stored}"
    digest = hashlib.sha256(f"{group_version}/{kind.kind}".encode()).digest()
    assert kind.storage_version_hash == base64.b64encode(digest[:8]).decode()


@pytest.mark.parametrize("kind", ALL, ids=label)
def test_the_schema_is_known(kind, schemas):
    assert schemas.find(kind.schema) is not None
    assert schemas.find_type_name(kind.api_version, kind.kind) == kind.schema


@pytest.mark.parametrize("kind", STORED, ids=label)
def test_cells_of_a_bare_object_are_there(kind):
    bare = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "a"}}
    assert kind.columns
    assert "a" in [column.value(bare, NOW) for column in kind.columns]


@pytest.mark.parametrize("kind", STORED, ids=label)
def test_selectable_fields_of_a_bare_object_are_text(kind):
    bare = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "a"}}
    assert all(isinstance(getter(bare), str) for getter in kind.selectable_fields.values())


@pytest.mark.parametrize("kind", STORED, ids=label)
def test_the_example_is_taken_and_shown(kind, schemas):
    obj = create(kind, read_example(kind, schemas))
    assert [str(error) for error in kind.strategy.validate(obj)] == []
    assert not kind.strategy.validate_name(obj["metadata"]["name"])
    cells = [column.value(obj, NOW) for column in kind.columns]
    json.dumps(cells)
    types = {"integer": int, "boolean": bool}
    for column, cell in zip(kind.columns, cells, strict=True):
        if column.type in types and column.name != "Suspend":
            assert isinstance(cell, types[column.type]), column.name


@pytest.mark.parametrize("kind", STORED, ids=label)
def test_an_update_without_a_change_is_taken_and_keeps_the_generation(kind, schemas):
    old = create(kind, read_example(kind, schemas))
    new = deep_copy(old)
    kind.strategy.prepare_update(new, old, CONTEXT)
    assert [str(error) for error in kind.strategy.validate_update(new, old)] == []
    assert new["metadata"].get("generation") == old["metadata"].get("generation")


@pytest.mark.parametrize("kind", [one for one in STORED if one.find_subresource("status")], ids=label)
def test_status_is_written_through_its_subresource_alone(kind, schemas):
    example = read_example(kind, schemas)
    if kind.kind != "Node":  # a kubelet registers its node with a status
        marked = {**deep_copy(example), "status": {"forged": True}}
        assert "forged" not in create(kind, marked)["status"]
    old = create(kind, example)
    new = {**deep_copy(old), "status": {"forged": True}}
    kind.strategy.prepare_update(new, old, CONTEXT)
    assert "forged" not in (new.get("status") or {})
    reported = {**deep_copy(old), "status": {"reported": True}}
    reported["spec"] = {"changed": True}
    kind.strategy.prepare_status_update(reported, old, CONTEXT)
    assert reported["status"]["reported"]
    assert reported["spec"] == old["spec"]


@pytest.mark.parametrize("kind", [one for one in STORED if one.from_storage], ids=label)
def test_the_stored_form_reads_back_as_it_was(kind, schemas):
    obj = create(kind, read_example(kind, schemas))
    stored = kind.to_storage(obj)
    assert stored["apiVersion"] == kind.storage_version
    assert kind.from_storage(stored) == obj


@pytest.mark.parametrize("kind", STORED, ids=label)
def test_preparing_leaves_the_old_object_alone(kind, schemas):
    old = create(kind, read_example(kind, schemas))
    before = deep_copy(old)
    for prepare in (kind.strategy.prepare_update, kind.strategy.prepare_status_update):
        prepare(deep_copy(old), old, CONTEXT)
    assert old == before
