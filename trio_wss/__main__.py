"""`python -m trio_wss` is `trio-wss`."""

from __future__ import annotations

from trio_wss.cli import main

if __name__ == "__main__":
    main()
