"""A real browser for tests, and a page and an app to run in it."""
