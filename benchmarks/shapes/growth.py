"""Growth: what one event costs with one, two and four nodes, all on the same core; and what one
delivery costs in a room of ten to ten thousand. What grows well stays flat.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks.figures import Figures
from benchmarks.loading import Load
from benchmarks.shapes import events, fanout

RUNS: Final = {"events": events.run, "fanout": fanout.run}


async def run(load: Load, *, shape: str, **options: Any) -> Figures:
    return await RUNS[shape](load, **options)
