"""Mutants that no test can notice, by module, each with the reason."""

from typing import Final

EQUIVALENT: Final[dict[str, dict[str, str]]] = {}
