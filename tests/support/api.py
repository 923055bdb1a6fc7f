"""A whole API server without HTTP, on the memory backend, for tests; kinds are a few real ones, declared thinly."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from k3py.api.kind import BaseStrategy, Kind, ScalePaths, StoragePolicy, Subresource
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
    from collections.abc import AsyncIterator, Mapping

    from k3py.jsontypes import JsonObject, JsonValue

ADMIN = User(name="admin", groups=(MASTERS, AUTHENTICATED))
RBAC = "rbac.authorization.k8s.io"
READ_WRITE = ("get", "patch", "update")


class WithStatus(BaseStrategy):
    """status is a subresource."""

    has_status = True
    has_generation = True


class PodStrategy(WithStatus):
    """Pods with a node go slowly."""

    object_on_delete = True

    def graceful_delete_s(self, obj: JsonObject, requested_s: int | None) -> int | None:
        if not obj["spec"].get("nodeName"):
            return 0
        return requested_s if requested_s is not None else 30


class Strict(BaseStrategy):
    """Needs a resourceVersion, and is created by PUT."""

    unconditional_update = False
    create_on_update = True


class NamespaceStrategy(BaseStrategy):
    """Keeps its finalizer."""

    has_status = True
    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: object) -> None:
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}


def kind(group: str, name: str, plural: str, schema: str, **more: object) -> Kind:
    """Return a v1 kind."""
    namespaced = cast("bool", more.pop("namespaced", True))
    path = f"{group}/{plural}" if group else plural
    made = Kind(
        group=group,
        version="v1",
        kind=name,
        plural=plural,
        schema=schema,
        namespaced=namespaced,
        storage=StoragePolicy(prefix=path),
    )
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]  # the fields of Kind, by name


CORE = "io.k8s.api.core.v1"
KINDS = (
    kind("", "ConfigMap", "configmaps", f"{CORE}.ConfigMap"),
    kind(
        "",
        "Namespace",
        "namespaces",
        f"{CORE}.Namespace",
        namespaced=False,
        strategy=NamespaceStrategy(),
        subresources=(Subresource(name="finalize", verbs=("update",)),),
    ),
    kind(
        "",
        "Pod",
        "pods",
        f"{CORE}.Pod",
        strategy=PodStrategy(),
        selectable_fields={"spec.nodeName": lambda pod: (pod.get("spec") or {}).get("nodeName") or ""},
        subresources=(
            Subresource(name="status", verbs=READ_WRITE),
            Subresource(name="binding", verbs=("create",), kind="Binding"),
            Subresource(name="log", verbs=("get",)),
        ),
    ),
    kind("", "Node", "nodes", f"{CORE}.Node", namespaced=False),
    kind("", "Secret", "secrets", f"{CORE}.Secret"),
    kind(
        "",
        "ServiceAccount",
        "serviceaccounts",
        f"{CORE}.ServiceAccount",
        subresources=(Subresource(name="token", verbs=("create",), kind="TokenRequest"),),
    ),
    kind("", "Service", "services", f"{CORE}.Service"),
    kind(
        "apps",
        "ReplicaSet",
        "replicasets",
        "io.k8s.api.apps.v1.ReplicaSet",
        strategy=WithStatus(),
        scale=ScalePaths(),
        subresources=(
            Subresource(name="status", verbs=READ_WRITE),
            Subresource(name="scale", verbs=READ_WRITE, kind="Scale", group="autoscaling", version="v1"),
        ),
    ),
    kind(
        "coordination.k8s.io",
        "Lease",
        "leases",
        "io.k8s.api.coordination.v1.Lease",
        strategy=Strict(),
    ),
    kind(RBAC, "Role", "roles", "io.k8s.api.rbac.v1.Role"),
    kind(RBAC, "RoleBinding", "rolebindings", "io.k8s.api.rbac.v1.RoleBinding"),
    kind(RBAC, "ClusterRole", "clusterroles", "io.k8s.api.rbac.v1.ClusterRole", namespaced=False),
    kind(
        RBAC,
        "ClusterRoleBinding",
        "clusterrolebindings",
        "io.k8s.api.rbac.v1.ClusterRoleBinding",
        namespaced=False,
    ),
    kind(
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
        namespaced=False,
        verbs=("create",),
    ),
)


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
        **options: str,
    ) -> object:
        """Dispatch a request."""
        found = next(one for one in self.kinds if one.plural == plural)
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
                options=cast("Mapping[str, str]", options),
                user_agent="tests/1",
                warnings=warnings if warnings is not None else [],
            )
        )


@asynccontextmanager
async def run_api(**more: object) -> AsyncIterator[Api]:
    """Run an API server in which the namespace default exists; `more` goes to build_dispatcher."""
    kinds = KindRegistry(KINDS)
    async with open_backend("memory://") as backend, open_storage(backend) as storage, TaskScope() as scope:
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
