"""Links of the README and docs/ lead somewhere: files are there, anchors are headings, and the site's table of contents has no dead line."""

import re
import runpy
import unicodedata

import pytest
import yaml

from tests.support.lab.node import PROJECT

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
MENTION = re.compile(r"(?<![\w/])docs/[a-z\d][\w-]*\.md")


def without_code(text):
    """Leave out fenced blocks and what stands between backticks, where brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text):
    """The anchors that GitHub and MkDocs both make of the headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+?)\s*$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE):
        words = re.sub(r"[^\w\s-]", "", heading).strip().lower()
        ascii_words = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode("ascii")
        github, mkdocs = words.replace(" ", "-"), re.sub(r"[-\s]+", "-", ascii_words)
        if github == mkdocs:
            found.add(github)
    return found


def dead_links(path, text):
    """Describe each relative link of a page that leads nowhere."""
    dead = []
    for link in LINK.findall(without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8") if name else text)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_mentions_of_pages_resolve(page):
    text = page.read_text(encoding="utf-8")
    assert dead_links(page, text) == []
    assert [one for one in MENTION.findall(text) if not (PROJECT / one).exists()] == []


def test_a_dead_link_is_found():
    text = "# One head\n[a](flags.md) [b](#one-head) `[c](d)` [e](no.md) [f](#two) [g](flags.md#nowhere) [h](https://k3py.example/)\n"
    assert dead_links(PROJECT / "docs/flags.md", text) == ["no.md", "#two", "flags.md#nowhere"]


def test_the_contents_of_the_site_name_each_page_once():
    def names(entries):
        for entry in entries:
            for value in entry.values():
                yield from names(value) if isinstance(value, list) else [value]

    listed = list(names(yaml.safe_load((PROJECT / "packaging/mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    assert sorted(listed) == sorted(page.name for page in (PROJECT / "docs").glob("*.md"))


def test_words_become_links_in_the_site_but_not_in_code():
    hook = runpy.run_path(str(PROJECT / "packaging/mkdocs_hooks.py"))["on_page_markdown"]
    page = "see docs/ha.md.\n`docs/ha.md`\n    docs/ha.md\n```\ndocs/ha.md\n```\n[docs/ha.md](ha.md), docs/etcd.md"
    assert hook(page) == (
        "see [docs/ha.md](ha.md).\n`docs/ha.md`\n    docs/ha.md\n```\ndocs/ha.md\n```\n[docs/ha.md](ha.md), [docs/etcd.md](etcd.md)"
    )
