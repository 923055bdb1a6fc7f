"""Completion scripts for bash, zsh and fish. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.cli.completion.words import Word


def bash(words: Sequence[Word]) -> str:
    """Return the script for bash: a table of words by the path of commands before them."""
    rows = [f"        {_quote(path)}) words={_quote(' '.join(found))} ;;" for path, found in _table(words)]
    with_value = " ".join(sorted({flag.name for one in _all(words) for flag in one.flags if flag.takes}))
    with_file = " ".join(
        sorted({flag.name for one in _all(words) for flag in one.flags if flag.takes == "file"})
    )
    return (
        _BASH.replace("@ROWS@", "\n".join(rows)).replace("@VALUES@", with_value).replace("@FILES@", with_file)
    )


def zsh(words: Sequence[Word]) -> str:
    """Return the script for zsh: it uses bash's, which zsh can read."""
    return "#compdef k3py\nautoload -U +X bashcompinit && bashcompinit\n" + bash(words)


def fish(words: Sequence[Word]) -> str:
    """Return the script for fish."""
    lines = ["complete -c k3py -f"]
    for one in words:
        lines.append(f"complete -c k3py -n __fish_use_subcommand -a {_quote(one.name)} -d {_quote(one.help)}")
        lines += _fish_below(one, f"__fish_seen_subcommand_from {one.name}")
    return "\n".join(lines) + "\n"


def _fish_below(word: Word, condition: str) -> Iterator[str]:
    names = " ".join(one.name for one in word.inner)
    for one in word.inner:
        yield f"complete -c k3py -n {_quote(f'{condition}; and not __fish_seen_subcommand_from {names}')} -a {_quote(one.name)} -d {_quote(one.help)}"
        yield from _fish_below(one, f"{condition}; and __fish_seen_subcommand_from {one.name}")
    for flag in word.flags:
        needs = {"": "", "value": " -x", "file": " -r -F"}[flag.takes]
        yield f"complete -c k3py -n {_quote(condition)} -l {flag.name[2:]}{needs} -d {_quote(flag.help)}"


def _table(words: Sequence[Word], path: str = "") -> Iterator[tuple[str, list[str]]]:
    yield path, [one.name for one in words]
    for one in words:
        below = f"{path} {one.name}".strip()
        yield below, [*(inner.name for inner in one.inner), *(flag.name for flag in one.flags)]
        for inner in one.inner:
            yield from _rows_of(inner, below)


def _rows_of(word: Word, path: str) -> Iterator[tuple[str, list[str]]]:
    below = f"{path} {word.name}"
    yield below, [*(inner.name for inner in word.inner), *(flag.name for flag in word.flags)]
    for inner in word.inner:
        yield from _rows_of(inner, below)


def _all(words: Sequence[Word]) -> Iterator[Word]:
    for one in words:
        yield one
        yield from _all(one.inner)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_BASH = r"""# completion of k3py for bash; made by `k3py completion bash`
_k3py_words() {
    case $1 in
@ROWS@
        *) words='' ;;
    esac
}

_k3py() {
    local current=${COMP_WORDS[COMP_CWORD]} path='' words='' word previous='' index
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        case " @VALUES@ " in
        *" $previous "*)
            previous=''
            continue
            ;;
        esac
        previous=$word
        [[ $word == -* || $word == = ]] && continue
        _k3py_words "$path"
        case " $words " in
        *" $word "*) path="${path:+$path }$word" ;;
        esac
    done
    COMPREPLY=()
    case " @FILES@ " in
    *" $previous "*)
        [ -z "$previous" ] || { COMPREPLY=($(compgen -f -- "$current")); return; }
        ;;
    esac
    _k3py_words "$path"
    local found
    while IFS= read -r found; do
        # Flags only when a dash was typed.
        [[ $found == -* && $current != -* ]] || COMPREPLY+=("$found")
    done < <(compgen -W "$words" -- "$current")
    [ ${#COMPREPLY[@]} -gt 0 ] || while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -f -- "$current")
}

complete -F _k3py k3py
"""
