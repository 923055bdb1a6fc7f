"""What MkDocs does to pages before it renders them: the plain words `docs/NAME.md` become links, so that pages also read well as text."""

from __future__ import annotations

import re

_PAGE = re.compile(r"(?<![\w/\[(`])docs/([\w-]+\.md)(?![\w)`\]])")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return the page with links; code, in fences, indented or between backticks, stays as it is."""
    lines = []
    fenced = False
    for line in markdown.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        lines.append(line if fenced or line.startswith("    ") else _link(line))
    return "\n".join(lines)


def _link(line: str) -> str:
    parts = line.split("`")
    # Even parts lie outside of backticks.
    parts[::2] = [_PAGE.sub(r"[docs/\1](\1)", part) for part in parts[::2]]
    return "`".join(parts)
