"""The command line, `trio-wss …`: the only place that prints, and that reads the environment."""

from trio_wss.cli.entry import main

__all__ = ["main"]
