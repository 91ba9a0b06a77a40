"""The app of a run, bare: its ledger. Every commit that changes something writes a line into it, so
that it is the order in which Redis made the commits, with what each handler had read.
"""

from __future__ import annotations

from typing import Any, Final

from trio_wss import App, Append, Client

LEDGER: Final = "ledger"
MOST: Final = 100_000  # lines of the ledger, between two times that it is taken away

app = App(history=400, history_ttl=120)


def line(client: Client, do: str, **what: Any) -> Append:
    """One line of the ledger."""
    return Append(LEDGER, {"do": do, "by": client.session, **what}, MOST)
