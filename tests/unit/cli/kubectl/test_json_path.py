"""JSONPath templates; what kubectl makes of the same ones is compared in tests/integration/test_kubectl_twins.py."""

import pytest

from k3py.cli.kubectl.json_path import JsonPath
from k3py.errors import K3pyError

DOCUMENT = {
    "kind": "List",
    "items": [
        {"metadata": {"name": "a", "labels": {"x.io/y": "1"}}, "n": 1, "ready": True},
        {"metadata": {"name": "b"}, "n": 20, "ready": False, "inner": {"metadata": {"name": "deep"}}},
    ],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.kind}", "List"),
        ("plain", "plain"),
        ("{.items[0].metadata.name}-{.items[-1].metadata.name}", "a-b"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0:1].n}", "1"),
        ("{.items[0,1].n}", "1 20"),
        ("{..name}", "a b deep"),
        (r"{.items[0].metadata.labels.x\.io/y}", "1"),
        ("{.items[0].metadata.labels['x\\.io/y']}", "1"),
        ('{.items[?(@.metadata.name=="b")].n}', "20"),
        ("{.items[?(@.n>5)].metadata.name}", "b"),
        ("{.items[?(@.inner)].metadata.name}", "b"),
        ('{range .items[*]}{.metadata.name}{"\\t"}{.n}{"\\n"}{end}', "a\t1\nb\t20\n"),
        ("{.items[0].metadata}", '{"name":"a","labels":{"x.io/y":"1"}}'),
        ("{.items[*].ready}", "true false"),
        ("{$.kind}{.nothing}", "List"),
    ],
)
def test_templates(template, text):
    assert JsonPath(template).render(DOCUMENT) == text


@pytest.mark.parametrize("template", ["{.items[}", "{.a", "{range .items[*]}x", "{end}", "{.items[x]}", "{.items[9]}", "{.items[?(@.n>'a')]}"])
def test_misspelt_templates_are_refused(template):
    with pytest.raises(K3pyError, match="jsonpath"):
        JsonPath(template).render(DOCUMENT)


def test_a_missing_key_can_be_an_error():
    with pytest.raises(K3pyError, match="nothing is not found"):
        JsonPath("{.nothing}").render(DOCUMENT, allow_missing=False)
