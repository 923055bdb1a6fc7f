"""Parts of services as one table, and what changes of it."""

from hypothesis import given
from hypothesis import strategies as st

from k3py.network.proxy.merged_rules import MergedRules
from k3py.network.ruleset import Chain, Ruleset, render_change

BASE = Ruleset(chains={"base": Chain(("accept",))}, maps={"m": "type"}, elements={"m": {}})
A, B = ("a", "a"), ("b", "b")


def part(*chains, **elements):
    return Ruleset(chains={name: Chain((f"rule of {name}",)) for name in chains}, elements={"m": elements} if elements else {})


def test_a_change_is_told_as_what_was_and_what_is():
    rules = MergedRules(BASE)
    rules.change({A: part("shared", "a", k="1"), B: part("shared", l="2")})
    old, new = rules.change({A: part("shared", k="3")})
    change, removal = render_change("inet t", old, new)
    assert change.splitlines() == ["delete element inet t m { k : 1 }", "add element inet t m { k : 3 }", "flush chain inet t a"]
    assert removal == "delete chain inet t a\n"
    assert rules.whole().elements["m"] == {"k": "3", "l": "2"}
    assert render_change("inet t", *rules.change({A: part("shared", k="3")})) == ("", "")


def test_the_first_in_order_has_what_two_claim_until_it_goes():
    rules = MergedRules(BASE)
    rules.change({B: part(k="b")})
    rules.change({A: part(k="a")})
    assert rules.whole().elements["m"] == {"k": "a"}
    old, new = rules.change({A: None})
    assert (old.elements, new.elements) == ({"m": {"k": "a"}}, {"m": {"k": "b"}})
    rules.change({B: None})
    assert rules.whole().elements["m"] == {}


parts = st.one_of(
    st.none(),
    st.builds(
        lambda chains, keys: part(*chains, **keys),
        st.sets(st.sampled_from(("x", "y", "z"))),
        st.dictionaries(st.sampled_from(("k", "l", "m")), st.sampled_from(("1", "2"))),
    ),
)


@given(st.lists(st.dictionaries(st.sampled_from((A, B, ("c", "c"))), parts, min_size=1), max_size=6))
def test_changes_lead_to_what_a_new_table_would_have(steps):
    rules, now, table = MergedRules(BASE), {}, BASE
    for step in steps:
        old, new = rules.change(step)
        now |= step
        # Applied to the table of before, the change gives the table of now.
        chains = {name: chain for name, chain in table.chains.items() if name not in old.chains} | new.chains
        elements = {key: value for key, value in table.elements["m"].items() if key not in old.elements.get("m", {})}
        table = Ruleset(chains=chains, maps=BASE.maps, elements={"m": elements | new.elements.get("m", {})})
        fresh = MergedRules(BASE)
        fresh.change(now)
        assert table == rules.whole() == fresh.whole()
