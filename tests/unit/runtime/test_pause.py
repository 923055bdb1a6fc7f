"""The pause program's bytes, and the image made of them."""

from __future__ import annotations

import io
import json
import platform
import struct
import subprocess
import tarfile

import pytest

from k3py.runtime.image_archive import ImageFile, ImageRecipe, build_archive
from k3py.runtime.pause import pause_image, pause_program


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_the_program_is_one_loadable_segment_of_the_files_size(machine, number):
    data = pause_program(machine)
    assert data[:6] == b"\x7fELF\x02\x01"
    assert struct.unpack_from("<HH", data, 16) == (2, number)
    kind, flags, offset, _, _, size, memory, _ = struct.unpack_from("<IIQQQQQQ", data, 64)
    assert (kind, flags, offset, size, memory) == (1, 5, 0, len(data), len(data))
    assert len(data) < 300


def test_the_arm_program_is_the_code_that_an_assembler_makes():
    # mov x0, #17; adr x1, action; mov x2, #0; mov x3, #8; mov x8, #134; svc #0
    words = struct.unpack_from("<24I", pause_program("aarch64"), 120)
    assert words[:6] == (0xD2800220, 0x100002E1, 0xD2800002, 0xD2800103, 0xD28010C8, 0xD4000001)
    # adr x0, signals; mov x1, #0; mov x2, #0; mov x3, #8; mov x8, #137; svc #0; tbnz x0, #63, to the adr
    assert words[13:19] == (0xD2800001, 0xD2800002, 0xD2800103, 0xD2801128, 0xD4000001, 0xB7FFFF40)
    assert words[19:] == (0xD2800000, 0xD2800002, 0xD2800103, 0xD2800BC8, 0xD4000001)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="runs x86-64 code")
@pytest.mark.parametrize("number", [2, 15])
def test_the_program_waits_and_exits_with_0_on_int_and_term(tmp_path, number):
    path = tmp_path / "pause"
    path.write_bytes(pause_program("x86_64"))
    path.chmod(0o755)
    with subprocess.Popen([path]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
        process.send_signal(number)
        assert process.wait(timeout=5) == 0


def read(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers() if member.isfile()}


def test_an_archive_names_its_images_and_their_layers_digests():
    files = read(build_archive([pause_image("k3py.io/pause:1", "aarch64")]))
    (entry,) = json.loads(files["manifest.json"])
    assert entry["RepoTags"] == ["k3py.io/pause:1"]
    config = json.loads(files[entry["Config"]])
    assert (config["architecture"], config["os"]) == ("arm64", "linux")
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + entry["Layers"][0].split("/")[0]]


def test_a_layer_has_modes_links_and_the_folders_above():
    recipe = ImageRecipe(
        names=("x:1",), architecture="amd64",
        files=(ImageFile("usr/bin/tool", b"#!", 0o755), ImageFile("bin/sh", link="../usr/bin/tool", mode=0o777)),
    )  # fmt: skip
    files = read(build_archive([recipe]))
    layer = next(data for name, data in files.items() if name.endswith("layer.tar"))
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        found = {member.name: (member.type, member.mode, member.linkname) for member in tar.getmembers()}
    assert found == {
        "usr": (tarfile.DIRTYPE, 0o755, ""), "usr/bin": (tarfile.DIRTYPE, 0o755, ""),
        "usr/bin/tool": (tarfile.REGTYPE, 0o755, ""), "bin": (tarfile.DIRTYPE, 0o755, ""),
        "bin/sh": (tarfile.SYMTYPE, 0o777, "../usr/bin/tool"),
    }  # fmt: skip


def test_the_same_recipe_gives_the_same_bytes():
    assert build_archive([pause_image("a:1", "x86_64")]) == build_archive([pause_image("a:1", "x86_64")])
