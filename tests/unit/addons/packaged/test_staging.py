"""The packaged manifests in the manifests folder."""

from k3py.addons.manifests.files import ManifestFile, parse_objects
from k3py.addons.packaged.staging import PACKAGED, render_manifest, stage_manifests, write_manifest

VARIABLES = {"DEFAULT_LOCAL_STORAGE_PATH": "/data/storage", "TRAEFIK_IMAGE": "docker.io/library/traefik:v3.1"}


def test_files_are_written_and_made_good(tmp_path):
    folder = tmp_path / "manifests"
    stage_manifests(folder, disabled=(), variables=VARIABLES)
    file = folder / "local-storage.yaml"
    written = file.read_text()
    assert '"/data/storage"' in written
    file.write_text("changed")
    stage_manifests(folder, disabled=(), variables=VARIABLES)
    assert file.read_text() == written


def test_disabled_and_skipped_files_are_not(tmp_path):
    stage_manifests(tmp_path, disabled=PACKAGED, variables=VARIABLES)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "local-storage.yaml.skip").touch()
    stage_manifests(tmp_path, disabled=("runtimes",), variables=VARIABLES)
    assert [one.name for one in tmp_path.iterdir()] == ["local-storage.yaml.skip"]


def test_what_is_there_is_not_written_again(tmp_path):
    assert write_manifest(tmp_path, "a", "text")
    assert not write_manifest(tmp_path, "a", "text")


def test_all_of_them_can_be_read(tmp_path):
    for name in (*PACKAGED, "traefik"):
        text = render_manifest(name, VARIABLES)
        assert "%{" not in text
        assert parse_objects(ManifestFile(tmp_path / f"{name}.yaml", name, ""), text.encode())
