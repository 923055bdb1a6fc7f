"""A whole API server without HTTP, on the memory backend, for tests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from k3py.api.kinds import ALL
from k3py.api.object import deep_copy
from k3py.api.registry import KindRegistry
from k3py.api.schema import load_schema
from k3py.api.user import AUTHENTICATED, MASTERS, User
from k3py.apiserver.assembly import ApiAssembly, ApiOptions, build_dispatcher
from k3py.apiserver.interface import ApiRequest, ListResult, ObjectResult
from k3py.datastore.factory import open_backend
from k3py.storage.factory import open_storage
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from k3py.jsontypes import JsonObject, JsonValue

ADMIN = User(name="admin", groups=(MASTERS, AUTHENTICATED))


@dataclass
class Api:
    """Requests in few words; `user` may be changed."""

    assembly: ApiAssembly
    kinds: KindRegistry
    user: User = ADMIN
    namespace: str = "default"

    async def send(
        self,
        verb: str,
        plural: str,
        name: str = "",
        body: JsonValue = None,
        *,
        sub: str = "",
        namespace: str | None = None,
        patch_type: str = "",
        warnings: list[str] | None = None,
        repeated_keys: Sequence[str] = (),
        **options: str,
    ) -> JsonObject:
        """Dispatch a request and return the answered document ({"code": …} added by ObjectResult)."""
        result = await self.result(
            verb,
            plural,
            name,
            body,
            sub=sub,
            namespace=namespace,
            patch_type=patch_type,
            warnings=warnings,
            repeated_keys=repeated_keys,
            **options,
        )
        if isinstance(result, ListResult):
            return {"items": [deep_copy(view.parsed) for view in result.page.items]}
        assert isinstance(result, ObjectResult)
        document: JsonObject = result.view.parsed if result.view is not None else (result.document or {})
        return cast("JsonObject", deep_copy(document))

    async def result(
        self,
        verb: str,
        plural: str,
        name: str = "",
        body: JsonValue = None,
        *,
        sub: str = "",
        namespace: str | None = None,
        patch_type: str = "",
        warnings: list[str] | None = None,
        repeated_keys: Sequence[str] = (),
        **options: str,
    ) -> object:
        """Dispatch a request."""
        found = next(one for one in self.kinds if plural in (one.plural, f"{one.plural}.{one.group}"))
        where = self.namespace if namespace is None else namespace
        return await self.assembly.dispatcher.dispatch(
            ApiRequest(
                verb=verb,
                resource=found.resource,
                user=self.user,
                namespace=where if found.namespaced else "",
                name=name,
                subresource=sub,
                body=deep_copy(body),
                patch_type=patch_type,
                repeated_keys=repeated_keys,
                options=cast("Mapping[str, str]", options),
                user_agent="tests/1",
                warnings=warnings if warnings is not None else [],
            )
        )


@asynccontextmanager
async def run_api(**more: object) -> AsyncIterator[Api]:
    """Run an API server in which the namespace default exists; `more` goes to build_dispatcher."""
    kinds = KindRegistry(ALL)
    async with (
        open_backend("memory://") as backend,
        open_storage(backend, detect_mutations=True) as storage,
        TaskScope() as scope,
    ):
        assembly = await build_dispatcher(
            storage=storage,
            kinds=kinds,
            schemas=load_schema(),
            **{"options": ApiOptions(), **more},  # type: ignore[arg-type]  # keyword arguments, by name
        )
        started = asyncio.Event()
        _ = scope.spawn(assembly.run(started.set), name="indexes")
        await started.wait()
        api = Api(assembly, kinds)
        await api.send("create", "namespaces", body={"metadata": {"name": "default"}})
        yield api
        scope.cancel()
