"""Ownership as a live server records it; cases follow the reference area core/apply."""

import pytest

from k3py.api.object import deep_copy
from k3py.api.patch.apply import (
    apply_configuration,
    keep_times_if_unchanged,
    manager_of_user_agent,
    update_managed_fields,
)
from k3py.api.schema import load_schema
from k3py.api.status import ApiError

SCHEMAS = load_schema()
NOW = "2026-01-02T03:04:05Z"


class Server:
    """One object of a kind; applies and updates like a handler."""

    def __init__(self, api_version="v1", kind="ConfigMap"):
        self.api_version, self.kind = api_version, kind
        self.type_name = SCHEMAS.find_type_name(api_version, kind)
        self.live = None
        self.now = NOW

    def _finish(self, obj):
        decoded, unknown = SCHEMAS.decode(self.type_name, obj)
        assert unknown == []
        SCHEMAS.default(self.type_name, decoded)
        return decoded

    def apply(self, manager, *, force=False, subresource="", labels=None, **body):
        config = {"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": "a"} | body.pop("metadata", {})} | body
        before = deep_copy((self.live, config))
        merged = apply_configuration(
            self.live, config, manager=manager, force=force, api_version=self.api_version, now=self.now, schemas=SCHEMAS, subresource=subresource
        )
        assert (self.live, config) == before
        self.live = self._finish(merged)
        return self.live

    def update(self, manager, obj, *, subresource=""):
        new = self._finish({"apiVersion": self.api_version, "kind": self.kind} | obj)
        self.live = update_managed_fields(
            self.live, new, manager=manager, api_version=self.api_version, subresource=subresource, now=self.now, schemas=SCHEMAS
        )
        return self.live

    def owners(self):
        entries = self.live["metadata"].get("managedFields", [])
        return {(e["manager"], e["operation"]) + ((e["subresource"],) if "subresource" in e else ()): e["fieldsV1"] for e in entries}


def data(*names, dot=False):
    return {"f:data": ({".": {}} if dot else {}) | {f"f:{name}": {} for name in names}}


@pytest.fixture
def server():
    return Server()


def conflict(call, *args, **kwargs):
    with pytest.raises(ApiError) as error:
        call(*args, **kwargs)
    assert (error.value.code, error.value.reason) == (409, "Conflict")
    assert all(cause["reason"] == "FieldManagerConflict" for cause in error.value.details["causes"])
    return [cause["field"] for cause in error.value.details["causes"]], error.value


def test_create_owns_what_it_applies(server):
    live = server.apply("one", metadata={"labels": {"x": "y"}}, data={"k": "v"})
    assert live["metadata"]["managedFields"] == [
        {
            "manager": "one",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:k": {}}, "f:metadata": {"f:labels": {"f:x": {}}}},
        }
    ]


def test_applying_again_changes_nothing_and_a_co_owner_only_adds_itself(server):
    first = server.apply("one", data={"k": "v"})
    server.now = "2026-01-02T03:04:06Z"
    assert server.apply("one", data={"k": "v"}) == first
    server.apply("two", data={"k": "v"})
    assert server.owners() == {("one", "Apply"): data("k"), ("two", "Apply"): data("k")}


def test_conflict_and_force(server):
    server.apply("one", data={"k": "v", "l": "w"})
    fields, error = conflict(server.apply, "two", data={"k": "mine", "l": "mine"})
    assert fields == [".data.k", ".data.l"]
    assert error.message == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.k\n- .data.l'
    assert error.details["causes"][0]["message"] == 'conflict with "one"'
    assert server.apply("two", force=True, data={"k": "mine"})["data"] == {"k": "mine", "l": "w"}
    assert server.owners() == {("one", "Apply"): data("l"), ("two", "Apply"): data("k")}


def test_an_update_takes_over_what_it_changes(server):
    server.apply("one", data={"k": "v", "l": "w"})
    server.update("editor", {"metadata": {"name": "a"}, "data": {"k": "edited", "l": "w"}})
    assert server.owners() == {("one", "Apply"): data("l"), ("editor", "Update"): data("k")}
    fields, error = conflict(server.apply, "one", data={"k": "v", "l": "w"})
    assert fields == [".data.k"]
    assert error.message == 'Apply failed with 1 conflict: conflict with "editor" using v1: .data.k'
    server.apply("one", data={"k": "edited", "l": "w"})
    assert server.owners() == {("one", "Apply"): data("k", "l"), ("editor", "Update"): data("k")}
    assert server.apply("one", force=True, data={"k": "v", "l": "w"})["data"]["k"] == "v"
    assert server.owners() == {("one", "Apply"): data("k", "l")}


