"""The dashboard in a real browser: signing in, looking, changing, a shell, on a phone, by keyboard and for screen readers.

K3PY_SHOW=FOLDER keeps pictures (docs/pictures was made so).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser import CHROMIUM, browser_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")

IMAGE = "docker.io/library/busybox:local"
SHOW = os.environ.get("K3PY_SHOW")
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {{name: main, image: {IMAGE}, command: [sh, -c, "echo it is up; exec sleep 3600"]}}
"""
STUCK = f"""
apiVersion: v1
kind: Pod
metadata: {{name: stuck}}
spec:
  nodeSelector: {{disk: none}}
  containers: [{{name: main, image: {IMAGE}}}]
"""


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    with browser_in(server.node, tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def access(server):
    return json.loads(server.node.python("-m", "k3py", "dashboard", "-o", "json").stdout)


@pytest.fixture
def page(browser, access):
    """A page that is signed in; whatever its scripts complain about fails the test."""
    with browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
        page.goto(access["url"])
        page.get_by_label("Token").fill(access["token"])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Overview").wait_for()
        yield page
        assert not complaints


def is_complaint(message):
    """Say whether a script complains; that the API refused something is the page's to show."""
    return message.type == "error" and "Failed to load resource" not in message.text


def show(page, name):
    if SHOW:
        page.screenshot(path=Path(SHOW) / f"{name}.png")


def test_a_wrong_token_is_told_and_kept_nowhere(browser, access):
    with browser.new_context(ignore_https_errors=True) as context:
        page = context.new_page()
        page.goto(access["url"])
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").get_by_text("does not take this token").wait_for()
        assert page.evaluate("sessionStorage.length") == 0


def test_what_waits_says_why_and_changes_are_seen_live(server, namespace, page):
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=STUCK)
    waits = page.locator("li", has_text=f"{namespace}/stuck")
    waits.get_by_text("Unschedulable: 0/1 nodes are available").wait_for()
    show(page, "overview")
    page.get_by_role("link", name="Pods").click()
    row = page.get_by_role("row").filter(has_text=namespace)
    row.get_by_text("Pending").wait_for()
    server.kubectl("delete", "pod", "stuck", "-n", namespace, "--wait=false")
    row.wait_for(state="detached")


def test_a_change_is_shown_before_it_is_made(server, namespace, page):
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=WEB)
    page.goto(page.url.partition("#")[0] + f"#/object/apps/deployments/{namespace}/web/yaml")
    area = page.get_by_label("YAML", exact=True)
    area.wait_for()
    before = area.input_value()
    assert "managedFields" not in before
    area.fill(before.replace("replicas: 1", "replicas: two", 1))
    page.get_by_role("button", name="Show what would change").click()
    page.get_by_role("alert").get_by_text("replicas").wait_for()
    # The Deployment's status moves meanwhile: the newest version is read before it is changed.
    server.until(lambda: server.get("deployment", "web", "-n", namespace)["status"].get("readyReplicas") == 1)
    page.get_by_role("button", name="Read again").click()
    expect(area).to_have_value(re.compile("readyReplicas: 1"), timeout=60_000)
    area.fill(area.input_value().replace("replicas: 1", "replicas: 2", 1))
    page.get_by_role("button", name="Show what would change").click()
    changes = page.get_by_role("region", name="Changes")
    changes.get_by_text("+   replicas: 2").wait_for()
    assert server.get("deployment", "web", "-n", namespace)["spec"]["replicas"] == 1, "so far it was a dry run"
    show(page, "change")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    assert server.get("deployment", "web", "-n", namespace)["spec"]["replicas"] == 2


def test_output_and_a_shell(server, namespace, page):
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=WEB)
    server.kubectl("wait", "deployment/web", "-n", namespace, "--for=condition=Available", "--timeout=60s")
    pod = server.get("pods", "-n", namespace)["items"][0]["metadata"]["name"]
    address = page.url.partition("#")[0] + f"#/object/core/pods/{namespace}/{pod}"
    page.goto(f"{address}/logs")
    page.get_by_role("log").get_by_text("it is up").wait_for()
    page.goto(f"{address}/terminal")
    page.get_by_role("button", name="Open a shell").click()
    page.get_by_text("connected", exact=True).wait_for()
    page.keyboard.type("echo $((6 * 7)) of $(hostname)\n")
    page.locator(".xterm-rows").get_by_text(f"42 of {pod}").wait_for()
    show(page, "terminal")


def test_a_viewer_sees_and_cannot_change(server, namespace, browser):
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=WEB)
    access = json.loads(server.node.python("-m", "k3py", "dashboard", "--view", "-o", "json").stdout)
    with browser.new_context(ignore_https_errors=True) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(access["url"])
        page.get_by_label("Token").fill(access["token"])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Nodes").wait_for()
        page.get_by_text("Ready, v1.35").wait_for()
        page.goto(access["url"] + f"#/object/apps/deployments/{namespace}/web")
        page.get_by_role("button", name="Delete …").click()
        page.get_by_role("button", name="Really delete").click()
        page.get_by_role("alert").get_by_text("cannot delete resource").wait_for()
        page.goto(access["url"] + "#/list/core/secrets")
        page.get_by_role("alert").get_by_text("cannot list resource").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_find_no_obstacle(page, scheme):
    page.emulate_media(color_scheme=scheme)
    for view in ("#/", "#/list/core/nodes", "#/object/core/nodes/-/n1", "#/object/core/nodes/-/n1/yaml", "#/kinds"):
        page.goto(page.url.partition("#")[0] + view)
        page.get_by_text("Reading").first.wait_for(state="detached")
        found = Axe().run(page)
        assert not found.violations_count, f"{view}: {found.generate_report()}"


def test_on_a_phone_by_keyboard(page):
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    page.get_by_role("heading", name="Overview").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing has to be moved sideways"
    menu = page.get_by_role("button", name="Menu")
    menu.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Nodes").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="n1").wait_for()
    assert menu.get_attribute("aria-expanded") == "false"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    show(page, "phone")


def container(**status):
    return {"status": {"phase": "Running", "containerStatuses": [{"name": "a", "ready": False, "restartCount": 2, **status}]}}


@pytest.mark.parametrize(
    ("pod", "state", "why"),
    [
        ({"status": {"phase": "Pending"}}, "Pending", "no scheduler has looked"),
        ({"spec": {"schedulingGates": [{"name": "x/y"}]}, "status": {}}, "Pending", "held by scheduling gates x/y"),
        ({"spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}, "Pending", "on node n; volumes"),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}}, "Terminating", "waits for a/b"),
        ({"status": {"phase": "Succeeded"}}, "Succeeded", ""),
        ({"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}}, "Failed", "Evicted: The node"),
        (container(state={"running": {}}), "Running", "a probe does not pass yet, restarted 2 times"),
        (container(state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}), "Running", "CrashLoopBackOff: back-off"),
        (container(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), "Running", "ended with 137 (OOMKilled)"),
    ],
)
def test_a_pod_says_why_it_does_not_run(page, pod, state, why):
    pod = {"metadata": {}, "status": {}, **pod, "spec": {"nodeName": "n", **pod.get("spec", {})}}
    if why in ("no scheduler has looked", "held by scheduling gates x/y"):
        del pod["spec"]["nodeName"]
    judged = page.evaluate("pod => import('/ui/lib/reasons.js').then(module => module.judgePod(pod))", pod)
    assert judged["state"] == state
    assert why in judged["why"]
    assert bool(judged["why"]) == bool(why)
