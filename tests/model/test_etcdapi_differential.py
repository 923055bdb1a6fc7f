"""The same random requests to a real etcd and to k3py's etcd face: the same answers, errors and texts. K3PY_SEED repeats one, K3PY_REQUESTS
makes it longer."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
from grpclib.client import Channel
from grpclib.const import Cardinality
from grpclib.exceptions import GRPCError

from k3py.datastore.etcdapi.channel import MessageCodec
from k3py.datastore.factory import open_backend
from tests.support.etcd import etcd_program, etcd_version, real_etcd, served

REQUESTS = int(os.environ.get("K3PY_REQUESTS", "1500"))
KEYS = (b"/a", b"/a/x", b"/a/y\x00", b"/b", b"\xff\xfe", b"\x00", b"/b0")
ORDERS, TARGETS = ("NONE", "ASCEND", "DESCEND"), ("KEY", "VERSION", "CREATE", "MOD", "VALUE")
OPERANDS = {
    "VERSION": "version",
    "CREATE": "create_revision",
    "MOD": "mod_revision",
    "VALUE": "value",
    "LEASE": "lease",
}


class Requests:
    """Random requests; `revision` is where the store is."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.revision = 1

    def maybe(self, share, make):
        return make() if self.random.random() < share else None

    def key(self):
        return self.random.choice(KEYS) if self.random.random() < 0.98 else b""

    def bounds(self):
        end = self.random.choice((b"", b"", b"\0", *KEYS))
        return {"key": self.key(), "range_end": end}

    def near(self):
        return max(0, self.revision + self.random.randint(-6, 1))

    def lease(self):
        return self.random.choice((0, 0, 0, 1, 2, 99))

    def range(self):
        choose = self.random
        request = self.bounds()
        for name in ("keys_only", "count_only", "serializable"):
            request[name] = choose.random() < 0.15
        request["limit"] = choose.choice((0, 0, 1, 2, -1))
        request["revision"] = choose.choice((0, 0, 0, self.near()))
        if choose.random() < 0.4:
            request["sort_order"], request["sort_target"] = choose.choice(ORDERS), choose.choice(TARGETS)
        if choose.random() < 0.3:
            which = choose.choice(("min_mod", "max_mod", "min_create", "max_create"))
            request[f"{which}_revision"] = self.near()
        return request

    def put(self):
        choose = self.random
        request = {"key": self.key(), "value": b"%d" % choose.randrange(9), "lease": self.lease()}
        request["prev_kv"] = choose.random() < 0.3
        if choose.random() < 0.15:
            # Without a lease: which of two errors is told first differs between put and txn in etcd itself.
            request["ignore_value"], request["value"], request["lease"] = True, choose.choice((b"", b"", b"x")), 0
        if choose.random() < 0.15:
            request["ignore_lease"], request["lease"] = True, choose.choice((0, 0, 1))
        return request

    def delete(self):
        return {**self.bounds(), "prev_kv": self.random.random() < 0.5}

    def compare(self):
        target = self.random.choice(list(OPERANDS))
        numbers = self.random.choice((0, 1, self.near()))
        operand = b"%d" % self.random.randrange(9) if target == "VALUE" else numbers
        results = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")
        compare = {"target": target, "result": self.random.choice(results), OPERANDS[target]: operand}
        return {**self.bounds(), **compare} if self.random.random() < 0.3 else {"key": self.key(), **compare}

    def op(self, depth):
        kind = self.random.choice(("range", "put", "put", "delete", "txn") if depth else ("range", "put", "delete"))
        if kind == "txn":
            return {"request_txn": self.txn(depth - 1)}
        name = "request_delete_range" if kind == "delete" else f"request_{kind}"
        request = getattr(self, kind)()
        if kind == "delete" and request["range_end"] <= request["key"]:
            # etcd does not see that these overlap a put; k3py refuses what would change a key twice.
            request["range_end"] = b""
        return {name: request}

    def txn(self, depth=2):
        return {
            "compare": [self.compare() for _ in range(self.random.randrange(3))],
            "success": [self.op(depth) for _ in range(self.random.randrange(4))],
            "failure": [self.op(depth) for _ in range(self.random.randrange(3))],
        }

    def next(self):
        kind = self.random.random()
        if kind < 0.3:
            return "KV/Range", self.range()
        if kind < 0.55:
            return "KV/Put", self.put()
        if kind < 0.65:
            return "KV/DeleteRange", self.delete()
        if kind < 0.92:
            return "KV/Txn", self.txn()
        if kind < 0.94:
            return "KV/Compact", {"revision": max(1, self.near())}
        if kind < 0.96:
            return "Lease/LeaseGrant", {"TTL": self.random.choice((3600, 9_000_000_001)), "ID": self.lease() % 50}
        if kind < 0.98:
            return "Lease/LeaseRevoke", {"ID": self.lease() or 1}
        return "Lease/LeaseTimeToLive", {"ID": self.lease() or 1, "keys": True}


async def answer(channel, name, request):
    """Call; return the answer without what only one of two servers can say, or the error."""
    method = MessageCodec.messages().method(f"/etcdserverpb.{name}")
    try:
        async with channel.request(
            method.path, Cardinality.UNARY_UNARY, method.request, method.response, timeout=5
        ) as stream:
            await stream.send_message(request, end=True)
            return comparable(await stream.recv_message())
    except GRPCError as error:
        return error.status.name, error.message


def comparable(message):
    if isinstance(message, list):
        return [comparable(item) for item in message]
    if not isinstance(message, dict):
        return message
    ignored = ("cluster_id", "member_id", "raft_term")
    compared = {key: comparable(value) for key, value in message.items() if key not in ignored}
    if compared.get("TTL", 0) > 1:
        compared["TTL"] = (compared["TTL"] + 9) // 10 * 10  # the remaining time, which etcd rounds down
    if "keys" in compared:
        compared["keys"] = sorted(compared["keys"])  # of a lease: etcd tells them in any order
    return compared


@pytest.mark.slow
@pytest.mark.skipif(etcd_program() is None, reason="etcd is not installed")
async def test_a_real_etcd_gives_the_same_answers(tmp_path):
    if etcd_version() < (3, 5, 18):
        pytest.skip("texts and checks of newer versions are compared")
    seed = int(os.environ.get("K3PY_SEED", random.randrange(1 << 32)))
    print(f"K3PY_SEED={seed}")
    requests = Requests(seed)
    with real_etcd(tmp_path) as url:
        async with open_backend("memory://", history_s=None) as backend, served(backend) as (_, ours):
            channels = [Channel("127.0.0.1", int(one.rpartition(":")[2]), codec=MessageCodec()) for one in (url, ours)]
            try:
                await reachable(channels[0])
                for number in range(REQUESTS):
                    name, request = requests.next()
                    if name == "Lease/LeaseGrant" and not request["ID"]:
                        request["ID"] = 3
                    theirs, mine = [await answer(channel, name, request) for channel in channels]
                    assert mine == theirs, f"request {number}: {name} {request}"
                    requests.revision = backend.current_revision
            finally:
                for channel in channels:
                    channel.close()


async def reachable(channel):
    for _ in range(200):
        try:
            result = await answer(channel, "KV/Range", {"key": b"a"})
        except OSError:
            result = None
        if isinstance(result, dict):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("etcd does not answer")
