"""What a run is played on: the stores, the nodes, and the report of what is done to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final, final

from harness.faults.fleet import NodeProcess
from harness.faults.proxy import Proxy
from harness.faults.record import Recorder
from harness.faults.stores import Stores


@final
class Stage:
    """The cluster, whole or in pieces."""

    def __init__(
        self,
        stores: Stores,
        nodes: list[NodeProcess],
        recorder: Recorder,
        say: Callable[[str], None],
    ) -> None:
        self.stores = stores
        self.nodes = nodes
        self.recorder = recorder
        self.done: Final[Counter[str]] = Counter()  # faults, by name
        self.depart: Callable[[], None] = lambda: None  # visitors go, with no word
        self._say = say

    def say(self, text: str) -> None:
        """One line for whoever looks on."""
        self._say(f"{self.recorder.now():7.2f}  {text}")

    @contextmanager
    def fault(self, name: str, where: str = "") -> Iterator[list[str]]:
        """A fault, as long as it lasts. What is put into the list is told at its end."""
        found: list[str] = []
        begun = self.recorder.now()
        self.say(f"{name} {where}".rstrip())
        self.done[name] += 1
        try:
            yield found
        finally:
            self.recorder.note("fault", name=name, where=where, begun=begun, found=found)
            lasted = f"over after {self.recorder.now() - begun:.2f} s"
            self.say(f"  {name} {where}: {', '.join([lasted, *found])}")

    @asynccontextmanager
    async def all_links(self) -> AsyncIterator[list[Proxy]]:
        """All ways to Redis, for the length of the block one's own, and whole."""
        async with AsyncExitStack() as stack:
            links = [node.link for node in self.nodes]
            for link in links:
                await stack.enter_async_context(link.busy)
            yield links
