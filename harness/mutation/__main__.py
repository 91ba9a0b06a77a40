"""`python -m harness.mutation`."""

from harness.mutation.planting import main

main()
