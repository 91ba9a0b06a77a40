"""`python -m harness.mutation`."""

from __future__ import annotations

from harness.mutation.planting import main

main()
