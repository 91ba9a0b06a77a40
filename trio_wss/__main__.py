"""`python -m trio_wss` is `trio-wss`."""

from trio_wss.cli import main

if __name__ == "__main__":
    main()
