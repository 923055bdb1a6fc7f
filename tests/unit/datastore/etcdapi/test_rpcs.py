"""Answers of the etcd face as a real etcd gave them. Numbers: spec/datastore.md §1.9, §1.10."""

from __future__ import annotations

import asyncio

import pytest
from grpclib.client import Channel
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError

from k3py.datastore.etcdapi.channel import MessageCodec
from k3py.datastore.factory import open_backend
from tests.support.etcd import served


class Raw:
    """Calls that show gRPC's codes and texts."""

    def __init__(self, channel, backend):
        self.channel = channel
        self.backend = backend

    async def call(self, name, /, **request):
        method = MessageCodec.messages().method(f"/etcdserverpb.{name}")
        async with self.channel.request(
            method.path, Cardinality.UNARY_UNARY, method.request, method.response, timeout=5
        ) as stream:
            await stream.send_message(request, end=True)
            return await stream.recv_message()

    async def refused(self, name, /, **request):
        with pytest.raises(GRPCError) as caught:
            await self.call(name, **request)
        return caught.value.status, caught.value.message

    async def range(self, key, **options):
        return await self.call("KV/Range", key=key, **options)

    async def put(self, key, value=b"v", **options):
        return (await self.call("KV/Put", key=key, value=value, **options))["header"]["revision"]


@pytest.fixture
async def etcd():
    async with open_backend("memory://", history_s=None) as backend, served(backend) as (_, url):
        channel = Channel("127.0.0.1", int(url.rpartition(":")[2]), codec=MessageCodec())
        try:
            yield Raw(channel, backend)
        finally:
            channel.close()


def keys(response):
    return [row["key"] for row in response["kvs"]]


def mod_is(key, revision):
    return {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision}


def put_op(key, value=b"v", **options):
    return {"request_put": {"key": key, "value": value, **options}}


def range_op(key, **options):
    return {"request_range": {"key": key, **options}}


def delete_op(key, **options):
    return {"request_delete_range": {"key": key, **options}}


async def test_an_empty_store_is_at_revision_1_and_a_missing_key_has_a_header_only(etcd):  # 88, 89
    answer = await etcd.range(b"a")
    assert (answer["header"]["revision"], answer["kvs"], answer["count"], answer["more"]) == (1, [], 0, False)
    assert answer["header"]["cluster_id"] > 0
    assert answer["header"]["member_id"] > 0
    assert await etcd.put(b"a") == 2


async def test_create_update_and_delete_as_api_servers_send_them(etcd):  # 90-95
    done = await etcd.call("KV/Txn", compare=[mod_is(b"a", 0)], success=[put_op(b"a", b"1")])
    assert (done["succeeded"], done["responses"][0]["response_put"]["header"]["revision"]) == (True, 2)
    lost = await etcd.call("KV/Txn", compare=[mod_is(b"a", 0)], success=[put_op(b"a", b"1")])
    assert (lost["succeeded"], lost["responses"], lost["header"]["revision"]) == (False, [], 2)
    conflict = await etcd.call(
        "KV/Txn", compare=[mod_is(b"a", 9)], success=[put_op(b"a")], failure=[range_op(b"a")]
    )
    found = conflict["responses"][0]["response_range"]
    assert (conflict["succeeded"], found["count"], found["kvs"][0]["mod_revision"]) == (False, 1, 2)
    missing = await etcd.call(
        "KV/Txn", compare=[mod_is(b"b", 9)], success=[put_op(b"b")], failure=[range_op(b"b")]
    )
    assert missing["responses"][0]["response_range"]["kvs"] == []
    gone = await etcd.call(
        "KV/Txn", compare=[mod_is(b"a", 2)], success=[delete_op(b"a")], failure=[range_op(b"a")]
    )
    deleted = gone["responses"][0]["response_delete_range"]
    assert (gone["header"]["revision"], deleted["deleted"], deleted["prev_kvs"]) == (3, 1, [])
    nothing = await etcd.call("KV/DeleteRange", key=b"a")
    assert (nothing["deleted"], nothing["header"]["revision"]) == (0, 3)


