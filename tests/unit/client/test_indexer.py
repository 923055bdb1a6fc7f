from k3py.client.indexer import Indexer


def obj(name, node):
    return {"metadata": {"name": name, "namespace": "a"}, "spec": {"nodeName": node}}


def test_index_follows_changes_and_removals():
    indexer = Indexer(lambda entry: entry)
    indexer.add_index("node", lambda o: [o["spec"]["nodeName"]])
    indexer.put(("a", "x"), obj("x", "n1"))
    indexer.put(("a", "y"), obj("y", "n1"))
    indexer.put(("a", "x"), obj("x", "n2"))
    assert [o["metadata"]["name"] for o in indexer.by_index("node", "n1")] == ["y"]
    assert [o["metadata"]["name"] for o in indexer.by_index("node", "n2")] == ["x"]
    indexer.remove(("a", "x"))
    assert indexer.by_index("node", "n2") == []


def test_list_is_by_namespace_or_all():
    indexer = Indexer(lambda entry: entry)
    for namespace, name in (("a", "1"), ("b", "2")):
        indexer.put((namespace, name), {"metadata": {"name": name}})
    assert len(indexer.list()) == 2
    assert [o["metadata"]["name"] for o in indexer.list("b")] == ["2"]
    assert indexer.find("a", "2") is None
