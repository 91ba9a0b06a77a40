"""Read-modify-write: an account is read, changed by the program and stored, by 80 clients at once
on two nodes; no change may be lost. On one account, and on a thousand.
"""

from __future__ import annotations

import time
from collections import Counter

from benchmarks.crowd import Crowd, Failed, Member
from benchmarks.dialects import NUMBER
from benchmarks.figures import Figures, latencies
from benchmarks.loading import Load


class Bank:
    """Which account is next, and the balances that were answered."""

    def __init__(self, accounts: int) -> None:
        self.names = [f"a{number}" for number in range(accounts)]
        self.given = 0
        self.balances: dict[str, set[int]] = {name: set() for name in self.names}
        self.deposits: Counter[str] = Counter()
        self.waits: list[float] = []

    def next(self) -> str:
        self.given += 1
        name = self.names[self.given * 7919 % len(self.names)]
        self.deposits[name] += 1
        return name

    def check(self) -> None:
        """Deposits of 1 from 0: the balances answered are 1, 2, … up to as many as there were."""
        for name, balances in self.balances.items():
            if balances != set(range(1, self.deposits[name] + 1)):
                raise Failed(f"a deposit to {name} was lost or answered wrongly")


class Customer(Member):
    """Makes one deposit at a time."""

    def __init__(self, crowd: Crowd, room: str) -> None:
        super().__init__(crowd, room)
        self.account = ""
        self.bank = Bank(1)

    def deposit(self) -> None:
        self.account = self.bank.next()
        self.sent += 1
        self.crowd.sent += 1
        self.times.append(time.perf_counter())
        self.send(self.dialect.deposit(self.sent, self.account, 1))

    def on_answer(self, text: bytes) -> None:
        self.bank.waits.append(time.perf_counter() - self.times.popleft())
        found = NUMBER.search(text)
        assert found is not None
        self.bank.balances[self.account].add(int(found[1]))
        if self.crowd.running:
            self.deposit()


async def run(load: Load, *, clients: int, accounts: int) -> Figures:
    bank = Bank(accounts)
    customers = await load.dial([f"lobby{n}" for n in range(clients)], Customer)
    for customer in customers:
        customer.numbers = None  # there are no broadcasts
        customer.bank = bank
        customer.deposit()
    meter = await load.measure()
    load.crowd.running = False
    figures = meter.per(meter.answered) | latencies(bank.waits[-meter.answered :])
    await load.crowd.until(
        lambda: load.crowd.answered >= load.crowd.sent, "an answer to every deposit"
    )
    bank.check()
    return figures
