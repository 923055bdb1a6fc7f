"""Pages behind a proxy: which links change, and that nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.apiserver.handlers.page_rewriting import ProxiedPage

PREFIX = "/api/v1/namespaces/n/services/s/proxy"
PAGE = ProxiedPage(PREFIX, frozenset(("10.0.0.1:80", "server:6443")))


@pytest.mark.parametrize(
    ("url", "new"),
    [
        ("/a", f"{PREFIX}/a"),
        ("/", f"{PREFIX}/"),
        ("/a/?q=1#f", f"{PREFIX}/a/?q=1#f"),
        ("/a/../b", f"{PREFIX}/b"),
        ("http://10.0.0.1:80/a", f"{PREFIX}/a"),
        ("https://server:6443/a", f"{PREFIX}/a"),
        (f"{PREFIX}/a", f"{PREFIX}/a"),
        ("a/b", "a/b"),
        ("#here", "#here"),
        ("https://elsewhere/a", "https://elsewhere/a"),
        ("mailto:a@b", "mailto:a@b"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_links_to_the_servers_root_lead_through_the_proxy(url, new):
    assert PAGE.rewrite_url(url) == new


@pytest.mark.parametrize(
    ("page", "new"),
    [
        (
            '<!doctype html>\n<p>&amp;\n<A class="x" href="/a">b</A> <img src=/i.png/>\n',
            f'<!doctype html>\n<p>&amp;\n<a class="x" href="{PREFIX}/a">b</A> <img src="{PREFIX}/i.png/">\n',
        ),
        ('<br/><link href="/s.css"/>', f'<br/><link href="{PREFIX}/s.css"/>'),
        ('<a title="&quot;" href="/a">', f'<a title="&quot;" href="{PREFIX}/a">'),
        ('<script>if (a < b) "<a href=\'/x\'>"</script>', None),
        ("<!-- <a href='/x'> -->", None),
        ("<a href='b'><a title='/c'>", None),
        ("no tags at all <", None),
    ],
)
def test_only_tags_with_such_links_are_written_anew(page, new):
    assert PAGE.rewrite_page(page.encode()).decode() == (page if new is None else new)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_whatever_stands_around_a_link_stays_as_it_is(before, after):
    if b"<" in before or b"<" in after:
        return
    page = before + b'<a href="/x">' + after
    assert PAGE.rewrite_page(page) == before + f'<a href="{PREFIX}/x">'.encode() + after
