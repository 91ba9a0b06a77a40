"""What `trio-wss run` does for itself, for the other peers in Python: the garbage collector looks
less often at what is long-lived. No import of trio-wss, whose modules would count as their memory.
"""

from __future__ import annotations

import gc


def calm_collector() -> None:
    """Call it when all is imported, before the loop starts."""
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
