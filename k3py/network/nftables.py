"""NftTable: keeps one nftables table equal to a planned Ruleset, by `nft -f -`, one transaction a change.

The first application replaces what an earlier k3py left; the rules stay when k3py stops.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from k3py.network.ruleset import render_change, render_full
from k3py.util.process import ProcessFailed, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k3py.network.ruleset import Ruleset

_log = logging.getLogger(__name__)

_NFT_S: Final = 60.0


class NftTable:
    """One table.

    Args:
        nft: the nft program.
        table: family and name, "inet k3py-policy".
    """

    def __init__(self, *, nft: Path, table: str) -> None:
        self._nft = nft
        self.table = table
        self._applied: Ruleset | None = None
        self._known = False

    async def apply(self, new: Ruleset | None) -> None:
        """Make the table equal to `new`, None: take it away.

        Raises:
            ProcessFailed: nft refuses; the rules are then as before, and the next call writes all of them anew.
        """
        old, known = self._applied, self._known
        self._applied, self._known = None, False  # not known, until nft has said yes
        if new is None:
            if old is not None or not known:
                await self._run(f"add table {self.table}\ndelete table {self.table}\n")
        elif old is None:
            await self.replace(new)
        else:
            await self.change(old, new, lambda: new)
        self._applied, self._known = new, True

    async def replace(self, new: Ruleset) -> None:
        """Write the whole table, whatever was there. Raises ProcessFailed."""
        await self._run(render_full(self.table, new))

    async def change(self, old: Ruleset, new: Ruleset, whole: Callable[[], Ruleset]) -> None:
        """Turn what the table has of `old` into `new`; both may be parts of the table, `whole` returns all of it.

        Raises:
            ProcessFailed: neither the change nor the whole table can be written.
        """
        try:
            for text in filter(None, render_change(self.table, old, new)):
                await self._run(text)
        except ProcessFailed as error:
            _log.warning("rules cannot be changed in place, writing all of them: %s", error)
            await self.replace(whole())

    async def _run(self, text: str) -> None:
        await run([self._nft, "-f", "-"], stdin=text.encode(), timeout_s=_NFT_S)
