"""Field selectors on a version that a webhook makes out of the stored one: they are about what the client sees."""

from __future__ import annotations

from k3py.api.selectors import parse_field_selector
from k3py.apiserver.crd.kinds import build_kinds
from k3py.apiserver.registry.conversion import serve_page, serve_watch, split_fields
from k3py.datastore.factory import open_backend
from k3py.storage.factory import open_storage
from k3py.storage.interface import Deleted, ListQuery, WatchQuery, WatchType

HOST = "example.com/v2"


def version(name, fields, **more):
    schema = {"type": "object", "properties": {field: {"type": "string"} for field in fields}}
    selectable = [{"jsonPath": f".{field}"} for field in fields]
    return {"name": name, "served": True, "storage": False, "schema": {"openAPIV3Schema": schema}, "selectableFields": selectable, **more}


async def convert(documents, api_version):
    found = []
    for one in documents:
        rest = {key: value for key, value in one.items() if key not in ("host", "port", "hostPort")}
        if api_version == HOST:
            host, _, port = one["hostPort"].partition(":")
            found.append({**rest, "apiVersion": api_version, "host": host, "port": port})
        else:
            found.append({**rest, "apiVersion": api_version, "hostPort": f"{one['host']}:{one['port']}"})
    return found


def make_kinds():
    names = {"plural": "ws", "singular": "w", "kind": "W", "listKind": "WList"}
    versions = [version("v1", ["hostPort"], storage=True), version("v2", ["host", "port"])]
    definition = {
        "metadata": {"name": "ws.example.com", "uid": "u"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions},
        "status": {"acceptedNames": names},
    }
    return build_kinds(definition, convert)


def stored(name, address):
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return {"kind": "W", "apiVersion": "example.com/v1", "metadata": metadata, "hostPort": address}


def becomes(name, address):
    async def change(_view):
        return stored(name, address)

    return change


async def goes(_view):
    return Deleted()


async def test_lists_are_selected_by_the_fields_of_the_version_asked_for():
    kinds = make_kinds()
    first, second = kinds.served
    async with open_backend("memory://") as backend, open_storage(backend) as storage:
        store = await storage.store_for(kinds.stored)
        for name, address in (("a", "one:80"), ("b", "one:443"), ("c", "two:80")):
            await store.create(stored(name, address))

        async def names(kind, text):
            for_store, own = split_fields(kind, store, parse_field_selector(text))
            page = await serve_page(kind, store, await store.list(ListQuery(fields=for_store)), own)
            return [view.name for view in page.items]

        assert await names(second, "host=one") == ["a", "b"]
        assert await names(second, "host=one,port!=80") == ["b"]
        assert await names(second, "host=one,metadata.name=a") == ["a"]
        assert await names(first, "hostPort=two:80") == ["c"]


async def test_a_watch_tells_what_enters_and_leaves_a_selection():
    kinds = make_kinds()
    second = kinds.served[1]
    async with open_backend("memory://") as backend, open_storage(backend) as storage:
        store = await storage.store_for(kinds.stored)
        view = await store.create(stored("a", "one:80"))
        await store.create(stored("b", "two:80"))
        for_store, own = split_fields(second, store, parse_field_selector("host=one"))
        query = WatchQuery(after=view.revision, fields=for_store)
        async with serve_watch(second, store, store.watch(query), own, ["uid-a"]) as batches:
            await store.update("default", "a", becomes("a", "one:81"))
            await store.update("default", "b", becomes("b", "one:80"))
            await store.update("default", "a", becomes("a", "two:80"))
            await store.update("default", "a", becomes("a", "three:80"))
            await store.update("default", "b", goes)
            seen = []
            async for batch in batches:
                seen += [(item.type, item.object.name, item.object.parsed["host"]) for item in batch]
                if len(seen) >= 4:
                    break
    assert seen == [
        (WatchType.MODIFIED, "a", "one"),
        (WatchType.ADDED, "b", "one"),
        (WatchType.DELETED, "a", "two"),
        (WatchType.DELETED, "b", "one"),
    ]
