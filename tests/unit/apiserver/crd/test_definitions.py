"""Definitions come, change and go: what is served follows within turns of the loop (api-machinery.md §5.1)."""

from __future__ import annotations

import asyncio

import pytest

from k3py.api.status import ApiError
from tests.support.api import run_api

SCHEMA = {
    "type": "object",
    "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}},
}


@pytest.fixture
async def api():
    async with run_api() as api:
        yield api


def definition(name="ws", *, group="example.com", kind="W", schema=None, **metadata):
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema or SCHEMA}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}.{group}", **metadata},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": name, "kind": kind},
            "versions": [version],
        },
    }


def widget(name="x", **metadata):
    return {
        "apiVersion": "example.com/v1",
        "kind": "W",
        "metadata": {"name": name, **metadata},
        "spec": {"a": "1"},
    }


async def until(condition):
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the awaited state was not reached")


def served(api, group="example.com", plural="ws"):
    return api.kinds.find(group, "v1", plural)


async def define(api, *args, **more):
    await api.send("create", "customresourcedefinitions", body=definition(*args, **more))
    await until(lambda: served(api) is not None)


async def test_an_accepted_definition_is_served_and_says_so(api):
    await define(api)
    made = await api.send("create", "ws", body=widget())
    assert (made["spec"], made["metadata"]["generation"]) == ({"a": "1"}, 1)
    shown = await api.send("get", "customresourcedefinitions", "ws.example.com")
    assert {one["type"]: one["status"] for one in shown["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }


async def test_a_conflicting_one_is_served_once_the_other_is_gone(api):
    await define(api)
    await api.send("create", "customresourcedefinitions", body=definition("vs", kind="W"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert served(api, plural="vs") is None
    await api.send("delete", "customresourcedefinitions", "ws.example.com")
    await until(lambda: served(api, plural="vs") is not None)


async def test_a_deleted_definition_takes_its_objects_along_and_is_served_no_longer(api):
    await define(api)
    await api.send("create", "ws", body=widget())
    await api.send("delete", "customresourcedefinitions", "ws.example.com")
    await until(lambda: served(api) is None)
    await define(api)
    assert (await api.result("list", "ws")).page.items == []


async def test_while_objects_hold_it_nothing_new_can_be_created(api):
    await define(api)
    await api.send("create", "ws", body=widget(finalizers=["example.com/hold"]))
    await api.send("delete", "customresourcedefinitions", "ws.example.com")
    await until(lambda: bool(served(api).creation_refusal))
    with pytest.raises(ApiError) as caught:
        await api.send("create", "ws", body=widget("y"))
    assert caught.value.code == 403
    body = {"metadata": {"finalizers": None}}
    await api.send("patch", "ws", "x", body, patch_type="application/merge-patch+json")
    await until(lambda: served(api) is None)


async def test_a_changed_schema_counts_for_stored_objects_too(api):
    await define(api)
    await api.send("create", "ws", body=widget())
    before = served(api)
    late = {"type": "string", "default": "now"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"late": late}}}}
    patch = {"spec": {"versions": definition(schema=schema)["spec"]["versions"]}}
    await api.send(
        "patch",
        "customresourcedefinitions",
        "ws.example.com",
        patch,
        patch_type="application/merge-patch+json",
    )
    await until(lambda: served(api) is not before)
    assert (await api.send("get", "ws", "x"))["spec"] == {"late": "now"}


async def test_built_in_kinds_cannot_be_replaced(api):
    annotations = {"api-approved.kubernetes.io": "https://example.com/1"}
    body = definition(
        "networkpolicies", group="networking.k8s.io", kind="NetworkPolicy", annotations=annotations
    )
    await api.send("create", "customresourcedefinitions", body=body)
    for _ in range(200):
        await asyncio.sleep(0)
    assert api.kinds.find("networking.k8s.io", "v1", "networkpolicies").structure is None
    await api.send("delete", "customresourcedefinitions", "networkpolicies.networking.k8s.io")
    for _ in range(200):
        await asyncio.sleep(0)
    assert api.kinds.find("networking.k8s.io", "v1", "networkpolicies") is not None


async def test_documents_that_are_too_deep_are_refused(api):
    await define(api, schema={"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    deep: dict = {}
    for _ in range(400):
        deep = {"a": deep}
    with pytest.raises(ApiError) as caught:
        await api.send("create", "ws", body={**widget(), "spec": deep})
    assert caught.value.code == 400
