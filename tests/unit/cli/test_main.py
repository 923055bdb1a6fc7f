"""Exit codes and messages of the command line: 2 for usage, 0 for help."""

import pytest

from k3py.cli.main import COMMANDS, run


@pytest.mark.parametrize("arguments", [["frobnicate"], ["server", "--no-such-flag"], ["server", "--node-ip=x"]])
def test_usage_errors_exit_with_2_and_one_line_on_stderr(arguments, capsys):
    assert run(["k3py", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("k3py: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_help_lists_every_command(capsys):
    assert run(["k3py", "--help"]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in out


def test_server_help_shows_flags_defaults_and_environment(capsys):
    with pytest.raises(SystemExit) as caught:
        run(["k3py", "server", "--help"])
    assert caught.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--data-dir" in out
    assert "/var/lib/k3py" in out
    assert "$K3PY_DATA_DIR" in out
