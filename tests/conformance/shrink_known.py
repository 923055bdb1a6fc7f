"""Takes cases that agree by now off the list of known differences: `python -m tests.conformance.shrink_known`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from tests.conformance.test_reference import AREAS, KNOWN, TIMING, WHOLE_SERVER_AREAS, compare, start


def main() -> None:
    text = KNOWN.read_text()
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    known = yaml.safe_load(text) or {}
    for area in AREAS + WHOLE_SERVER_AREAS:
        with tempfile.TemporaryDirectory() as folder, start(area, Path(folder)) as server:
            passed = compare(server, area, Path(folder) / "report.json")
        listed = known.get(area) or {}
        for case in [one for one in listed if passed.get(one, True) and not listed[one].startswith(TIMING)]:
            print(f"agrees now: {area}/{case}")
            del known[area][case]
        for case in sorted(case for case, one in passed.items() if not one and case not in known.get(area, {})):
            print(f"differs and is not listed: {area}/{case}")
    KNOWN.write_text(header + yaml.safe_dump(known, width=1000))


if __name__ == "__main__":
    main()
