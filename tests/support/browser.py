"""A headless Chromium that stands in a lab node and is steered from the test, by Playwright."""

from __future__ import annotations

import shlex
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.lab.node import Node

CHROMIUM = shutil.which("chromium")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@contextmanager
def browser_in(node: Node, folder: Path) -> Iterator[Browser]:
    """Yield a browser whose network is the node's; `folder` takes the little program that starts it there."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None
    starter = folder / "chromium"
    starter.write_text(f'#!/bin/sh\nexec {shlex.join([*node.enter_command(), CHROMIUM])} "$@"\n')
    starter.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=starter, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()
