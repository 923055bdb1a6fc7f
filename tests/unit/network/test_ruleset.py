"""Tables as text: whole, and what differs."""

from k3py.network.ruleset import Chain, Ruleset, render_change, render_full

TABLE = "inet t"


def table(**elements):
    return Ruleset(
        chains={"base": Chain(("accept",), "type filter hook input priority 0;")},
        sets={"known": "type ipv4_addr"},
        maps={"to": "type ipv4_addr : verdict"},
        elements={"known": {}, "to": {}} | elements,
    )


def test_a_whole_table_replaces_what_was_there():
    text = render_full(TABLE, table(known={"10.0.0.1": ""}, to={"10.0.0.2": "accept"}))
    assert text.splitlines() == [
        "add table inet t",
        "delete table inet t",
        "add table inet t",
        "add map inet t to { type ipv4_addr : verdict; }",
        "add set inet t known { type ipv4_addr; }",
        "add chain inet t base { type filter hook input priority 0; }",
        "add rule inet t base accept",
        "add element inet t known { 10.0.0.1 }",
        "add element inet t to { 10.0.0.2 : accept }",
    ]


def test_a_change_touches_what_differs():
    assert render_change(TABLE, table(), table()) == ("", "")
    before, after = table(to={"10.0.0.2": "accept", "10.0.0.3": "drop"}), table(to={"10.0.0.2": "drop"})
    change, removal = render_change(TABLE, before, after)
    assert change.splitlines() == [
        "delete element inet t to { 10.0.0.2 : accept, 10.0.0.3 : drop }",
        "add element inet t to { 10.0.0.2 : drop }",
    ]
    assert removal == ""


def test_what_nothing_refers_to_goes_in_a_second_step():
    before, after = table(), table()
    before.chains["extra"] = Chain(("drop",))
    before.sets["more"] = "type ipv4_addr"
    before.elements["more"] = {"10.0.0.9": ""}
    change, removal = render_change(TABLE, before, after)
    assert change == "flush chain inet t extra\n"
    assert removal == "delete chain inet t extra\ndelete set inet t more\n"
    change, _ = render_change(TABLE, after, before)
    assert "add set inet t more { type ipv4_addr; }" in change
    assert "add element inet t more { 10.0.0.9 }" in change
