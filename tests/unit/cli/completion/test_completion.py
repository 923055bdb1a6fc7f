"""`k3py completion`: what bash completes with the script, and that all shells get all commands and flags."""

import shutil
import subprocess

import pytest

from k3py.cli.completion import run, scripts
from k3py.cli.completion.words import Flag, Word, describe
from k3py.cli.main import COMMANDS
from k3py.config.options import options_of

WORDS = (
    Word(name="server", help="run it", flags=(Flag(name="--data-dir", takes="file"), Flag(name="--debug"), Flag(name="--token", takes="value"))),
    Word(
        name="kubectl",
        inner=(
            Word(name="get", flags=(Flag(name="--watch"),)),
            Word(name="create", inner=(Word(name="deployment", flags=(Flag(name="--image", takes="value"),)), Word(name="job"))),
        ),
    ),
)


def complete(script, line, folder):
    """Return what bash offers at the end of a line."""
    words = line.split(" ")
    driver = f'{script}\nCOMP_WORDS=({" ".join(repr(one) for one in words)})\nCOMP_CWORD={len(words) - 1}\n_k3py\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", driver], capture_output=True, text=True, cwd=folder, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("k3py ", ["server", "kubectl"]),
        ("k3py s", ["server"]),
        ("k3py server --d", ["--data-dir", "--debug"]),
        ("k3py server --debug --t", ["--token"]),
        ("k3py server --data-dir a", ["a-file"]),
        ("k3py server --token get --de", ["--debug"]),
        ("k3py kubectl ", ["get", "create"]),
        ("k3py kubectl create d", ["deployment"]),
        ("k3py kubectl create deployment --", ["--image"]),
        ("k3py kubectl get --w", ["--watch"]),
    ],
)
def test_what_bash_offers(tmp_path, line, offered):
    (tmp_path / "a-file").touch()
    assert complete(scripts.bash(WORDS), line, tmp_path) == offered


def test_words_come_from_the_commands_themselves():
    words = {one.name: one for one in describe(COMMANDS)}
    assert list(words) == [one.name for one in COMMANDS]
    assert {flag.name for flag in words["server"].flags} >= {f"--{one.name}" for one in options_of("server")}
    assert "rotate-ca" in {one.name for one in words["certificate"].inner}
    assert [one.name for one in words["completion"].inner] == ["bash", "zsh", "fish"]
    kubectl = {one.name: one for one in words["kubectl"].inner}
    assert "--field-selector" in {flag.name for flag in kubectl["get"].flags}
    assert "undo" in {one.name for one in kubectl["rollout"].inner}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_every_command(shell, capsys):
    assert run([shell]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in script
    assert "secrets-encryption-provider" in script
