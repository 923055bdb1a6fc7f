"""The operator's ConfigMap."""

import pytest

from k3py.network.dns.custom import read_custom, split_server


def test_zones_are_forwarded_and_the_longest_counts():
    found = read_custom(
        {
            "a.server": "example.com:53 Sub.Example.org {\n  errors\n  cache 30\n  forward . 192.0.2.1 192.0.2.2:5353 {\n    force_tcp\n  }\n}\n",
            "b.server": "deep.example.com { forward . 2001:db8::1 }",
        }
    )
    assert found.problems == []
    assert found.servers_for("www.example.com") == ("192.0.2.1", "192.0.2.2:5353")
    assert found.servers_for("sub.example.org") == ("192.0.2.1", "192.0.2.2:5353")
    assert found.servers_for("www.deep.example.com") == ("2001:db8::1",)
    assert found.servers_for("myexample.com") == ()


def test_overrides_are_names_and_servers_for_all_others():
    hosts = "hosts {\n  192.0.2.9 Printer.example printer  # the one upstairs\n  2001:db8::9 printer.example\n  fallthrough\n}\nforward . 192.0.2.53\n"
    found = read_custom({"x.override": hosts})
    assert found.problems == []
    assert found.hosts == {"printer.example": ("192.0.2.9", "2001:db8::9"), "printer": ("192.0.2.9",)}
    assert found.servers_for("example.com") == ("192.0.2.53",)


@pytest.mark.parametrize(
    ("file", "text", "word"),
    [
        ("a.server", "example.com {\n rewrite name a b\n}", "rewrite name a b"),
        ("a.server", "example.com {\n forward . /etc/resolv.conf\n}", "/etc/resolv.conf"),
        ("a.server", "example.com {\n forward . 192.0.2.1\n", "without its }"),
        ("a.server", "}", "without its {"),
        ("a.override", "hosts {\n nonsense here\n}", "nonsense here"),
    ],
)
def test_what_is_not_understood_is_named(file, text, word):
    found = read_custom({file: text, "good.override": "forward . 192.0.2.53"})
    assert len(found.problems) == 1
    assert file in found.problems[0]
    assert word in found.problems[0]
    assert found.servers_for("elsewhere") == ("192.0.2.53",)


def test_other_keys_are_nobodys_business():
    assert read_custom({"README": "{"}).problems == []


def test_addresses_of_servers():
    assert split_server("192.0.2.1") == ("192.0.2.1", 53)
    assert split_server("192.0.2.1:5353") == ("192.0.2.1", 5353)
    assert split_server("2001:db8::1", 54) == ("2001:db8::1", 54)
    assert split_server("[2001:db8::1]:5353") == ("2001:db8::1", 5353)
    assert split_server("fe80::1%eth0") == ("fe80::1%eth0", 53)
    with pytest.raises(ValueError, match="example"):
        split_server("ns.example")
