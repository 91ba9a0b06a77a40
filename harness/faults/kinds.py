"""What a fault is, and the list of all."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias

from attrs import frozen

from harness.faults.stage import Stage

Kind: TypeAlias = Literal["node", "redis", "link", "client", "loss"]
Harm: TypeAlias = Callable[[Stage, random.Random], Awaitable[None]]

LEASE: Final = 2.0  # seconds, of the nodes of a run


@frozen
class Fault:
    """A fault by its name. Of kind `loss`: it may lose commits that were acknowledged."""

    name: str
    kind: Kind
    harm: Harm


FAULTS: Final[dict[str, Fault]] = {}


def fault(name: str, kind: Kind) -> Callable[[Harm], Harm]:
    """Add a function to the faults."""

    def add(harm: Harm) -> Harm:
        FAULTS[name] = Fault(name, kind, harm)
        return harm

    return add
