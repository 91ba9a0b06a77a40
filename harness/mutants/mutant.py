"""What a mutant is: one exact text of the product in place of another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from attrs import frozen

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = "trio_wss"
NO_AUDIT: Final = ("node/janitor.py", "await self._audit()", "pass")


@frozen
class Mutant:
    """`old` occurs once in `file` of the product; `new` stands there instead. `wrong` is what the
    product then does. `same`: why that cannot be told from outside, if it cannot. `audit`: with the
    audit as it is; else it is taken out, too, which would make good for this within seconds.
    """

    file: str
    old: str
    new: str
    wrong: str
    engine: str = "valkey"
    same: str = ""
    audit: bool = True

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """All of them: the file, what stands there, and what shall."""
        return [(self.file, self.old, self.new), *([] if self.audit else [NO_AUDIT])]

    def plant(self, folder: Path) -> None:
        """Make a copy of the product and its tests with this bug in it. Raises ValueError if its
        text is not there once."""
        for file, old, _ in self.changes:
            if (ROOT / PRODUCT / file).read_text().count(old) != 1:
                raise ValueError(f"{file} has not one {old!r}")
        for part in (PRODUCT, "tests", "harness"):
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        for name, old, new in self.changes:
            place = folder / PRODUCT / name
            place.write_text(place.read_text().replace(old, new))
