"""The app by itself, as an image has it: with no more of the tests than its own modules."""

from __future__ import annotations

from harness.faults.app import app

__all__ = ["app"]
