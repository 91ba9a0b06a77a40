"""Faults on purpose: a cluster of real processes, harmed at random from a seed, and what its
clients saw, held against what was promised. docs/faults.md says how to read its report."""
