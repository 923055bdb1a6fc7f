"""A client-go program (tests/support/client_go): typed protobuf client, informers, leader election, server-side apply."""

import json
import os
import subprocess

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


@pytest.fixture
def run(cluster, namespace):
    """Runs one step of the program and returns what it says."""
    program = os.environ.get("K3PY_TEST_CLIENT_GO", "")
    if not program:
        pytest.skip("needs the client-go program: tests/support/client_go/build makes it, K3PY_TEST_CLIENT_GO names it")
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}

    def call(step):
        done = subprocess.run([program, step, namespace], capture_output=True, text=True, env=environment, timeout=80)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def test_a_controller_copies_what_its_informers_see(run):
    found = run("informers")
    copies = [f"copy-of-after-{n}=after-{n}" for n in range(5)] + ["copy-of-before-0=changed"]
    assert found["copies"] == copies + [f"copy-of-before-{n}=before-{n}" for n in range(1, 5)]
    assert found["events"] == {"added": 10, "updated": 1, "deleted": 10}


def test_leaders_are_elected_one_after_the_other(run):
    found = run("election")
    assert found["order"] == ["first", "second"]
    assert found["holder"] == "second"
    assert found["transitions"] >= 1


def test_server_side_apply_of_two_managers(run):
    found = run("apply")
    assert found["replicas"] == [1, 2]
    assert found["conflict"] is True
    assert 'conflict with "one": .spec.replicas' in found["message"]
    assert found["managers"] == ["one", "two"]
    assert found["extracted"] == 2


def test_no_write_is_lost_among_eight_writers(run):
    assert run("conflicts") == {"n": "80"}


def test_pages_show_one_moment(run):
    found = run("pages")
    assert found == {"names": [f"page-{n:02}" for n in range(25)], "pages": 3, "left": 0}


def test_an_unstructured_deployment_gets_its_defaults(run):
    assert run("dynamic") == {"strategy": "RollingUpdate", "paused": True, "generation": 2}


def test_errors_are_known_by_their_reason(run):
    assert run("faults") == dict.fromkeys(("missing", "exists", "invalid", "forbidden", "unauthorized", "stale"), True)
