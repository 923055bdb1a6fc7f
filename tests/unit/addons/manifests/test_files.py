"""What counts as a manifest, and what is in it."""

import pytest

from k3py.addons.manifests.files import ManifestError, ManifestFile, find_manifests, parse_objects

MAP = "{kind: ConfigMap, apiVersion: v1, metadata: {name: %s}}"


def file(tmp_path, name="a.yaml"):
    return ManifestFile(tmp_path / name, name.split(".", 1)[0], "")


def test_files_of_all_folders_are_found_but_hidden_ones(tmp_path):
    (tmp_path / "sub/deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(elsewhere)
    (elsewhere / "l.yaml").touch()
    for name in ("b.yml", "a.b.yaml", "c.json", "d.txt", "e.yaml.skip", ".f.yaml", ".hidden/g.yaml", "sub/deep/h.yaml"):
        (tmp_path / name).touch()
    found = find_manifests(tmp_path)
    assert [(one.name, one.folder) for one in found.files] == [
        ("a", ""), ("b", ""), ("c", ""), ("l", "link"), ("h", "sub"),
    ]  # fmt: skip
    assert set(found.folders) == {tmp_path, tmp_path / "link", tmp_path / "sub", tmp_path / "sub/deep"}


def test_a_file_beside_it_takes_a_file_out(tmp_path):
    assert not file(tmp_path).skipped
    (tmp_path / "a.yaml.skip").touch()
    assert file(tmp_path).skipped


def test_documents_and_lists_are_opened(tmp_path):
    items = f"{{kind: List, apiVersion: v1, items: [{MAP % 'b'}, {MAP % 'c'}]}}"
    content = f"{MAP % 'a'}\n---\n# nothing\n---\n{items}\n"
    assert [one["metadata"]["name"] for one in parse_objects(file(tmp_path), content.encode())] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "content", "reason", "said"),
    [
        ("a.yaml", "a: [", "ParseManifestFailed", "YAML"),
        ("a.yaml", "just text", "ParseManifestFailed", "document 1: must be an object"),
        ("a.yaml", "{kind: Pod}", "ParseManifestFailed", "kind and apiVersion"),
        ("a.yaml", "{kind: Pod, apiVersion: v1}", "ParseManifestFailed", "Pod: metadata.name"),
        ("a.yaml", "{kind: List, apiVersion: v1, items: [1]}", "ParseManifestFailed", "items[0]"),
        ("A_.yaml", MAP % "a", "ValidateManifestFailed", "'A_'"),
    ],
)
def test_faults_are_named(tmp_path, name, content, reason, said):
    with pytest.raises(ManifestError) as caught:
        parse_objects(file(tmp_path, name), content.encode())
    assert caught.value.reason == reason
    assert said in str(caught.value)
