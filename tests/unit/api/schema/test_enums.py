"""Values of fields."""

from k3py.api.schema.enums import read_enums


def test_fields_have_their_values_in_order():
    enums = read_enums()
    found = enums.find("io.k8s.api.core.v1.ServiceSpec", "type")
    assert found.values == ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    assert found.text.startswith("\n\nPossible enum values:\n - `\"ClusterIP\"` means")


def test_fields_that_take_any_string_have_none():
    enums = read_enums()
    assert enums.find("io.k8s.api.core.v1.ServiceSpec", "clusterIP") is None
    assert enums.find("com.example.v1.Toy", "spec") is None
