"""docs/flags.md is what packaging/generate_flags.py makes of the table of flags."""

import runpy

from k3py.config.options import OPTIONS
from tests.support.lab.node import PROJECT

SCRIPT = runpy.run_path(str(PROJECT / "packaging/generate_flags.py"))


def test_the_page_is_up_to_date():
    committed = (PROJECT / "docs/flags.md").read_text(encoding="utf-8")
    assert committed == SCRIPT["flags_page"](), "run packaging/generate_flags.py >docs/flags.md"


def test_each_flag_has_one_row_of_six_cells():
    rows = [line for line in SCRIPT["flags_page"]().splitlines() if line.startswith("| `--")]
    for option in OPTIONS:
        (row,) = [one for one in rows if one.startswith((f"| `--{option.name}` |", f"| `--{option.name}`,"))]
        assert row.replace("\\|", "").count("|") == 7, row


def test_marks_of_markdown_are_shown_as_they_are():
    assert SCRIPT["escape"]("FILE.d/*.yaml a|b <x>") == "FILE.d/\\*.yaml a\\|b \\<x\\>"
