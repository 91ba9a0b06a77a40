"""The load's own process: runs one case against servers that are up, and prints its figures.

It is told everything as JSON in its one argument, and prints JSON: the figures, or what failed.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from typing import Any

import uvloop

from benchmarks.crowd import Failed
from benchmarks.figures import Figures
from benchmarks.loading import Load


async def run(task: dict[str, Any]) -> Figures:
    load = Load(**task["load"])
    shape = importlib.import_module(f"benchmarks.shapes.{task['shape']}")
    try:
        figures: Figures = await shape.run(load, **task["options"])
        # A percentile of nothing is no figure: no event was done in the time to measure.
        return {name: value for name, value in figures.items() if not math.isnan(value)}
    finally:
        load.crowd.close()


def main() -> None:
    task = json.loads(sys.argv[1])
    try:
        print(json.dumps(uvloop.run(run(task))))
    except Failed as failed:
        print(json.dumps({"failed": str(failed)}))


if __name__ == "__main__":
    main()
