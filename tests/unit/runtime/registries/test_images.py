"""Which references are pulled with which credentials."""

import pytest

from k3py.runtime.errors import ImagePullFailed
from k3py.runtime.fake_images import FakeImages
from k3py.runtime.registries.images import RegistryImages, plan_attempts, rewrite, split_reference
from k3py.runtime.registries.settings import Endpoint, HostConfig, Mirror, Registries

MIRROR = Endpoint("https", "mirror.example:5000")
AUTH = {"username": "me", "password": "secret", "identity_token": ""}
DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("busybox", ("docker.io", "library/busybox", "")),
        ("docker.io/a/b:1", ("docker.io", "a/b", ":1")),
        ("localhost:5000/b:1", ("localhost:5000", "b", ":1")),
        ("quay.io/a/b:1" + DIGEST, ("quay.io", "a/b", DIGEST)),
    ],
)
def test_parts_of_a_name(image, parts):
    assert split_reference(image) == parts


@pytest.mark.parametrize(
    ("pattern", "replacement", "renamed"),
    [
        ("^library/(.*)", "mirrored/$1", "mirrored/box"),
        ("^(lib)rary", "${1}s", "libs/box"),
        ("(.*)", "prefix/$1", "prefix/library/box"),
        ("b(o)x", "$$$1$7", "library/$o"),
        ("^other", "x", "library/box"),
    ],
)
def test_rewriting_is_gos(pattern, replacement, renamed):
    assert rewrite("library/box", ((pattern, replacement),)) == renamed


def test_credentials_of_mirrors_and_of_the_registry():
    registries = Registries(
        mirrors={"docker.io": Mirror((MIRROR,))},
        hosts={"mirror.example:5000": HostConfig(auth=AUTH), "docker.io": HostConfig(auth=AUTH)},
    )
    attempts = plan_attempts(registries, "busybox:1")
    assert [(one.reference, one.auth["server_address"]) for one in attempts] == [
        ("busybox:1", "https://mirror.example:5000"),
        ("busybox:1", "https://registry-1.docker.io"),
    ]
    assert plan_attempts(registries, "quay.io/a:1")[0].auth is None


def test_rewritten_names_are_pulled_from_the_mirror_and_then_the_name_itself():
    mirror = Mirror((MIRROR, Endpoint("https", "o.example", "/v2/hub")), (("^library/", "m/"),))
    found = plan_attempts(Registries(mirrors={"docker.io": mirror}), "busybox:1")
    assert [one.reference for one in found] == ["mirror.example:5000/m/busybox:1", "o.example/hub/m/busybox:1", "busybox:1"]
    only = Registries(mirrors={"docker.io": mirror}, default_endpoints=False)
    assert "busybox:1" not in [one.reference for one in plan_attempts(only, "busybox:1")]


async def test_a_rewritten_image_gets_the_name_that_the_pod_uses():
    fake = FakeImages(images=(), pullable=("mirror.example:5000/m/busybox:1",))
    mirror = Mirror((MIRROR,), (("^library/", "m/"),))
    images = RegistryImages(fake, Registries(mirrors={"docker.io": mirror}))
    await images.pull_image("busybox:1")
    assert await images.image_status("docker.io/library/busybox:1")
    with pytest.raises(ImagePullFailed):
        await images.pull_image("busybox:2")
    assert fake.pulls[-2:] == ["mirror.example:5000/m/busybox:2", "busybox:2"]
