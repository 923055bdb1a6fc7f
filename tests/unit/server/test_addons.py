"""Names that --disable does not know."""

from k3py.server.addons import find_unknown


def test_components_files_and_folders_are_known(tmp_path):
    folder = tmp_path / "manifests"
    assert find_unknown(folder, ("coredns", "traefik", "coredsn")) == ["coredsn"]
    (folder / "team").mkdir(parents=True)
    (folder / "team/app.yaml").touch()
    assert find_unknown(folder, ("team", "app", "other")) == ["other"]
