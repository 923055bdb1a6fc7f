"""The manual page has every command and flag, and roff takes it as it is."""

import shutil
import subprocess
import sys

import pytest

from k3py.cli.main import COMMANDS
from k3py.config.options import OPTIONS
from tests.support.lab.node import PROJECT


@pytest.fixture(scope="module")
def page():
    done = subprocess.run([sys.executable, PROJECT / "packaging/man_page.py"], capture_output=True, text=True, check=True)
    return done.stdout


def test_every_command_and_flag_is_there(page):
    for command in COMMANDS:
        assert f".B {command.name.replace('-', chr(92) + '-')}\n" in page
    for option in OPTIONS:
        assert ".B \\-\\-" + option.name.replace("-", "\\-") in page
    # A line that begins with a point or an apostrophe would be a request of roff's.
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".B", ".I", ".BR"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_complain_about(page):
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
