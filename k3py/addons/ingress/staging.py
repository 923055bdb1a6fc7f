"""Puts Traefik's manifest into the manifests folder once a node has Traefik's image.

The image comes by the images folder of a node, or because somebody pulled it. From then on the file is K3s' `traefik.yaml`: `.skip` and
`--disable traefik` do what they do there.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final

from k3py.addons.packaged.staging import render_manifest, write_manifest
from k3py.api.resource import NODES
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from k3py.client.interface import InformerFactory
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

NAME: Final = "traefik"
_KEY: Final = "traefik"
_IMAGE: Final = re.compile(
    r"[\w.:-]+/(?:[\w.-]+/)*(?:mirrored-library-)?traefik:v?(3(?:\.\d+)*)(?:-[\w.-]+)?", re.ASCII
)


def find_image(nodes: Iterable[JsonObject]) -> str:
    """Return the newest image of Traefik 3 that any node has, "" when there is none. Pure."""
    found: set[tuple[tuple[int, ...], str]] = set()
    for node in nodes:
        for image in (node.get("status") or {}).get("images") or ():
            for name in image.get("names") or ():
                if match := _IMAGE.fullmatch(name):
                    found.add((tuple(int(part) for part in match[1].split(".")), name))
    return max(found)[1] if found else ""


class IngressStaging:
    """A controller; see the module. folder: the manifests folder."""

    name = "ingress-staging"
    workers = 1

    def __init__(self, informers: InformerFactory, folder: Path) -> None:
        self._folder = folder
        nodes = informers.informer(NODES)
        self._nodes = nodes.lister
        self.watches: Sequence[Watch] = (Watch(nodes, _keys_of_node),)

    async def reconcile(self, key: str) -> float | None:
        """Write the file, when there is an image for it."""
        image = find_image(self._nodes.list())
        if image:
            text = await asyncio.to_thread(render_manifest, NAME, {"TRAEFIK_IMAGE": image})
            if await asyncio.to_thread(write_manifest, self._folder, NAME, text):
                log.info("ingress controller is put to work", extra={"image": image})
        return None


def _keys_of_node(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    before, after = ((one or {}).get("status", {}).get("images") for one in (old, new))
    return (_KEY,) if new is not None and (old is None or before != after) else ()
