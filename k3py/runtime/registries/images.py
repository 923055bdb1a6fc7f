"""Pulls images with the credentials and rewritten names of registries.yaml.

Credentials go to containerd with each pull, bound to the host that they are for: they are in no other file and no command line. A
rewritten name is pulled as it is called at the mirror and then named as the pod calls it, since containerd itself rewrites nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.api.go_regex import compile_pattern, replace_all
from k3py.runtime.errors import ImagePullFailed
from k3py.runtime.interface import ImageService
from k3py.runtime.registries.settings import default_endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.runtime.registries.settings import Endpoint, Registries


@dataclass(frozen=True, slots=True)
class Attempt:
    """A reference to pull, and the credentials to show; None = none."""

    reference: str
    auth: JsonObject | None


def split_reference(image: str) -> tuple[str, str, str]:
    """Return (registry, repository, ":tag" or "@digest") of an image's name, Docker Hub's defaults filled in."""
    name, at, digest = image.partition("@")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, path = head, rest
    else:
        registry, path = "docker.io", name
    repository, colon, tag = path.partition(":")
    if registry == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository, (colon + tag if not at else "") + at + digest


def rewrite(repository: str, rewrites: Sequence[tuple[str, str]]) -> str:
    """Return the repository's name at a mirror: the first pattern that fits replaces all that it fits."""
    for pattern, replacement in rewrites:
        compiled = compile_pattern(pattern)
        if compiled.search(repository):
            return replace_all(compiled, replacement, repository)
    return repository


def plan_attempts(registries: Registries, image: str) -> list[Attempt]:
    """Return what to try in order; the last ones are the name itself, which containerd looks for at mirrors and then at the registry."""
    registry, repository, version = split_reference(image)
    mirror = registries.mirror_of(registry)
    endpoints = mirror.endpoints if mirror else ()
    attempts = []
    renamed = rewrite(repository, mirror.rewrites) if mirror else repository
    if renamed != repository:
        for endpoint in endpoints:
            prefix = endpoint.path.removeprefix("/v2").strip("/")
            path = f"{prefix}/{renamed}" if prefix else renamed
            attempts.append(Attempt(f"{endpoint.host}/{path}{version}", _auth(registries, endpoint.host)))
        if not registries.default_endpoints and endpoints:
            return attempts
        return [*attempts, Attempt(image, _registry_auth(registries, registry))]
    found: list[Endpoint] = [*endpoints]
    auths = [auth for one in found if (auth := _auth(registries, one.host))]
    if own := _registry_auth(registries, registry):
        auths.append(own)
    return [Attempt(image, auth) for auth in auths or (None,)]


def _auth(registries: Registries, host: str) -> JsonObject | None:
    config = registries.config_of(host)
    return {**config.auth, "server_address": f"https://{host}"} if config and config.auth else None


def _registry_auth(registries: Registries, registry: str) -> JsonObject | None:
    host = default_endpoint(registry).host
    config = registries.hosts.get(registry) or registries.config_of(host)
    return {**config.auth, "server_address": f"https://{host}"} if config and config.auth else None


class RegistryImages(ImageService):
    """The runtime's images, pulled as `registries` says."""

    def __init__(self, images: ImageService, registries: Registries) -> None:
        self._images = images
        self._registries = registries

    async def list_images(self) -> Sequence[JsonObject]:
        """Return Image documents."""
        return await self._images.list_images()

    async def image_status(self, image: str) -> JsonObject | None:
        """Return the Image document, or None when it is not there."""
        return await self._images.image_status(image)

    async def pull_image(self, image: str, *, auth: JsonObject | None = None) -> str:
        """Pull an image; the caller's credentials come first. Raises ImagePullFailed with the last failure."""
        attempts = plan_attempts(self._registries, image)
        if auth is not None:
            attempts = [
                Attempt(image, auth),
                *(one for one in attempts if one.reference != image or one.auth),
            ]
        failure: ImagePullFailed | None = None
        for attempt in attempts:
            try:
                reference = await self._images.pull_image(attempt.reference, auth=attempt.auth)
            except ImagePullFailed as error:
                failure = error
                continue
            if attempt.reference != image:
                registry, repository, version = split_reference(image)
                await self._images.tag_image(attempt.reference, f"{registry}/{repository}{version}")
            return reference
        raise failure or ImagePullFailed(f"no place is known for {image}")

    async def tag_image(self, source: str, target: str) -> None:
        """Give an image a further name."""
        await self._images.tag_image(source, target)

    async def remove_image(self, image: str) -> None:
        """Remove an image; idempotent."""
        await self._images.remove_image(image)

    async def image_fs_info(self) -> Sequence[JsonObject]:
        """Return FilesystemUsage documents."""
        return await self._images.image_fs_info()
