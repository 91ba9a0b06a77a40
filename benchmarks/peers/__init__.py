"""The servers that are compared, each a program of its own, which `benchmarks.rivals` starts."""
