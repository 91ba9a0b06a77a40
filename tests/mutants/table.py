"""All mutants, by name."""

from __future__ import annotations

from typing import Final

from tests.mutants.clients import CLIENTS
from tests.mutants.mutant import Mutant
from tests.mutants.nodes import NODES
from tests.mutants.scripts import SCRIPTS

ENOUGH: Final = 0.9  # of them must be caught, but for those that nobody can tell
MUTANTS: Final[dict[str, Mutant]] = {**SCRIPTS, **NODES, **CLIENTS}
