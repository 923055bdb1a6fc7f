"""`k3py bench` as a command: figures, formats, wrong inputs."""

import json

import pytest

from k3py.cli.bench import run
from k3py.cli.bench.figure import Figure
from k3py.errors import ConfigError, K3pyError


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["api", "--clients=0"], ["idle", "--seconds=x"], ["storm", "--pods=-1"]])
def test_wrong_command_lines_are_refused(arguments):
    with pytest.raises(ConfigError):
        run(arguments)


def test_a_cluster_that_is_not_there_is_told_in_one_line(tmp_path):
    with pytest.raises(K3pyError, match="No such file"):
        run(["api", f"--kubeconfig={tmp_path}/none"])


def test_figures_as_text_and_json(monkeypatch, capsys):
    async def measure(options):
        return [Figure("create", 1234.5, "/s", "p50 1 ms"), Figure("start", 1.234, "s")]

    monkeypatch.setattr("k3py.cli.bench._measure", measure)
    assert run(["api"]) == 0
    assert capsys.readouterr().out == "create: 1234 /s (p50 1 ms)\nstart: 1.23 s\n"
    run(["api", "-o", "json"])
    assert json.loads(capsys.readouterr().out)["figures"][1] == {"name": "start", "value": 1.234, "unit": "s", "note": ""}
