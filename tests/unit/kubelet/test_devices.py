"""What runtimes can do with devices."""

import pytest

from k3py.kubelet.devices import knows_cdi


@pytest.mark.parametrize(
    ("runtime", "version", "knows"),
    [
        ("containerd", "1.6.20~ds1", False),
        ("containerd", "v1.7.2", True),
        ("containerd", "2.2.9", True),
        ("containerd", "", True),
        ("cri-o", "1.6.0", True),
    ],
)
def test_an_old_containerd_does_not_know_cdi(runtime, version, knows):
    assert knows_cdi(runtime, version) is knows