async def test_ranges_are_limited_counted_and_stripped(etcd):  # 97-99
    for name in (b"a", b"b", b"c", b"d", b"e"):
        await etcd.put(b"/" + name)
    page = await etcd.range(b"/", range_end=b"0", limit=2)
    assert (keys(page), page["more"], page["count"]) == ([b"/a", b"/b"], True, 5)
    counted = await etcd.range(b"/", range_end=b"0", limit=2, count_only=True)
    assert (counted["kvs"], counted["count"], counted["more"]) == ([], 5, False)
    bare = await etcd.range(b"/a", keys_only=True)
    assert (bare["kvs"][0]["value"], bare["kvs"][0]["version"]) == (b"", 1)
    old = await etcd.range(b"/", range_end=b"0", revision=3)
    assert (keys(old), old["header"]["revision"]) == ([b"/a", b"/b"], 6)
    rest = await etcd.range(b"/c\0", range_end=b"0", limit=1)
    assert (keys(rest), rest["count"], rest["more"]) == ([b"/d"], 2, True)
    assert keys(await etcd.range(b"/d", range_end=b"\0")) == [b"/d", b"/e"]


async def test_ranges_are_sorted_and_filtered(etcd):  # 101
    for name, value in ((b"a", b"3"), (b"b", b"1"), (b"c", b"2"), (b"a", b"9")):
        await etcd.put(b"/" + name, value)
    everything = {"key": b"/", "range_end": b"0"}

    async def sorted_by(**options):
        return keys(await etcd.call("KV/Range", **everything, **options))

    assert await sorted_by(sort_target="MOD", sort_order="ASCEND") == [b"/b", b"/c", b"/a"]
    assert await sorted_by(sort_target="VALUE", sort_order="DESCEND", keys_only=True) == [b"/a", b"/c", b"/b"]
    assert await sorted_by(sort_target="KEY", sort_order="DESCEND", limit=1) == [b"/c"]
    assert await sorted_by(sort_target="VERSION") == [b"/b", b"/c", b"/a"]
    assert await sorted_by(sort_target="CREATE", sort_order="DESCEND", limit=2) == [b"/c", b"/b"]
    assert await sorted_by(min_mod_revision=4) == [b"/a", b"/c"]
    assert await sorted_by(max_mod_revision=4) == [b"/b", b"/c"]
    assert await sorted_by(min_create_revision=3, max_create_revision=3) == [b"/b"]
    filtered = await etcd.call("KV/Range", **everything, min_mod_revision=4, limit=1)
    assert (keys(filtered), filtered["count"], filtered["more"]) == ([b"/a"], 3, True)


async def test_a_put_honours_its_flags(etcd):
    await etcd.put(b"a", b"1")
    replaced = await etcd.call("KV/Put", key=b"a", value=b"2", prev_kv=True)
    assert replaced["prev_kv"]["value"] == b"1"
    assert await etcd.put(b"a", b"", ignore_value=True) == 4
    row = (await etcd.range(b"a"))["kvs"][0]
    assert (row["value"], row["version"]) == (b"2", 3)
    gone = await etcd.call("KV/DeleteRange", key=b"\0", range_end=b"\0", prev_kv=True)
    assert [row["value"] for row in gone["prev_kvs"]] == [b"2"]


async def test_transactions_compare_everything_and_nest(etcd):  # 109, 111
    await etcd.put(b"/a", b"m")

    async def holds(**compare):
        done = await etcd.call("KV/Txn", compare=[compare], success=[range_op(b"/a")])
        return done["succeeded"]

    assert await holds(key=b"/a", target="VALUE", result="GREATER", value=b"a")
    assert not await holds(key=b"/a", target="VALUE", result="EQUAL", value=b"")
    assert await holds(key=b"/a", target="VERSION", result="NOT_EQUAL", version=7)
    assert await holds(key=b"/none", target="CREATE", result="EQUAL", create_revision=0)
    assert not await holds(key=b"/none", target="VALUE", result="NOT_EQUAL", value=b"x")
    assert await holds(key=b"/", range_end=b"0", target="LEASE", result="EQUAL", lease=0)
    inner = {"compare": [mod_is(b"/a", 2)], "success": [put_op(b"/b")], "failure": [put_op(b"/c")]}
    done = await etcd.call("KV/Txn", success=[{"request_txn": inner}, range_op(b"/", range_end=b"0")])
    nested, listed = (next(iter(response.values())) for response in done["responses"])
    assert nested["succeeded"]
    assert keys(listed) == [b"/a", b"/b"]
    assert done["header"]["revision"] == 3


