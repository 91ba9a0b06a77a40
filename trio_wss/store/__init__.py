"""Redis: the only package that knows about it."""
