"""The search for circles: in a process of its own, because it is the process's."""

import subprocess
import sys

PROGRAM = """
import gc, weakref
from k3py.util.garbage import search_rarely, spare_started

class Circle:
    def __init__(self):
        self.own = self

before = [Circle() for _ in range(3)]
search_rarely()
assert gc.get_threshold()[0] > 700
spare_started()
frozen = gc.get_freeze_count()
assert frozen > 1000 and not any(one is before[0] for one in gc.get_objects())
gone = weakref.ref(Circle())
gc.collect()
assert gone() is None
for _ in range(100_000):
    Circle()
seen = gc.get_stats()
assert seen[0]["collected"] + seen[1]["collected"] > 50_000, seen
print("well")
"""


def test_circles_made_after_the_start_are_found_and_the_start_is_left_out():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout == "well\n", done.stderr