@pytest.mark.parametrize(
    ("name", "request_", "text"),
    [
        ("KV/Range", {}, "key is not provided"),
        ("KV/Put", {}, "key is not provided"),
        ("KV/DeleteRange", {}, "key is not provided"),
        ("KV/Txn", {"compare": [mod_is(b"", 0)]}, "key is not provided"),
        ("KV/Txn", {"success": [{}]}, "key not found"),
        ("KV/Put", {"key": b"none", "ignore_value": True}, "key not found"),
        ("KV/Put", {"key": b"a", "value": b"v", "ignore_value": True}, "value is provided"),
        ("KV/Put", {"key": b"a", "lease": 7, "ignore_lease": True}, "lease is provided"),
        ("KV/Range", {"key": b"a", "sort_order": 9}, "invalid sort option"),
        ("KV/Txn", {"success": [put_op(b"%d" % n) for n in range(129)]}, "too many operations in txn request"),
        ("KV/Txn", {"success": [put_op(b"a"), put_op(b"a")]}, "duplicate key given in txn request"),
        (
            "KV/Txn",
            {"success": [put_op(b"b"), delete_op(b"a", range_end=b"c")]},
            "duplicate key given in txn request",
        ),
        (
            "KV/Txn",
            {"failure": [put_op(b"b"), {"request_txn": {"failure": [put_op(b"b")]}}]},
            "duplicate key given in txn request",
        ),
        ("KV/Put", {"key": b"a", "value": bytes(1_600_000)}, "request is too large"),
    ],
)
async def test_what_etcd_refuses_is_refused_in_its_words(etcd, name, request_, text):  # 81, 104, 105
    assert await etcd.refused(name, **request_) == (Status.INVALID_ARGUMENT, f"etcdserver: {text}")
    assert etcd.backend.current_revision == 1


async def test_both_branches_of_an_inner_transaction_may_put_the_same_key(etcd):
    inner = {"success": [put_op(b"a")], "failure": [put_op(b"a")]}
    assert (await etcd.call("KV/Txn", success=[{"request_txn": inner}]))["succeeded"]


async def test_a_message_beyond_grpcs_limit_is_refused_by_grpc(etcd):  # 104
    status, text = await etcd.refused("KV/Put", key=b"a", value=bytes(2_200_000))
    assert (status, text) == (
        Status.RESOURCE_EXHAUSTED,
        "grpc: received message larger than max (2200008 vs. 2097152)",
    )


async def test_a_message_that_is_too_long_is_refused_before_it_comes(etcd):
    method = MessageCodec.messages().method("/etcdserverpb.KV/Put")

    async def announce_a_gigabyte():
        async with etcd.channel.request(
            method.path, Cardinality.STREAM_UNARY, "", method.response, timeout=5
        ) as stream:
            await stream.send_request()
            await stream._stream.send_data(b"\0" + (1 << 30).to_bytes(4))
            await stream.recv_message()

    with pytest.raises(GRPCError, match="larger than max") as caught:
        await announce_a_gigabyte()
    assert caught.value.status is Status.RESOURCE_EXHAUSTED
    assert await etcd.put(b"a") == 2


