"""Extenders: HTTP servers that have a say in filtering, scoring, preemption and binding of pods.

Source: kubernetes/pkg/scheduler/extender.go v1.35; k8s.io/kube-scheduler/extender/v1 v0.35 (whose fields are written as in Go, and read
in any case).
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from k3py.scheduler.interface import Refusal
from k3py.scheduler.preemption.candidates import Candidate
from k3py.scheduler.scoring import MAX_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject, JsonValue
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_MAX_PRIORITY: Final = 10
_LONGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024


class ExtenderError(Exception):
    """An extender did not answer, or said that it failed; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtenderSettings:
    """One entry of `extenders`; a verb "" is not asked.

    Attributes:
        managed: resources; only pods that ask for one of them are sent; none: all pods.
        unseen: managed resources that the scheduler itself does not count.
        knows_nodes: nodeCacheCapable: names of nodes are enough.
        ignorable: a failure does not keep pods from being scheduled.
    """

    url_prefix: str
    filter_verb: str = ""
    prioritize_verb: str = ""
    preempt_verb: str = ""
    bind_verb: str = ""
    weight: int = 1
    timeout_s: float = 5.0
    knows_nodes: bool = False
    managed: frozenset[str] = field(default=frozenset())
    unseen: frozenset[str] = field(default=frozenset())
    ignorable: bool = False
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


class Extender:
    """Asks one extender."""

    def __init__(self, settings: ExtenderSettings) -> None:
        self.settings = settings

    @property
    def name(self) -> str:
        """Return what it is called in reasons."""
        return self.settings.url_prefix

    def is_interested(self, pod: PodInfo) -> bool:
        """Say whether the pod asks for something that the extender manages."""
        managed = self.settings.managed
        if not managed:
            return True
        spec = pod.pod["spec"]
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            resources = container.get("resources") or {}
            if any(name in managed for part in ("requests", "limits") for name in resources.get(part) or {}):
                return True
        return False

    async def filter(
        self, pod: PodInfo, nodes: Sequence[NodeInfo]
    ) -> tuple[list[NodeInfo], dict[str, Refusal]]:
        """Return the nodes that pass and why others do not. Raises ExtenderError."""
        answer = await self._ask_object(self.settings.filter_verb, self._arguments(pod, nodes))
        if answer.get("error"):
            raise ExtenderError(str(answer["error"]))
        if self.settings.knows_nodes and isinstance(answer.get("nodenames"), list):
            names = set(answer["nodenames"])
        else:
            items = (answer.get("nodes") or {}).get("items") or ()
            names = {one["metadata"]["name"] for one in items}
        refusals = {
            node: Refusal(f"{reason}", final=final)
            for part, final in (("failednodes", False), ("failedandunresolvablenodes", True))
            for node, reason in (answer.get(part) or {}).items()
        }
        return [node for node in nodes if node.name in names], refusals

    async def prioritize(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> dict[str, int]:
        """Return what it adds to the scores of nodes. Raises ExtenderError."""
        answer = await self._ask(self.settings.prioritize_verb, self._arguments(pod, nodes))
        if not isinstance(answer, list):
            raise ExtenderError("prioritize: the answer is not a list")
        factor = self.settings.weight * MAX_SCORE // _MAX_PRIORITY
        found = [_lower(one) for one in answer if isinstance(one, dict)]
        return {str(one["host"]): int(one["score"]) * factor for one in found}

    async def preempt(
        self, pod: PodInfo, candidates: Sequence[Candidate], cluster: SchedulerCache
    ) -> list[Candidate]:
        """Return the candidates that it leaves, with the victims that it wants. Raises ExtenderError."""
        names = self.settings.knows_nodes
        victims: JsonObject = {
            one.node_name: {
                "Pods": [{"UID": victim.uid} if names else victim.pod for victim in one.victims],
                "NumPDBViolations": one.violations,
            }
            for one in candidates
        }
        key = "NodeNameToMetaVictims" if names else "NodeNameToVictims"
        answer = await self._ask_object(self.settings.preempt_verb, {"Pod": pod.pod, key: victims})
        left = []
        for name, one in (answer.get("nodenametometavictims") or {}).items():
            node, entry = cluster.find(name), _lower(one)
            uids = [_lower(each).get("uid", "") for each in entry.get("pods") or ()]
            if node is None or any(uid not in node.pods for uid in uids):
                raise ExtenderError(f"preempt: it names a pod that is not on node {name}")
            chosen = tuple(sorted((node.pods[uid] for uid in uids), key=lambda each: -each.priority))
            left.append(Candidate(name, chosen, int(entry.get("numpdbviolations") or 0)))
        return left

    async def bind(self, pod: PodInfo, node_name: str) -> None:
        """Let it bind the pod. Raises ExtenderError."""
        metadata = pod.pod["metadata"]
        answer = await self._ask_object(
            self.settings.bind_verb,
            {
                "PodName": metadata["name"],
                "PodNamespace": metadata["namespace"],
                "PodUID": metadata["uid"],
                "Node": node_name,
            },
        )
        if answer.get("error"):
            raise ExtenderError(str(answer["error"]))

    def _arguments(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> JsonObject:
        if self.settings.knows_nodes:
            return {"Pod": pod.pod, "Nodes": None, "NodeNames": [node.name for node in nodes]}
        items = [node.node for node in nodes]
        return {
            "Pod": pod.pod,
            "Nodes": {"metadata": {}, "items": items},
            "NodeNames": None,
        }

    async def _ask_object(self, verb: str, arguments: JsonObject) -> JsonObject:
        answer = await self._ask(verb, arguments)
        if not isinstance(answer, dict):
            raise ExtenderError(f"{verb}: the answer is not an object")
        return _lower(answer)

    async def _ask(self, verb: str, arguments: JsonObject) -> JsonValue:
        import aiohttp  # noqa: PLC0415 - few have extenders

        settings = self.settings
        url = f"{settings.url_prefix.rstrip('/')}/{verb}"
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        headers = {"Content-Type": "application/json"}
        try:
            tls = await asyncio.to_thread(self._make_tls) if url.startswith("https:") else True
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.post(url, data=orjson.dumps(arguments), headers=headers, ssl=tls) as answer,
            ):
                body = bytearray()
                async for part in answer.content.iter_any():
                    body += part
                    if len(body) > _LONGEST_ANSWER_BYTES:
                        raise ExtenderError(f"{url}: the answer is too long")
                if answer.status != 200:
                    raise ExtenderError(f"failed {verb} with extender at URL {url}, code {answer.status}")
            value: JsonValue = orjson.loads(body)
        except TimeoutError as error:
            raise ExtenderError(f"{url}: no answer in {settings.timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, orjson.JSONDecodeError) as error:
            raise ExtenderError(f"{url}: {error}") from error
        return value

    def _make_tls(self) -> ssl.SSLContext:
        """Blocking."""
        settings = self.settings
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
        return context


def _lower(value: JsonValue) -> JsonObject:
    """Return an object with its keys in lower case: Go reads any case, other languages write any."""
    return {key.lower(): one for key, one in value.items()} if isinstance(value, dict) else {}
