"""harness/faults: the app by itself, as the image of harness/swarm has it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.faults.fleet import ROOT
from harness.faults.ledger import app


def test_the_files_of_the_image_are_all_that_the_app_needs(tmp_path: Path) -> None:
    """What is copied there is read off its Containerfile."""
    lines = (ROOT / "harness" / "swarm" / "Containerfile").read_text()
    for names, place in re.findall(r"^COPY (.*) /app/(\S*)$", lines, re.MULTILINE):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        for name in names.split():
            shutil.copy(ROOT / "harness" / "faults" / name, tmp_path / place)
    script = "import soak; print(*sorted(soak.app.handlers))"
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == set(app.handlers)
    assert {"add", "say", "census", "put", "gulp"} <= set(app.handlers)
