"""Answers of the health endpoints, as upstream writes them."""

import pytest

from k3py.apiserver.health import HealthChecks


@pytest.fixture
def checks():
    made = HealthChecks()
    made.add("good", lambda: "")
    made.add("ready", lambda: "not yet", endpoints=("readyz",))
    return made


async def test_verbose_lists_checks(checks):
    assert await checks.answer("livez", verbose=True) == (200, "[+]ping ok\n[+]good ok\nlivez check passed\n")
    assert await checks.answer("livez") == (200, "ok")


async def test_failure_withholds_the_reason(checks):
    status, text = await checks.answer("readyz")
    assert (status, text) == (
        500,
        "[+]ping ok\n[+]good ok\n[-]ready failed: reason withheld\nreadyz check failed\n",
    )


async def test_exclusion_and_its_mistakes(checks):
    status, text = await checks.answer("readyz", verbose=True, exclude=["ready", "other"])
    assert status == 200
    assert "[+]ready excluded: ok" in text
    assert 'warn: some health checks cannot be excluded: no matches for "other"' in text


async def test_one_check(checks):
    assert await checks.answer("livez", check="good") == (200, "ok")
    assert await checks.answer("readyz", check="ready") == (500, "internal server error: not yet\n")
    assert (await checks.answer("livez", check="ready"))[0] == 404


async def test_probe_may_take_its_time_and_results_are_counted(checks):
    async def slow():
        return ""

    checks.add("slow", slow)
    checks.add_source(lambda: {"part": None, "other": "broken"}, endpoints=("healthz",))
    assert await checks.run("healthz") == {"ping": "", "good": "", "slow": "", "part": "", "other": "broken"}
    counts = dict(checks.iter_counts())
    assert counts["other", "error", "healthz"] == 1
    assert counts["slow", "success", "healthz"] == 1


async def test_log_names_the_first_faults_only(checks, caplog):
    caplog.set_level("INFO")
    checks.add_source(lambda: {f"part-{number}": "not started" for number in range(9)}, endpoints=("readyz",))
    await checks.answer("readyz")
    (told,) = caplog.messages
    assert told.startswith("readyz check failed: ready: not yet; part-0: not started; ")
    assert told.endswith("part-3: not started; and 5 more")
