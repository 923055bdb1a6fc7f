"""`kubectl get -w`: rows as they come."""

from contextlib import contextmanager

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@contextmanager
def watching(kubectl, *arguments):
    process = kubectl.start("get", *arguments)
    try:
        yield process.stdout
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_watch_prints_the_header_once_and_each_change(kubectl):
    kubectl("create", "configmap", "one", "--from-literal=a=1")
    with watching(kubectl, "configmap", "-w", "--field-selector=metadata.name!=kube-root-ca.crt") as lines:
        assert lines.readline().split() == ["NAME", "DATA", "AGE"]
        assert lines.readline().split()[:2] == ["one", "1"]
        kubectl("create", "configmap", "two")
        assert lines.readline().split()[:2] == ["two", "0"]
        kubectl("patch", "configmap", "one", "-p", '{"data":{"b":"2"}}')
        assert lines.readline().split()[:2] == ["one", "2"]
        kubectl("delete", "configmap", "one")
        assert lines.readline().split()[:2] == ["one", "2"]


def test_watch_only_leaves_out_what_is_there(kubectl):
    kubectl("create", "configmap", "one")
    with watching(kubectl, "configmap", "--watch-only", "-o", "name") as lines:
        # The watch begins at some moment after the start of the process: changes go on until one is seen.
        for n in range(100):
            kubectl("create", "configmap", f"n{n}")
            if n >= 5:
                break
        assert lines.readline().startswith("configmap/n")


def test_events_of_a_watch_have_their_type(kubectl):
    kubectl("create", "configmap", "one")
    with watching(
        kubectl, "configmap", "one", "-w", "--output-watch-events", "-o", r"jsonpath={.type} {.object.metadata.name} {.object.data.a}{'\n'}"
    ) as lines:
        assert lines.readline().split() == ["ADDED", "one"]
        kubectl("patch", "configmap", "one", "-p", '{"data":{"a":"1"}}')
        assert lines.readline().split() == ["MODIFIED", "one", "1"]
        kubectl("delete", "configmap", "one")
        assert lines.readline().split() == ["DELETED", "one", "1"]


def test_a_selector_turns_changes_into_comings_and_goings(kubectl):
    kubectl("create", "configmap", "one")
    with watching(kubectl, "configmap", "-l", "seen=yes", "-w", "--output-watch-events") as lines:
        first = "configmap/one labeled\n"
        assert kubectl("label", "configmap", "one", "seen=yes") == first
        assert lines.readline().split()[0] == "EVENT"
        assert lines.readline().split()[:2] == ["ADDED", "one"]
        kubectl("label", "configmap", "one", "seen-")
        assert lines.readline().split()[:2] == ["DELETED", "one"]


def test_a_table_watch_across_namespaces_names_them(kubectl, namespace):
    kubectl("create", "configmap", "one", "--from-literal=a=1")
    with watching(kubectl, "configmap", "-A", "-w", f"--field-selector=metadata.namespace={namespace},metadata.name=one") as lines:
        assert lines.readline().split() == ["NAMESPACE", "NAME", "DATA", "AGE"]
        assert lines.readline().split()[:3] == [namespace, "one", "1"]
        kubectl("patch", "configmap", "one", "-p", '{"data":{"b":"2"}}')
        assert lines.readline().split()[:3] == [namespace, "one", "2"]