async def test_revisions_out_of_reach_are_told_in_etcds_words(etcd):  # 80, 102
    compacted = (Status.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
    future = (Status.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")
    for number in range(4):
        await etcd.put(b"a", b"%d" % number)  # 2-5
    assert (await etcd.call("KV/Compact", revision=4))["header"]["revision"] == 5
    assert await etcd.refused("KV/Compact", revision=4) == compacted
    assert await etcd.refused("KV/Compact", revision=3) == compacted
    assert await etcd.refused("KV/Compact", revision=6) == future
    assert await etcd.refused("KV/Range", key=b"a", revision=3) == compacted
    assert await etcd.refused("KV/Range", key=b"a", revision=6) == future
    assert await etcd.refused("KV/Txn", success=[put_op(b"b"), range_op(b"a", revision=3)]) == compacted
    assert (await etcd.range(b"a", revision=4))["kvs"][0]["value"] == b"2"
    await etcd.call("KV/Compact", revision=5, physical=True)


async def test_leases_as_etcd_grants_ends_and_refuses_them(etcd):  # 44, 83, 103
    granted = await etcd.call("Lease/LeaseGrant", TTL=1, ID=7)
    assert (granted["ID"], granted["TTL"], granted["error"]) == (7, 2, "")
    assert await etcd.refused("Lease/LeaseGrant", TTL=60, ID=7) == (
        Status.FAILED_PRECONDITION,
        "etcdserver: lease already exists",
    )
    assert await etcd.refused("Lease/LeaseGrant", TTL=9_000_000_001) == (
        Status.OUT_OF_RANGE,
        "etcdserver: too large lease TTL",
    )
    missing = (Status.NOT_FOUND, "etcdserver: requested lease not found")
    assert await etcd.refused("KV/Put", key=b"a", lease=8) == missing
    assert await etcd.refused("Lease/LeaseRevoke", ID=8) == missing
    assert (await etcd.call("Lease/LeaseTimeToLive", ID=8))["TTL"] == -1
    await etcd.put(b"a", lease=7)
    left = await etcd.call("Lease/LeaseTimeToLive", ID=7, keys=True)
    assert (left["grantedTTL"], left["keys"]) == (2, [b"a"])
    assert left["TTL"] == 1  # whole seconds that are left, as etcd rounds
    assert [lease["ID"] for lease in (await etcd.call("Lease/LeaseLeases"))["leases"]] == [7]
    await etcd.call("Lease/LeaseRevoke", ID=7)
    assert (await etcd.range(b"a"))["count"] == 0


async def test_keep_alive_answers_each_request_and_zero_for_a_missing_lease(etcd):  # 103
    await etcd.call("Lease/LeaseGrant", TTL=60, ID=7)
    method = MessageCodec.messages().method("/etcdserverpb.Lease/LeaseKeepAlive")
    async with etcd.channel.request(
        method.path, Cardinality.STREAM_STREAM, method.request, method.response
    ) as stream:
        for lease, ttl in ((7, 60), (8, 0), (7, 60)):
            await stream.send_message({"ID": lease})
            answer = await asyncio.wait_for(stream.recv_message(), 5)
            assert (answer["ID"], answer["TTL"]) == (lease, ttl)
        await stream.end()


async def test_status_has_what_clients_calculate_with(etcd):  # 113, 56
    status = await etcd.call("Maintenance/Status")
    assert status["version"].split(".") >= ["3", "5", "13"]
    assert status["dbSize"] >= status["dbSizeInUse"] >= 1
    assert status["leader"] == status["header"]["member_id"]
    (member,) = (await etcd.call("Cluster/MemberList"))["members"]
    assert member["ID"] == status["leader"]
    assert member["clientURLs"]
    assert (await etcd.call("Maintenance/Alarm"))["alarms"] == []


async def test_the_hash_depends_on_the_content_alone(etcd):
    await etcd.put(b"a", b"1")
    first = await etcd.call("Maintenance/HashKV")
    await etcd.put(b"a", b"2")
    assert (await etcd.call("Maintenance/HashKV"))["hash"] != first["hash"]
    assert (await etcd.call("Maintenance/HashKV", revision=2))["hash"] == first["hash"]


async def test_users_and_members_are_refused_clearly(etcd):
    told = await etcd.call("Auth/AuthStatus")
    assert (told["enabled"], told["authRevision"]) == (False, 1)
    assert await etcd.refused("Auth/Authenticate", name="root") == (
        Status.FAILED_PRECONDITION,
        "etcdserver: authentication is not enabled",
    )
    for name in ("Auth/AuthEnable", "Auth/UserAdd", "Cluster/MemberAdd", "Maintenance/MoveLeader"):
        status, text = await etcd.refused(name)
        assert status is Status.UNIMPLEMENTED
        assert "k3py" in text
