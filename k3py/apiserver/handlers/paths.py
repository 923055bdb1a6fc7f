"""Paths that are no resources: discovery, version, health, metrics, OpenAPI and OpenID documents."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.status import ApiError
from k3py.apiserver.discovery import AGGREGATED_TYPE
from k3py.apiserver.encoding.answer import (
    answer_bytes,
    answer_document,
    answer_not_found,
    answer_text,
    make_headers,
)
from k3py.apiserver.encoding.negotiation import JSON, not_acceptable
from k3py.apiserver.filters.authz import authorize_path
from k3py.apiserver.handlers.resource import method_not_allowed
from k3py.apiserver.health import ENDPOINTS
from k3py.util.metrics import CONTENT_TYPE, Computed, Registry
from k3py.version import GIT_VERSION, KUBERNETES_VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from k3py.apiserver.discovery import Discovery
    from k3py.apiserver.encoding.negotiation import Negotiator
    from k3py.apiserver.exchange import Exchange
    from k3py.apiserver.health import HealthChecks
    from k3py.apiserver.interface import Authorizer
    from k3py.apiserver.openapi import OpenApi
    from k3py.jsontypes import JsonObject

_JWKS_TYPE: Final = "application/jwk-set+json"
_DISCOVERY_ROOTS: Final = ("/api", "/apis")
_FALSE: Final = ("0", "f", "F", "false", "False", "FALSE")


class PathHandler:
    """Answers non-resource requests, after authorization."""

    def __init__(
        self,
        *,
        authorizer: Authorizer,
        negotiator: Negotiator,
        discovery: Discovery,
        openapi: OpenApi,
        health: HealthChecks,
        metrics: Registry,
        openid_configuration: JsonObject | None,
        jwks: JsonObject | None,
    ) -> None:
        self._authorizer = authorizer
        self._negotiator = negotiator
        self._discovery = discovery
        self._openapi = openapi
        self._health = health
        self._metrics = metrics
        self._openid_configuration = openid_configuration
        self._jwks = jwks
        self._version = version_document()
        self._exact: dict[str, Callable[[Exchange], Awaitable[web.Response]]] = {
            "": self._answer_root,
            "/version": self._answer_version,
            "/metrics": self._answer_metrics,
            "/metrics/slis": self._answer_health_metrics,
            "/metrics/resources": self._answer_resource_metrics,
            "/openid/v1/jwks": self._answer_jwks,
            "/.well-known/openid-configuration": self._answer_openid_configuration,
        }

    async def handle(self, exchange: Exchange) -> web.Response:
        """Answer one request. Raises ApiError."""
        await authorize_path(self._authorizer, exchange.info, exchange.user)
        path = exchange.info.path.rstrip("/")
        head, _, _ = path[1:].partition("/")
        if head in ENDPOINTS:
            return await self._answer_health(exchange, path)
        exact = self._exact.get(path)
        if exact is not None:
            _check_get(exchange)
            return await exact(exchange)
        if head in ("api", "apis"):
            return self._answer_discovery(exchange, path)
        if head == "openapi":
            _check_get(exchange)
            return await self._openapi.answer(exchange, path)
        return answer_not_found(exchange)

    def _answer_discovery(self, exchange: Exchange, path: str) -> web.Response:
        info = exchange.info
        if path in _DISCOVERY_ROOTS and self._wants_aggregated(exchange.accept):
            _check_get(exchange)
            return self._answer_aggregated(exchange, path)
        document = self._discovery.find(path) if "//" not in path else None
        if document is None:
            parts = path.split("/")
            if parts[1] == "apis" and not self._discovery.has_group(parts[2]):
                return answer_not_found(exchange)
            raise ApiError(404, "NotFound", "the server could not find the requested resource", details={})
        if info.method != "GET":
            raise method_not_allowed()
        form = self._negotiator.negotiate_document(exchange.accept)
        return answer_document(exchange, document, form, compress=False)

    def _wants_aggregated(self, accept: str) -> bool:
        if "APIGroupDiscoveryList" not in accept:
            return False
        unknown = False
        for clause in self._negotiator.parse(accept):
            view = clause.parameters.get("as")
            if view is None:
                return False
            if view == "APIGroupDiscoveryList" and clause.match((JSON,)):
                if clause.parameters.get("g") == "apidiscovery.k8s.io" and clause.parameters.get("v") == "v2":
                    return True
                unknown = True
        if unknown:
            raise not_acceptable((JSON, AGGREGATED_TYPE))
        return False

    def _answer_aggregated(self, exchange: Exchange, path: str) -> web.Response:
        body, tag = self._discovery.aggregated(path)
        if exchange.request.headers.get("If-None-Match") == tag:
            answer = answer_bytes(exchange, b"", AGGREGATED_TYPE, 304)
        else:
            answer = answer_bytes(exchange, body, AGGREGATED_TYPE, compress=False)
        answer.headers["ETag"] = tag
        answer.headers["Vary"] = "Accept"
        answer.headers["Cache-Control"] = "public"
        return answer

    async def _answer_health(self, exchange: Exchange, path: str) -> web.Response:
        if exchange.info.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        _, endpoint, *rest = path.split("/")
        status, text = await self._health.answer(
            endpoint,
            check="/".join(rest),
            verbose=exchange.options.get("verbose", "false") not in _FALSE,
            exclude=exchange.multi_options.get("exclude", ()),
        )
        return answer_text(exchange, text, status)

    async def _answer_root(self, exchange: Exchange) -> web.Response:
        paths = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis"]
        for group, version in self._discovery.group_versions:
            if group:
                paths += [f"/apis/{group}", f"/apis/{group}/{version}"]
        for endpoint in ENDPOINTS:
            paths.append(f"/{endpoint}")
            paths += [f"/{endpoint}/{name}" for name in self._health.names(endpoint)]
        paths += ["/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/version"]
        form = self._negotiator.negotiate_status("")
        return answer_document(exchange, {"paths": sorted(set(paths))}, form)

    async def _answer_version(self, exchange: Exchange) -> web.Response:
        form = self._negotiator.negotiate_document(exchange.accept, (JSON,))
        # Indented as upstream writes it, whoever asks.
        body = orjson.dumps(self._version, option=orjson.OPT_INDENT_2)
        return answer_bytes(exchange, body, form.media_type)

    async def _answer_metrics(self, exchange: Exchange) -> web.Response:
        return answer_bytes(exchange, (await self._metrics.read()).encode(), CONTENT_TYPE)

    async def _answer_resource_metrics(self, exchange: Exchange) -> web.Response:
        text = self._metrics.parts["/metrics/resources"].to_text() if self._metrics.parts else ""
        return answer_bytes(exchange, text.encode(), CONTENT_TYPE)

    async def _answer_health_metrics(self, exchange: Exchange) -> web.Response:
        found = [
            ((name, endpoint), 0.0 if fault else 1.0)
            for endpoint in ENDPOINTS
            for name, fault in (await self._health.run(endpoint)).items()
        ]
        registry = Registry()
        registry.add(
            Computed("kubernetes_healthcheck", "Result of a health check.", ("name", "type"), lambda: found),
            Computed(
                "kubernetes_healthchecks_total",
                "Results of all health checks.",
                ("name", "status", "type"),
                self._health.iter_counts,
                kind="counter",
            ),
        )
        return answer_bytes(exchange, registry.to_text().encode(), CONTENT_TYPE)

    async def _answer_jwks(self, exchange: Exchange) -> web.Response:
        if self._jwks is None:
            return answer_not_found(exchange)
        self._negotiator.negotiate_document(exchange.accept, (_JWKS_TYPE,))
        return self._answer_openid(exchange, self._jwks, _JWKS_TYPE)

    async def _answer_openid_configuration(self, exchange: Exchange) -> web.Response:
        if self._openid_configuration is None:
            return answer_not_found(exchange)
        self._negotiator.negotiate_document(exchange.accept, (JSON,))
        return self._answer_openid(exchange, self._openid_configuration, JSON)

    def _answer_openid(self, exchange: Exchange, document: JsonObject, content_type: str) -> web.Response:
        form = self._negotiator.negotiate_status("")
        answer = answer_document(exchange, document, form)
        headers = make_headers(exchange, content_type)
        headers["Cache-Control"] = "public, max-age=3600"
        answer.headers.clear()
        answer.headers.update(headers)
        return answer


def version_document() -> JsonObject:
    """Return what /version says: the Kubernetes version that is spoken, and the program that speaks it."""
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{sys.platform}/{machine}",
    }


def _check_get(exchange: Exchange) -> None:
    if exchange.info.method != "GET":
        raise method_not_allowed()
