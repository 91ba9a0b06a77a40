"""The shapes of load: each a module whose `run` gives the figures of one turn at a case."""
