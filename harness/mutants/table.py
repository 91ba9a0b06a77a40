"""All mutants, by name."""

from __future__ import annotations

from typing import Final

from harness.mutants.clients import CLIENTS
from harness.mutants.mutant import Mutant
from harness.mutants.nodes import NODES
from harness.mutants.scripts import SCRIPTS

ENOUGH: Final = 0.9  # of them must be caught, but for those that nobody can tell
MUTANTS: Final[dict[str, Mutant]] = {**SCRIPTS, **NODES, **CLIENTS}
