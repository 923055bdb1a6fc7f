"""config.json of the local-path provisioner."""

import orjson
import pytest

from k3py.addons.local_path.settings import DEFAULT_NODE, SettingsError, parse_settings


def entry(node, *paths):
    return {"node": node, "paths": list(paths)}


def parse(**document):
    return parse_settings(orjson.dumps(document).decode())


def test_nodes_have_their_own_folders_or_the_default_ones():
    found = parse(nodePathMap=[entry(DEFAULT_NODE, "/a/"), entry("n1", "/b", "/c/./d"), entry("n2")])
    assert found.folders_of("n1") == ("/b", "/c/d")
    assert found.folders_of("n9") == ("/a",)
    with pytest.raises(SettingsError, match="n2"):
        found.folders_of("n2")
    with pytest.raises(SettingsError, match="n9"):
        parse(nodePathMap=[entry("n1", "/b")]).folders_of("n9")


def test_a_folder_that_all_share():
    assert parse(sharedFileSystemPath="/mnt/all").shared == "/mnt/all"


@pytest.mark.parametrize(
    "document",
    [
        {"nodePathMap": "x"},
        {"nodePathMap": [{"paths": []}]},
        {"nodePathMap": [entry("n1", "/a"), entry("n1", "/b")]},
        {"nodePathMap": [entry("n1", "/")]},
        {"nodePathMap": [entry("n1", "relative")]},
        {"nodePathMap": [entry("n1", "/a/../b")]},
        {"nodePathMap": [entry("n1", "/a")], "sharedFileSystemPath": "/b"},
    ],
)
def test_faults(document):
    with pytest.raises(SettingsError, match="local-path-config"):
        parse(**document)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_no_document(text):
    with pytest.raises(SettingsError):
        parse_settings(text)
