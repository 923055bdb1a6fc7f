from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api import quantity


@pytest.mark.parametrize(
    ("written", "served"),
    [
        ("1", "1"), ("1500m", "1500m"), ("1024", "1024"), ("1024Ki", "1Mi"), ("1Ki", "1Ki"), ("1.5Gi", "1536Mi"),
        ("1500M", "1500M"), ("1e3", "1e3"), ("1E3", "1E3"), ("12e6", "12e6"), ("0", "0"), ("0.5Gi", "512Mi"),
        ("100m", "100m"), ("2048Mi", "2Gi"), ("1000Ki", "1000Ki"), ("5G", "5G"), ("1e9", "1e9"), ("1Ei", "1Ei"),
        ("+5", "+5"), ("0.1", "100m"), ("0.5", "500m"), ("0.25", "250m"), ("1000m", "1"), ("1e-3", "1e-3"), ("1k", "1k"),
        (".5", "500m"), ("2.", "2."), ("-1.5", "-1500m"), (".001Ki", "1024m"), ("1.50Mi", "1536Ki"),
    ],
)  # fmt: skip
def test_text_is_served_as_a_live_server_serves_it(written, served):
    assert quantity.canonical(written) == served


@pytest.mark.parametrize(("written", "served"), [("1u", "1m"), ("100n", "1m"), ("0.0001", "1m"), ("1e-3", "1e-3"), ("2.", "2."), ("1.5Gi", "1536Mi")])
def test_resource_lists_round_up_to_milli(written, served):
    assert quantity.round_up_to_milli(written) == served


@pytest.mark.parametrize("text", ["", "x", "1x", "1.2.3", ".", "+", "1ee3", "1Kii", "1 ", "ki", "1K", "1e", "٣"])
def test_bad_text_is_refused(text):
    with pytest.raises(quantity.QuantityError):
        quantity.parse_quantity(text)


def test_values_round_up_and_are_capped():
    assert (quantity.value_of("1500m"), quantity.millis("1n"), quantity.millis("2"), quantity.value_of("1Gi")) == (2, 1, 2000, 1 << 30)
    assert quantity.parse_quantity("100E") == (1 << 63) - 1
    assert quantity.parse_quantity("0.0000000001") == Decimal("1e-9")
    for huge in ("1e111", "-1e99999", "9" * 200, "9" * 200 + "Ei", "0." + "1" * 300):
        assert abs(quantity.parse_quantity(huge)) <= (1 << 63) - 1
        assert quantity.canonical(quantity.canonical(huge)) == quantity.canonical(huge)
    assert quantity.parse_quantity("1e-99999") == Decimal("1e-9")


numbers = st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, places=6)


@given(numbers, st.sampled_from(["", "n", "u", "m", "k", "M", "Ki", "Mi", "e2", "E-1"]))
def test_canonical_text_means_the_same_and_is_stable(number, suffix):
    text = f"{number:f}{suffix}"
    served = quantity.canonical(text)
    assert quantity.parse_quantity(served) == quantity.parse_quantity(text)
    assert quantity.canonical(served) == served


@given(st.integers(min_value=-(1 << 62), max_value=1 << 62), st.sampled_from(["DecimalSI", "BinarySI", "DecimalExponent"]))
def test_formatting_loses_nothing(number, form):
    assert quantity.parse_quantity(quantity.format_quantity(number, form)) == number
