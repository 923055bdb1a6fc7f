"""Addresses: zeros before a number are let through with a warning, zeros within it are digits."""

import pytest

from k3py.api.validation.scalar import parse_ip, warn_about_cidr, warn_about_ip


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.43.209.103", "10.43.209.103"),
        ("010.043.000.009", "10.43.0.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("10.0.0.256", "None"),
        ("fe80::1%eth0", "None"),
        ("x", "None"),
    ],
)
def test_leading_zeros_are_dropped(text, address):
    assert str(parse_ip(text)) == address


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("10.43.100.9", None),
        ("010.43.0.9", 'non-standard IP address "010.43.0.9"'),
        ("::ffff:1.2.3.4", 'use "1.2.3.4"'),
        ("2001:db8:0::1", 'RFC 5952 canonical format ("2001:db8::1")'),
        ("x", None),
    ],
)
def test_what_will_be_refused_one_day_is_warned_about(text, part):
    texts = warn_about_ip(text, "spec.ip")
    assert (texts == []) if part is None else (part in texts[0] and texts[0].startswith("spec.ip: "))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("10.0.0.0/8", None),
        ("10.0.0.1/8", 'ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)'),
        ("10.0.0.0/08", 'use "10.0.0.0/8"'),
        ("2001:db8:0::/64", 'RFC 5952 canonical format ("2001:db8::/64")'),
        ("x/y", None),
    ],
)
def test_ranges_are_warned_about_too(text, part):
    texts = warn_about_cidr(text, "p")
    assert (texts == []) if part is None else part in texts[0]
