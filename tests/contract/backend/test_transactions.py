"""Transactions: compares, branches, nesting. What every `Backend` promises; numbers in brackets: spec/datastore.md."""

from __future__ import annotations

import pytest

from k3py.datastore.errors import (
    Compacted,
    FutureRevision,
    KeyNotFound,
    LeaseNotFound,
)
from k3py.datastore.interface import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteOp,
    DeleteResult,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    TxnOp,
)
from tests.support.backends import ALL, keys_of, mod_is, put


async def test_a_transaction_does_one_branch_in_one_revision(opening):  # 108, 110
    async with opening() as backend:
        done = await backend.txn(
            (mod_is(b"/a", 0),),
            (PutOp(b"/a", b"1"), PutOp(b"/b", b"1"), RangeOp(b"/", b"0")),
            (RangeOp(b"/a"),),
        )
        assert (done.succeeded, done.revision) == (True, 2)
        assert done.results[:2] == (PutResult(None), PutResult(None))
        assert [(kv.key, kv.mod_revision) for kv in done.results[2].kvs] == [(b"/a", 2), (b"/b", 2)]
        lost = await backend.txn(
            (mod_is(b"/a", 0),), (PutOp(b"/a", b"2"),), (RangeOp(b"/a"), RangeOp(b"/none"))
        )
        assert (lost.succeeded, lost.revision) == (False, 2)
        assert lost.results[0].kvs[0].value == b"1"
        assert lost.results[1] == RangeResult((), 0, 2)
        without_else = await backend.txn((mod_is(b"/a", 0),), (PutOp(b"/a", b"2"),))
        assert (without_else.succeeded, without_else.results) == (False, ())
        assert backend.current_revision == 2


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        (Compare(b"/a", CompareTarget.VERSION, CompareResult.EQUAL, 2), True),
        (Compare(b"/a", CompareTarget.VERSION, CompareResult.GREATER, 2), False),
        (Compare(b"/a", CompareTarget.CREATE, CompareResult.EQUAL, 2), True),
        (Compare(b"/a", CompareTarget.MOD, CompareResult.LESS, 4), True),
        (Compare(b"/a", CompareTarget.MOD, CompareResult.NOT_EQUAL, 3), False),
        (Compare(b"/a", CompareTarget.VALUE, CompareResult.EQUAL, b"2"), True),
        (Compare(b"/a", CompareTarget.VALUE, CompareResult.GREATER, b"1"), True),
        (Compare(b"/a", CompareTarget.LEASE, CompareResult.EQUAL, 0), True),
        (Compare(b"/none", CompareTarget.VERSION, CompareResult.EQUAL, 0), True),
        (Compare(b"/none", CompareTarget.VALUE, CompareResult.NOT_EQUAL, b"x"), False),
        (Compare(b"/", CompareTarget.VERSION, CompareResult.GREATER, 0, b"0"), True),
        (Compare(b"/", CompareTarget.VERSION, CompareResult.EQUAL, 2, b"0"), False),
        (Compare(b"/x", CompareTarget.MOD, CompareResult.EQUAL, 0, b"/y"), True),
        (Compare(b"/x", CompareTarget.VALUE, CompareResult.NOT_EQUAL, b"1", b"/y"), False),
    ],
)
async def test_comparisons(opening, compare, expected):  # 109, 111
    async with opening() as backend:
        await backend.create(b"/a", b"1")
        await backend.update(b"/a", b"2", expected=2)
        await backend.create(b"/b", b"1")
        assert (await backend.txn((compare,), ())).succeeded is expected


async def test_a_range_delete_returns_what_it_removed_and_burns_nothing_if_that_is_nothing(opening):  # 95
    async with opening() as backend:
        for name in (b"/a", b"/b", b"/c"):
            await backend.create(name, name)
        nothing = await backend.txn((), (DeleteOp(b"/x", b"/y"),))
        assert (nothing.results, nothing.revision) == ((DeleteResult(()),), 4)
        done = await backend.txn((), (DeleteOp(b"/a", b"/c"), RangeOp(b"/", b"0", count_only=True)))
        assert done.revision == 5
        assert [kv.key for kv in done.results[0].previous] == [b"/a", b"/b"]
        assert done.results[1].count == 1
        assert await keys_of(backend, *ALL) == [b"/c"]


async def test_a_transaction_that_fails_changes_nothing(opening):  # 105
    async with opening() as backend:
        with pytest.raises(ValueError, match="duplicate key"):
            await backend.txn((), (PutOp(b"/a", b"1"), PutOp(b"/a", b"2")))
        with pytest.raises(ValueError, match="duplicate key"):
            await backend.txn((), (PutOp(b"/a", b"1"), DeleteOp(b"/", b"0")))
        with pytest.raises(LeaseNotFound):
            await backend.txn((), (PutOp(b"/a", b"1"), PutOp(b"/b", b"2", lease=77)))
        assert await keys_of(backend, *ALL) == []
        assert backend.current_revision == 1


async def test_a_transaction_reads_old_revisions(opening):  # 39
    async with opening() as backend:
        await backend.create(b"/a", b"1")
        await backend.update(b"/a", b"2", expected=2)
        done = await backend.txn((), (RangeOp(b"/a", revision=2), RangeOp(b"/a")))
        assert [result.kvs[0].value for result in done.results] == [b"1", b"2"]
        with pytest.raises(FutureRevision):
            await backend.txn((), (RangeOp(b"/a", revision=9), PutOp(b"/a", b"3")))
        await backend.compact(3)
        with pytest.raises(Compacted):
            await backend.txn((), (RangeOp(b"/a", revision=2), PutOp(b"/a", b"3")))
        assert backend.current_revision == 3


async def test_a_transaction_may_hold_transactions(opening):  # 109
    async with opening() as backend:
        await put(backend, b"/a", b"1")
        inner = TxnOp((mod_is(b"/b", 0),), (PutOp(b"/c", b"3"), RangeOp(b"/b")), (PutOp(b"/d", b"4"),))
        done = await backend.txn((), (PutOp(b"/b", b"2"), inner))
        nested = done.results[1]
        # The inner comparison looks at the store as it was before the outer transaction, its operations see what was done.
        assert (done.succeeded, nested.succeeded, done.revision) == (True, True, 3)
        assert nested.results[1].kvs[0].value == b"2"
        assert [kv.mod_revision for kv in (await backend.range(b"/b", b"/d")).kvs] == [3, 3]
        other = await backend.txn((), (TxnOp((mod_is(b"/b", 0),), (), (RangeOp(b"/a"),)),))
        assert (other.results[0].succeeded, other.results[0].results[0].count) == (False, 1)
        assert other.revision == 3


async def test_a_put_can_keep_the_value_or_the_lease(opening):  # 81
    async with opening() as backend:
        lease, other = await backend.grant_lease(3600), await backend.grant_lease(3600)
        await put(backend, b"/a", b"1", lease)
        await backend.txn((), (PutOp(b"/a", b"2", ignore_lease=True),))
        (kv,) = (await backend.range(b"/a")).kvs
        assert (kv.value, kv.lease, kv.version) == (b"2", lease, 2)
        await backend.txn((), (PutOp(b"/a", b"", other, ignore_value=True),))
        (kv,) = (await backend.range(b"/a")).kvs
        assert (kv.value, kv.lease, kv.version) == (b"2", other, 3)
        for keeping in ({"ignore_value": True}, {"ignore_lease": True}):
            with pytest.raises(KeyNotFound):
                await backend.txn((), (PutOp(b"/none", b"", **keeping),))
        assert backend.current_revision == kv.mod_revision
