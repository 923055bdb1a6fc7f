"""What programs do with kr8s, against the cluster of a kubeconfig: `python kr8s_life.py KUBECONFIG NAMESPACE`."""

import sys

import kr8s
from kr8s.objects import ConfigMap, Deployment, Pod

LABELS = {"app": "web"}
POD_TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
DEPLOYMENT = {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": POD_TEMPLATE}


def main(kubeconfig: str, namespace: str) -> None:
    api = kr8s.api(kubeconfig=kubeconfig, namespace=namespace)
    one = ConfigMap({"metadata": {"name": "one"}, "data": {"a": "1"}}, namespace=namespace, api=api)
    one.create()
    one.patch({"data": {"b": "2"}})
    one.label({"seen": "yes"})
    found = ConfigMap.get("one", namespace=namespace, api=api)
    assert found.raw["data"] == {"a": "1", "b": "2"}
    assert [
        each.name for each in api.get("configmaps", namespace=namespace, label_selector={"seen": "yes"})
    ] == ["one"]
    assert one.exists()
    events = []
    for event, each in api.watch("configmaps", namespace=namespace):
        events.append((event, each.name))
        if event == "DELETED":
            break
        if each.name == "one" and event == "ADDED":
            one.delete()
    assert ("DELETED", "one") in events
    web = Deployment({"metadata": {"name": "web"}, "spec": DEPLOYMENT}, namespace=namespace, api=api)
    web.create()
    web.wait("condition=Available", timeout=60)
    web.scale(3)
    web.wait("jsonpath='{.status.readyReplicas}'=3", timeout=60)
    assert len(list(Pod.list(namespace=namespace, label_selector=LABELS, api=api))) == 3
    web.delete(propagation_policy="Foreground")
    web.wait("delete", timeout=60)


if __name__ == "__main__":
    main(*sys.argv[1:])
