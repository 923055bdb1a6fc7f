"""The cluster in numbers."""

from k3py.cli.status.summary import count_pods, last_warnings, summarize_nodes, summarize_servers


def node(name, address, ready="True", **spec):
    conditions = [
        {"type": "Ready", "status": ready, "message": "kubelet stopped posting"},
        {"type": "MemoryPressure", "status": "False"},
    ]
    return {
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/control-plane": "true"}},
        "spec": spec,
        "status": {
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": address}],
            "allocatable": {"cpu": "1900m", "memory": "1Gi", "pods": "110"},
        },
    }


def pod(node_name, phase="Running", **requests):
    return {
        "metadata": {"name": "p"},
        "spec": {"nodeName": node_name, "containers": [{"name": "c", "resources": {"requests": requests}}]},
        "status": {"phase": phase},
    }


def test_nodes_with_what_was_asked_of_them():
    pods = [pod("n1", cpu="100m", memory="256Mi"), pod("n1", cpu="1"), pod("n1", phase="Succeeded", cpu="7"), pod("n2")]
    (first, second) = summarize_nodes([node("n1", "192.0.2.1"), node("n2", "192.0.2.2", "Unknown", unschedulable=True)], pods)
    assert (first["pods"], first["cpuRequestedMillis"], first["memoryRequestedBytes"]) == (2, 1100, 256 << 20)
    assert (first["state"], first["problems"], first["roles"]) == ("Ready", [], ["control-plane"])
    assert (second["state"], second["problems"]) == ("NotReady,SchedulingDisabled", ["kubelet stopped posting"])


def test_servers_are_named_by_their_node():
    slices = [
        {
            "ports": [{"port": 6443}],
            "endpoints": [
                {"addresses": ["192.0.2.1"], "conditions": {"ready": True}},
                {"addresses": ["192.0.2.9"], "conditions": {"ready": False}},
            ],
        }
    ]
    assert summarize_servers(slices, [node("n1", "192.0.2.1")]) == [
        {"address": "192.0.2.1:6443", "node": "n1", "ready": True},
        {"address": "192.0.2.9:6443", "node": "", "ready": False},
    ]


def test_pods_are_counted_by_state_and_warnings_by_object():
    assert count_pods([pod("n1"), pod("n1"), pod("n1", phase="Pending")]) == {"Running": 2, "Pending": 1}
    events = [
        {"type": "Warning", "reason": "A", "message": "new", "lastTimestamp": "2026-02", "involvedObject": {"uid": "u"}, "metadata": {}},
        {"type": "Warning", "reason": "A", "message": "old", "lastTimestamp": "2026-01", "involvedObject": {"uid": "u"}, "metadata": {}},
        {"type": "Normal", "reason": "B", "lastTimestamp": "2026-03", "involvedObject": {"uid": "u"}, "metadata": {}},
    ]
    assert last_warnings(events) == {"u": "A: new"}
