"""When a member's database is defragmented."""

import pytest

from k3py.server.etcd.upkeep import is_worth_it

MB = 1 << 20


@pytest.mark.parametrize(("size", "in_use", "wanted"), [(2 * MB, 0, False), (20 * MB, 10 * MB, True), (100 * MB, 90 * MB, False), (100 * MB, 60 * MB, True)])
def test_only_where_much_is_free(size, in_use, wanted):
    assert is_worth_it(size, in_use) is wanted
