"""What the built-in kubectl makes of a command's outcome."""

import json

import pytest

from k3py.cli.kubectl.containers import _read_outcome
from k3py.errors import K3pyError


def outcome(**status):
    return _read_outcome(json.dumps(status).encode())


def test_the_exit_code_is_the_commands(capsys):
    assert outcome(status="Success") == 0
    causes = [{"reason": "ExitCode", "message": "7"}]
    assert outcome(status="Failure", reason="NonZeroExitCode", details={"causes": causes}) == 7
    assert capsys.readouterr().err == "command terminated with exit code 7\n"


def test_a_command_that_could_not_run_is_told():
    with pytest.raises(K3pyError, match="no such file"):
        outcome(status="Failure", message="no such file")
