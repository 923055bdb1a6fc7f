"""What programs do with lightkube, against the cluster of a kubeconfig: `python lightkube_life.py KUBECONFIG NAMESPACE`.

The kind Lamp of operators.example.com is served.
"""

import sys
from collections.abc import Callable

from lightkube import ApiError, Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.core_v1 import ConfigMap as Model
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap
from lightkube.types import PatchType

GROUP = "operators.example.com"
LABELS = {"app": "web"}
POD_TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
DEPLOYMENT = {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": POD_TEMPLATE}


def code_of(call: Callable[[], object]) -> int:
    """Return the code of the error that a call ends with, 0 = none."""
    try:
        call()
    except ApiError as error:
        return int(error.status.code)
    return 0


def main(kubeconfig: str, namespace: str) -> None:
    config = KubeConfig.from_file(kubeconfig)
    client = Client(config=config, namespace=namespace, field_manager="lightkube")
    client.create(ConfigMap(metadata=ObjectMeta(name="one", namespace=namespace), data={"a": "1"}))
    client.patch(ConfigMap, "one", {"data": {"b": "2"}}, patch_type=PatchType.MERGE)
    found = client.get(ConfigMap, name="one")
    assert isinstance(found, Model)
    assert found.data == {"a": "1", "b": "2"}
    applied = client.apply(ConfigMap(metadata=ObjectMeta(name="two", namespace=namespace), data={"x": "y"}))
    assert [each.manager for each in applied.metadata.managedFields] == ["lightkube"]
    assert (
        code_of(
            lambda: client.apply(
                ConfigMap(metadata=ObjectMeta(name="two", namespace=namespace), data={"x": "z"}),
                field_manager="other",
            )
        )
        == 409
    )
    names = {each.metadata.name for each in client.list(ConfigMap, chunk_size=1)}
    assert {"one", "two"} <= names
    deployment = Deployment.from_dict(
        {"metadata": {"name": "web", "namespace": namespace}, "spec": {**DEPLOYMENT, "replicas": 0}}
    )
    client.create(deployment)
    client.patch(Deployment.Scale, "web", {"spec": {"replicas": 4}})
    assert client.get(Deployment, name="web").spec.replicas == 4
    lamp = create_namespaced_resource(GROUP, "v1", "Lamp", "lamps")
    client.create(lamp(metadata=ObjectMeta(name="l", namespace=namespace), spec={"bright": 3}))
    assert client.get(lamp, name="l").spec == {"bright": 3}
    client.delete(ConfigMap, "one")
    assert code_of(lambda: client.get(ConfigMap, name="one")) == 404


if __name__ == "__main__":
    main(*sys.argv[1:])