def test_a_shared_value_goes_when_both_let_go(server):
    server.apply("one", data={"k": "v"})
    server.apply("two", data={"k": "v"})
    assert server.apply("one")["data"] == {"k": "v"}
    live = server.apply("two")
    assert "data" not in live
    assert "managedFields" not in live["metadata"]


def test_what_an_update_manager_owns_stays_when_an_applier_lets_go(server):
    server.update("maker", {"metadata": {"name": "a"}, "data": {"k": "v", "l": "w"}})
    server.apply("one", data={"k": "v", "m": "x"})
    assert server.owners() == {("one", "Apply"): data("k", "m"), ("maker", "Update"): data("k", "l", dot=True)}
    assert server.apply("one")["data"] == {"k": "v", "l": "w"}
    assert conflict(server.apply, "one", data={"k": "other"})[0] == [".data.k"]


def test_one_name_with_two_operations_is_two_managers(server):
    server.update("one", {"metadata": {"name": "a"}, "data": {"k": "v"}})
    assert conflict(server.apply, "one", data={"k": "changed"})[0] == [".data.k"]
    server.apply("one", force=True, data={"k": "changed"})
    assert server.owners() == {("one", "Apply"): data("k"), ("one", "Update"): {"f:data": {}}}


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"kind": "ConfigMap"}, 400),
        ({"apiVersion": "v1", "metadata": {"name": "a"}}, 400),
        ({"apiVersion": "v9", "kind": "ConfigMap"}, 400),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"managedFields": []}}, 400),
        ({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": 1}}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "nothing": 1}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"nothing": 1}}, 500),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"finalizers": ["d", "d"]}}, 500),
        ({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c"}, {"name": "c"}]}}, 500),
        ({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": {}}}, 500),
    ],
)
def test_faulty_configurations(config, code):
    with pytest.raises(ApiError) as error:
        apply_configuration(None, config, manager="one", force=False, api_version="v1", now=NOW, schemas=SCHEMAS)
    assert error.value.code == code
    if code == 500:
        assert error.value.reason == ""
    if "nothing" in config:
        assert ".nothing: field not declared in schema" in error.value.message


def template(*containers):
    return {"template": {"spec": {"containers": list(containers)}}}


def names(live):
    return [one["name"] for one in live["template"]["spec"]["containers"] or ()]


def test_containers_are_owned_one_by_one():
    server = Server(kind="PodTemplate")
    server.apply("one", **template({"name": "x", "image": "i", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}))
    env_a = {".": {}, "f:name": {}, "f:value": {}}
    one = {
        ".": {},
        "f:env": {'k:{"name":"A"}': env_a},
        "f:image": {},
        "f:name": {},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
    }
    assert server.owners() == {("one", "Apply"): {"f:template": {"f:spec": {"f:containers": {'k:{"name":"x"}': one}}}}}
    live = server.apply("two", **template({"name": "y", "image": "j"}, {"name": "x", "env": [{"name": "B", "value": "2"}]}))
    assert names(live) == ["y", "x"]
    assert [e["name"] for e in live["template"]["spec"]["containers"][1]["env"]] == ["A", "B"]
    assert conflict(server.apply, "two", **template({"name": "x", "image": "k"}))[0] == ['.template.spec.containers[name="x"].image']
    live = server.apply("two")
    assert names(live) == ["x"]
    assert live["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    assert names(server.apply("one", **template({"name": "z", "image": "i"}))) == ["z"]


def test_the_appliers_order_rules():
    server = Server(kind="PodTemplate")
    assert names(server.apply("one", **template({"name": "b", "image": "i"}, {"name": "a", "image": "i"}))) == ["b", "a"]
    assert names(server.apply("two", **template({"name": "c", "image": "i"}, {"name": "a"}, {"name": "b"}))) == ["c", "a", "b"]
    assert names(server.apply("one", **template(*({"name": n, "image": "i"} for n in "adb")))) == ["c", "a", "d", "b"]


def test_a_missing_key_takes_its_default():
    server = Server(kind="Service")
    server.apply("one", spec={"ports": [{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}]})
    port = {".": {}, "f:name": {}, "f:port": {}}
    ports = {'k:{"port":53,"protocol":"TCP"}': port, 'k:{"port":53,"protocol":"UDP"}': {**port, "f:protocol": {}}}
    assert server.owners() == {("one", "Apply"): {"f:spec": {"f:ports": ports}}}
    live = server.apply("two", spec={"ports": [{"port": 53, "protocol": "TCP", "targetPort": 5353}]})
    assert [one["targetPort"] for one in live["spec"]["ports"]] == [5353, 53]


def test_finalizers_are_a_set(server):
    server.apply("one", metadata={"finalizers": ["a", "b"]})
    assert server.owners() == {("one", "Apply"): {"f:metadata": {"f:finalizers": {'v:"a"': {}, 'v:"b"': {}}}}}
    assert server.apply("two", metadata={"finalizers": ["c", "b"]})["metadata"]["finalizers"] == ["a", "c", "b"]
    assert server.apply("one")["metadata"]["finalizers"] == ["c", "b"]


def test_a_selector_is_owned_as_a_whole():
    server = Server(kind="Service")
    server.apply("one", spec={"selector": {"x": "1"}, "ports": [{"port": 80}]})
    assert server.owners()["one", "Apply"]["f:spec"]["f:selector"] == {}
    assert conflict(server.apply, "two", spec={"selector": {"z": "1"}})[0] == [".spec.selector"]


def test_nulls_and_empty_maps_are_owned_but_leave_nothing_behind(server):
    live = server.apply("one", metadata={"labels": None}, data={"k": None, "l": "w"})
    assert live["data"] == {"k": "", "l": "w"}
    assert server.owners() == {("one", "Apply"): {**data("k", "l"), "f:metadata": {"f:labels": {}}}}
    other = Server()
    assert "data" not in other.apply("one", metadata={"labels": {}}, data={})
    assert other.owners() == {("one", "Apply"): {"f:data": {}, "f:metadata": {"f:labels": {}}}}


def test_defaults_belong_to_nobody():
    server = Server(kind="Service")
    server.apply("one", spec={"ports": [{"port": 80}]})
    assert server.apply("two", spec={"sessionAffinity": "ClientIP"})["spec"]["sessionAffinity"] == "ClientIP"


def test_status_is_owned_through_its_subresource_only():
    server = Server("networking.k8s.io/v1", "Ingress")
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    server.apply("one", spec={"defaultBackend": backend})
    spec = {"f:spec": {"f:defaultBackend": {"f:service": {"f:name": {}, "f:port": {}}}}}
    status = {"f:status": {"f:loadBalancer": {"f:ingress": {}}}}
    applied = {"loadBalancer": {"ingress": [{"hostname": "h.example.com"}]}}
    server.apply("two", subresource="status", status=applied)
    server.apply("one", subresource="status", spec={"ingressClassName": "ignored"}, status=applied)
    assert server.owners() == {("one", "Apply"): spec, ("one", "Apply", "status"): status, ("two", "Apply", "status"): status}
    server.apply("three", status={"loadBalancer": {"ingress": [{"hostname": "i.example.com"}]}})
    assert ("three", "Apply") not in server.owners()


def test_a_plain_update_owns_what_it_sets_and_loses_what_it_drops(server):
    server.update("one", {"metadata": {"name": "a", "labels": {"x": "y", "z": "1"}, "annotations": {"p": "q"}}, "data": {"k": "v"}, "binaryData": {"b": "AAE="}})
    assert server.owners() == {
        ("one", "Update"): {
            "f:binaryData": {".": {}, "f:b": {}},
            "f:data": {".": {}, "f:k": {}},
            "f:metadata": {"f:annotations": {".": {}, "f:p": {}}, "f:labels": {".": {}, "f:x": {}, "f:z": {}}},
        }
    }
    server.update("two", {"metadata": {"name": "a", "labels": {"x": "changed"}}, "data": {"k": "v", "l": "w"}})
    assert server.owners() == {
        ("one", "Update"): {"f:data": {".": {}, "f:k": {}}, "f:metadata": {"f:labels": {}}},
        ("two", "Update"): {"f:data": {"f:l": {}}, "f:metadata": {"f:labels": {"f:x": {}}}},
    }
    server.update("one", {"metadata": {"name": "a"}, "data": {"l": "w"}})
    assert server.owners() == {("one", "Update"): {"f:data": {}}, ("two", "Update"): {"f:data": {"f:l": {}}}}


@pytest.mark.parametrize("entries", [[], [{}]])
def test_managers_are_forgotten_on_request_and_content_is_then_from_before(server, entries):
    server.apply("one", data={"k": "v"})
    live = server.update("two", {"metadata": {"name": "a", "managedFields": entries}, "data": {"k": "v"}})
    assert "managedFields" not in live["metadata"]
    server.apply("three", data={"l": "w"})
    assert server.owners() == {("three", "Apply"): data("l"), ("before-first-apply", "Update"): data("k", dot=True)}


def test_clients_may_write_managed_fields_but_not_nonsense(server):
    server.apply("one", data={"k": "v"})
    entry = {"manager": "new", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": data("k")}
    server.update("x", {"metadata": {"name": "a", "managedFields": [entry]}, "data": {"k": "v"}})
    assert server.owners() == {("new", "Apply"): data("k")}
    for bad in ({"operation": "Jump"}, {"fieldsType": "FieldsV9"}, {"fieldsV1": {"z:x": {}}}):
        server.update("x", {"metadata": {"name": "a", "managedFields": [entry | {"manager": "bad"} | bad]}, "data": {"k": "v"}})
        assert server.owners() == {("new", "Apply"): data("k")}


def test_a_created_pod_is_owned_with_its_defaults_but_without_status():
    server = Server(kind="Pod")
    pod = {"metadata": {"name": "a"}, "spec": {"schedulerName": "none", "containers": [{"name": "c", "image": "i"}]}, "status": {"phase": "Pending"}}
    server.update("tool", pod)
    container = ("image", "imagePullPolicy", "name", "resources", "terminationMessagePath", "terminationMessagePolicy")
    fields = ("dnsPolicy", "enableServiceLinks", "restartPolicy", "schedulerName", "securityContext", "terminationGracePeriodSeconds")
    spec = {"f:containers": {'k:{"name":"c"}': {".": {}} | {f"f:{one}": {} for one in container}}} | {f"f:{one}": {} for one in fields}
    assert server.owners() == {("tool", "Update"): {"f:spec": spec}}
    running = deep_copy(server.live)
    running["status"] |= {"phase": "Running", "message": "fine"}
    server.update("node", running, subresource="status")
    assert server.owners()["node", "Update", "status"] == {"f:status": {"f:message": {}, "f:phase": {}}}


def test_a_writes_without_difference_leaves_the_entries_alone(server):
    first = deep_copy(server.update("one", {"metadata": {"name": "a"}, "data": {"k": "v"}}))
    server.now = "2027-01-01T00:00:00Z"
    new = server.update("two", {"metadata": {"name": "a"}, "data": {"k": "v"}})
    assert new == first
    assert keep_times_if_unchanged(first, new)


def test_more_than_ten_updaters_are_merged_into_one(server):
    for number in range(14):
        server.now = f"2026-01-02T03:04:{number:02}Z"
        server.update(f"m{number}", {"metadata": {"name": "a"}, "data": {f"k{n}": "v" for n in range(number + 1)}})
    owners = server.owners()
    assert len(owners) == 10
    assert owners["ancient-changes", "Update"] == data("k0", "k1", "k2", "k3", "k4", dot=True)


def test_only_times_differing_is_no_change(server):
    old = server.apply("one", data={"k": "v"})
    new = deep_copy(old)
    new["metadata"]["managedFields"][0]["time"] = "2027-01-01T00:00:00Z"
    assert keep_times_if_unchanged(old, new)
    assert new == old
    new["data"]["k"] = "w"
    assert not keep_times_if_unchanged(old, new)


def test_dropping_all_that_one_owned_empties_the_object(server):
    server.apply("one", metadata={"labels": {"x": "y"}, "annotations": {"p": "q"}}, data={"k": "v"}, immutable=False)
    assert server.apply("one") == {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}}


def test_kubectl_takes_over_what_its_annotation_holds(server):
    last = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v"}}'
    metadata = {"name": "a", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}}
    server.update("kubectl-client-side-apply", {"metadata": metadata, "data": {"k": "v", "l": "w"}})
    assert conflict(server.apply, "other", data={"k": "new"})[0] == [".data.k"]
    assert conflict(server.apply, "kubectl", data={"k": "new", "l": "new"})[0] == [".data.l"]
    live = server.apply("kubectl", data={"k": "new"})
    assert live["data"]["k"] == "new"
    assert '"new"' in live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]


def test_custom_resources_without_schema_have_granular_maps_and_atomic_lists():
    config = {"apiVersion": "e.com/v1", "kind": "Toy", "metadata": {"name": "a"}, "spec": {"list": [{"a": 1}], "map": {"b": 1}}}
    live = apply_configuration(None, config, manager="one", force=False, api_version="e.com/v1", now=NOW, schemas=SCHEMAS)
    assert live["metadata"]["managedFields"][0]["fieldsV1"] == {"f:spec": {".": {}, "f:list": {}, "f:map": {".": {}, "f:b": {}}}}


@pytest.mark.parametrize(("agent", "manager"), [("some-tool/v1.2 (linux) more", "some-tool"), ("", "unknown"), ("k\x00x/1", "kx"), ("é" * 100, "é" * 64)])
def test_managers_come_from_the_user_agent(agent, manager):
    assert manager_of_user_agent(agent) == manager
