"""OpenAPI v2 documents of several servers become one."""

from k3py.apiserver.aggregation.merging import merge_v2

REF = "#/definitions/"
OWN = {"swagger": "2.0", "paths": {"/api/v1/": {"get": 1}}, "definitions": {"Time": {"type": "string"}, "Meta": {"a": 1}}}


def other(meta, **paths):
    toy = {"properties": {"meta": {"$ref": f"{REF}Meta"}, "time": {"$ref": f"{REF}Time"}}}
    definitions = {"Toy": toy, "Meta": meta, "Time": {"type": "string", "description": "t"}, "Unused": {}}
    return {"paths": {"/apis/g/v/toys": {"get": {"$ref": f"{REF}Toy"}}, **paths}, "definitions": definitions}


def test_paths_below_the_base_come_with_what_they_need():
    merged = merge_v2(OWN, [("/apis/g/v", other({"a": 1}, **{"/apis/g/v2/x": {}, "/api/v1/": {"get": 2}}))])
    assert list(merged["paths"]) == ["/api/v1/", "/apis/g/v/toys"]
    assert merged["paths"]["/api/v1/"] == {"get": 1}
    assert list(merged["definitions"]) == ["Meta", "Time", "Toy"]
    assert "Toy" not in OWN["definitions"]


def test_definitions_that_differ_are_renamed_everywhere():
    merged = merge_v2(OWN, [("/apis/g/v", other({"a": 2}))])
    assert merged["definitions"]["Meta"] == {"a": 1}
    assert merged["definitions"]["Meta_v2"] == {"a": 2}
    assert merged["definitions"]["Toy"]["properties"]["meta"] == {"$ref": f"{REF}Meta_v2"}
    assert merged["definitions"]["Toy"]["properties"]["time"] == {"$ref": f"{REF}Time"}


def test_nonsense_of_other_servers_changes_nothing():
    for nonsense in ({}, {"paths": [], "definitions": 1}, {"paths": {"/apis/g/v/x": 1}, "definitions": {"A": None}}):
        assert merge_v2(OWN, [("/apis/g/v", nonsense)])["paths"] == OWN["paths"]
