"""Python's search for objects that refer to each other in circles: how often, and among which.

A full search stops the process for 50 ns an object: half a second while a large document is being worked on, which is when it is due,
because much is new. Almost nothing of a server's is ever a circle; what is has time.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG_OBJECTS: Final = 20_000
MIDDLE_SEARCHES: Final = 10
FULL_SEARCHES: Final = 20


def search_rarely() -> None:
    """Search young objects when there are 20,000 more, all of them after four million: Python's own are 700 and 70,000."""
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_SEARCHES, FULL_SEARCHES)


def spare_started() -> None:
    """Leave what there is now, after the start, out of every search: modules, classes and functions stay anyway."""
    gc.freeze()
