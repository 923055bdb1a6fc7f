"""Codes and texts by which clients of etcd know what happened. Source: etcd api/v3rpc/rpctypes/error.go (spec/datastore.md §1.9)."""

from __future__ import annotations

import pytest
from grpclib.const import Status

from k3py.datastore.errors import (
    Closed,
    Compacted,
    Corrupt,
    FutureRevision,
    KeyNotFound,
    LeaseExists,
    LeaseNotFound,
    Locked,
    NoSpace,
    Unavailable,
)
from k3py.datastore.etcdapi.conditions import condition, refusal


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (Compacted(5), Status.OUT_OF_RANGE, "mvcc: required revision has been compacted"),
        (FutureRevision(5), Status.OUT_OF_RANGE, "mvcc: required revision is a future revision"),
        (ValueError("too large lease TTL"), Status.OUT_OF_RANGE, "too large lease TTL"),
        (KeyNotFound("key not found"), Status.INVALID_ARGUMENT, "key not found"),
        (
            ValueError("duplicate key given in txn request"),
            Status.INVALID_ARGUMENT,
            "duplicate key given in txn request",
        ),
        (NoSpace("the disk is full"), Status.RESOURCE_EXHAUSTED, "mvcc: database space exceeded"),
        (LeaseNotFound("no lease"), Status.NOT_FOUND, "requested lease not found"),
        (LeaseExists("a lease"), Status.FAILED_PRECONDITION, "lease already exists"),
        (Closed(), Status.UNAVAILABLE, "server stopped"),
        (Unavailable("no answer"), Status.UNAVAILABLE, "request timed out: no answer"),
        (Unavailable("too many writes are waiting"), Status.RESOURCE_EXHAUSTED, "too many requests"),
        (Corrupt("the file is damaged"), Status.DATA_LOSS, "corrupt cluster"),
    ],
)
def test_conditions_have_etcds_codes_and_texts(error, status, text):
    told = condition(error)
    assert (told.status, told.message) == (status, f"etcdserver: {text}")


def test_what_nobody_thought_of_is_never_a_definite_answer():  # 71
    assert condition(Locked("another process has it")).status is Status.UNAVAILABLE


def test_a_refusal_is_an_invalid_argument_unless_it_says_otherwise():
    assert refusal("key is not provided").status is Status.INVALID_ARGUMENT
    assert refusal("x", Status.UNIMPLEMENTED).status is Status.UNIMPLEMENTED
