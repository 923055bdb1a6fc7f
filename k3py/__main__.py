"""The one entrypoint: `k3py COMMAND …` and `python -m k3py COMMAND …`."""

from __future__ import annotations

import sys

from k3py.cli.main import run


def main() -> None:
    """Run the command line and exit with its code: 0, 1 for failure, 2 for usage."""
    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
