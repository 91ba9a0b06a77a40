"""Parts of a node that a test holds in its hands: what they are told they keep, and they answer
what the test says.
"""

from __future__ import annotations

from typing import Any

import attrs

from trio_wss.ops.snapshot import Snapshot
from trio_wss.ops.statistics import Durations


def node_snapshot(**changes: Any) -> Snapshot:
    """A node that has counted nothing yet, but for these."""
    kinds = {"str": "", "float": 0, "int": 0, "bool": True, "Durations": Durations()}
    zero = {field.name: kinds.get(str(field.type), ()) for field in attrs.fields(Snapshot)}
    return Snapshot(**{**zero, **changes})
