"""What a mutant is: one exact text of the product in place of another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from attrs import frozen

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = "trio_wss"


@frozen
class Mutant:
    """`old` occurs once in `file` of the product; `new` stands there instead. `wrong` is what the
    product then does. `same`: why that cannot be told from outside, if it cannot.
    """

    file: str
    old: str
    new: str
    wrong: str
    engine: str = "valkey"
    same: str = ""

    def times(self, root: Path = ROOT) -> int:
        """How often `old` occurs."""
        return (root / PRODUCT / self.file).read_text().count(self.old)

    def plant(self, folder: Path) -> None:
        """Make a copy of the product and its tests with this bug in it. Raises ValueError if its
        text is not there once."""
        if self.times() != 1:
            raise ValueError(f"{self.file} has not one {self.old!r}")
        for part in (PRODUCT, "tests"):
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        file = folder / PRODUCT / self.file
        file.write_text(file.read_text().replace(self.old, self.new))
