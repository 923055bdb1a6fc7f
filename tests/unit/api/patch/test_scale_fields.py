from k3py.api.patch.scale_fields import object_entries, scale_entries

REPLICAS = {"f:spec": {"f:replicas": {}}}


def entry(manager, fields, operation="Apply", version="apps/v1", **more):
    return {"manager": manager, "operation": operation, "apiVersion": version, "time": "2026-01-02T03:04:05Z", "fieldsType": "FieldsV1", "fieldsV1": fields} | more


def test_owners_of_replicas_own_the_scale():
    entries = [entry("one", {"f:spec": {"f:paused": {}, "f:replicas": {}}}), entry("two", {"f:spec": {"f:paused": {}}})]
    assert scale_entries(entries, "spec.replicas") == [entry("one", REPLICAS, version="autoscaling/v1")]


def test_a_scale_that_changes_hands_is_taken_from_the_object():
    entries = [entry("one", {"f:spec": {"f:paused": {}, "f:replicas": {}}})]
    scale = [entry("two", REPLICAS, "Update", "autoscaling/v1", subresource="scale")]
    assert object_entries(entries, scale, "apps/v1", ".spec.replicas") == [
        entry("one", {"f:spec": {"f:paused": {}}}),
        entry("two", REPLICAS, "Update", subresource="scale"),
    ]


def test_unchanged_owners_stay_as_they_are():
    entries = [entry("one", REPLICAS), entry("editor", REPLICAS, "Update")]
    assert object_entries(entries, scale_entries(entries, "spec.replicas"), "apps/v1", "spec.replicas") == entries


def test_an_owner_of_replicas_alone_goes():
    assert object_entries([entry("one", REPLICAS)], [], "apps/v1", "spec.replicas") == []
