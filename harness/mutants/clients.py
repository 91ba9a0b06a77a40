"""Bugs in the Python client. (The faults do not run the browser's.)"""

from __future__ import annotations

from typing import Final

from harness.mutants.mutant import Mutant

CLIENTS: Final[dict[str, Mutant]] = {
    "client-resends-last": Mutant(
        "client/pending.py", "self._refill([*sent, *rest])", "self._refill([*rest, *sent])",
        "sends new events before those that it sends again",
    ),
    "client-counts-anew": Mutant(
        "client/pending.py", "self.number = max(self.number, last)", "self.number = last",
        "uses ids again that are under way",
    ),
    "client-sends-twice": Mutant(
        "client/pending.py", "if not pending.again:", "if pending.again:",
        "sends again in a new session what may have been applied in the old one",
    ),
    "client-gives-up": Mutant(
        "client/pending.py",
        "if retry and code == \"unavailable\" and pending.wanted:", "if False:",
        "does not send again what was `unavailable`",
    ),
    "client-forgets": Mutant(
        "client/pending.py", "            elif pending.place == \"out\":\n",
        "            elif pending.place == \"none\":\n",
        "does not let rest what was out when its connection ended",
        same="it is sent again all the same; but for what nobody waits for since, of which nobody"
        " may expect anything",
    ),
    "client-goes-back": Mutant(
        "client/inbox.py",
        "self._places[topic] = epoch, offset\n            case Event(\"wss.left\"",
        "pass\n            case Event(\"wss.left\"",
        "does not note where it was told to go on",
    ),
    "client-never-begins": Mutant(
        "client/transport.py", "await socket.send_message(frames.BEGIN)", "pass",
        "does not say that it knows of a new session",
    ),
    "client-never-resumes": Mutant(
        "client/client.py", "ticket = self.ticket() if self._welcome else self._ticket",
        "ticket = None",
        "begins a new session with each connection",
    ),
}  # fmt: skip
