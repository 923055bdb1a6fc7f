"""The machine's address: followed as the kernel tells, kept while there is none, left alone when the operator gave it."""

import subprocess
import sys

from k3py.network.own_address import OwnAddress


async def test_a_change_is_told_once_and_none_is_no_change():
    answers = ["192.0.2.1", "192.0.2.2", "192.0.2.2", "127.0.0.1", ""]
    own = OwnAddress("192.0.2.1", lambda: answers.pop(0))
    told = []
    own.on_change(lambda: told.append(own.text))
    assert [await own.look() for _ in range(5)] == [False, True, False, False, False]
    assert told == ["192.0.2.2"]
    assert (own.text, own.follows) == ("192.0.2.2", True)


async def test_a_further_address_is_no_change_while_the_first_is_there():
    own = OwnAddress("127.0.0.2", lambda: "192.0.2.2")  # any of 127.0.0.0/8 is this machine's
    assert not await own.look()
    assert own.text == "127.0.0.2"
    own = OwnAddress("127.0.0.1", lambda: "192.0.2.2")  # started without a network
    assert await own.look()


async def test_what_the_operator_gave_stays():
    own = OwnAddress("192.0.2.1,2001:db8::1")
    assert not await own.look()
    assert (own.all, own.follows) == (("192.0.2.1", "2001:db8::1"), False)


SCRIPT = """
import asyncio, subprocess
from k3py.network.own_address import AddressWatch, OwnAddress
from k3py.util.supervise import TaskScope

async def main():
    found = asyncio.Queue()
    loop = asyncio.get_running_loop()
    def find():
        loop.call_soon_threadsafe(found.put_nowait, 1)
        return "127.0.0.1"
    async with TaskScope() as scope, asyncio.timeout(30):
        started = asyncio.Event()
        scope.spawn(AddressWatch(OwnAddress("192.0.2.1", find), settle_s=0).run(started.set), name="watch")
        await started.wait()
        await found.get()
        subprocess.run(["ip", "address", "add", "192.0.2.9/32", "dev", "lo"], check=True)
        await found.get()
        scope.cancel()

asyncio.run(main())
print("told")
"""


def test_an_address_that_is_added_is_told():
    # In a network namespace of its own.
    done = subprocess.run(["unshare", "--net", sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout == "told\n", done.stderr


async def test_the_other_familys_address_is_completed_and_follows():
    found = ["192.0.2.1"]
    own = OwnAddress("192.0.2.1", lambda: found[0])
    own.complete(lambda first: (first, "2001:db8::1"))
    assert own.all == ("192.0.2.1", "2001:db8::1")
    assert not await own.look()
    found[0] = "192.0.2.2"
    assert await own.look()
    assert own.all == ("192.0.2.2", "2001:db8::1")
