"""The shapes of load: each a module with its CASES and a `run` that gives the figures of one."""
