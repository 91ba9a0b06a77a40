"""Bugs in a node: hub, catch-up, memberships, sessions, connections, janitor, link."""

from __future__ import annotations

from typing import Final

from harness.mutants.mutant import Mutant

NODES: Final[dict[str, Mutant]] = {
    "deaf-after-a-cut": Mutant(
        "node/node.py", "            up=self.hub.reset,\n", "",
        "does not ask what was said while its link was down",
    ),
    "nothing-held-back": Mutant(
        "node/topics/hub.py", "self._link.hold_back(HOLD_BACK)", "pass",
        "answers before it has filled the gaps of a lost link",
    ),
    "doubt-settled": Mutant(
        "node/topics/hub.py", "if topic.cursor == cursor:\n            topic.go_live()",
        "if cursor is not None:\n            topic.go_live()",
        "takes a topic for whole after a lost link, wherever it is",
    ),
    "gap-overlooked": Mutant(
        "node/topics/hub.py", "elif cursor.offset > last.offset or cursor.epoch != last.epoch:",
        "elif cursor.offset > last.offset + 1 and cursor.epoch == last.epoch:",
        "does not see that a topic has another history",
        same="another history comes with another link, and then every topic is compared",
    ),
    "entered-anywhere": Mutant(
        "node/topics/hub.py",
        "        if missed is None or not _has_room(member.outbox, missed):\n"
        "            return False\n",
        "        missed = missed or []\n",
        "takes a member in that is behind the topic",
    ),
    "recent-less-one": Mutant(
        "node/topics/topic.py", "return frames[::-1]", "return frames[-2::-1]",
        "leaves out the first broadcast behind a join", engine="redis",
    ),
    "loss-hidden": Mutant(
        "node/topics/catchup.py", "topic.go_on_at(page.cursor, recovered=False)",
        "topic.cursor = page.cursor",
        "tells nobody that the history of a topic broke",
    ),
    "gap-half-filled": Mutant(
        "node/topics/catchup.py", "            if topic.cursor == page.cursor:\n",
        "            if taken:\n",
        "takes the first page of a gap for all of it",
    ),
    "page-not-all-taken": Mutant(
        "node/topics/catchup.py", "at = after or at\n", "at = page.cursor\n",
        "gives who catches up one page and takes that for all",
    ),
    "implied-not-held": Mutant(
        "node/session.py", "held = [hub.hold(name) for name in names]",
        "held = [hub.hold(name) for name in found.topics]",
        "does not hear, during a resume, the topics that everybody is in",
    ),
    "nothing-held": Mutant(
        "node/session.py", "held = [hub.hold(topic) for topic in joins] if joins else ()",
        "held = ()", "follows a topic only once it was joined",
    ),
    "join-of-a-record": Mutant(
        "node/session.py", "change(membership, now=not seen)", "change(membership, now=True)",
        "takes the place in the record of a join for where the topic is now",
    ),
    "followed-too-late": Mutant(
        "node/session.py", "followed=name in names", "followed=True",
        "takes a topic that was joined during a resume for followed all the while",
    ),
    "meant-for-another": Mutant(
        "node/connection.py", "        self._ignores = True\n", "",
        "applies in a new session what was meant for the one that was not resumed",
    ),
    "gone-but-not-told": Mutant(
        "node/session.py",
        "for name in cursors.keys() - taken.cursors.keys():", "for name in ():",
        "does not tell who comes back that it is out of a topic",
    ),
    "always-broken": Mutant(
        "node/session.py", "cursor = cursors.get(name)", "cursor = None",
        "says `recovered: false` in every topic of a session that is resumed",
    ),
    "always-whole": Mutant(
        "node/topics/memberships.py", "if cursor is None or cursor == here:", "if True:",
        "resumes at the present, whatever was missed",
    ),
    "never-resumes": Mutant(
        "node/session.py", "found = await sessions.find(token)", "found = None",
        "begins a new session for everybody who comes back",
    ),
    "no-grace": Mutant(
        "node/session.py", "if clean or doubtful or self._over:", "if True:",
        "ends a session with its connection",
    ),
    "never-ended": Mutant(
        "node/session.py", "if clean or doubtful or self._over:", "if clean or doubtful:",
        "lets a session live on that its handler closed",
    ),
    "answered-before": Mutant(
        "node/session.py", "        return Commit(\n            decision.plan, self.client",
        "        if number and not requests and b'\\xff' not in decision.answer:\n"
        "            self.push(decision.answer)\n"
        "            decision.answer = b''\n"
        "        return Commit(\n            decision.plan, self.client",
        "answers before the commit is made",
    ),
    "no-state-at-a-gap": Mutant(
        "node/session.py", "if app.gap is not None and self._nursery is not None:", "if False:",
        "does not run on_gap",
    ),
    "sent-away-is-a-goodbye": Mutant(
        "node/connection.py", "return self.socket.clean and self._outbox.code is None",
        "return self.socket.clean", "ends the sessions of those that it sends to other nodes",
    ),
    "hook-without-end": Mutant(
        "node/transaction.py", "lead=lead,", "lead=(),",
        "runs on_disconnect and lets the session live",
    ),
    "conflict-at-once": Mutant(
        "node/transaction.py", "if not isinstance(outcome, Changed):", "if True:",
        "gives up an event whose reads have changed",
    ),
    "failover-unnoticed": Mutant(
        "node/janitor.py", "if self._master.replid != master:", "if False:",
        "does not look after memberships that a failover has lost",
    ),
    "no-janitor": Mutant(
        "node/janitor.py", "while await self._end_due():", "while False:",
        "ends no session that nobody came back to",
    ),
    "ring-of-eight": Mutant(
        "store/executor.py", 'f"r{number % RING}"', 'f"r{number % 8}"',
        "keeps eight answers for a session",
    ),
    "sent-again-last": Mutant(
        "store/link/backlog.py", "return chain(self.refused, self.sent, self.urgent, self.queued)",
        "return chain(self.urgent, self.queued, self.refused, self.sent)",
        "sends again what was lost behind what was not yet sent",
    ),
    "never-sent-again": Mutant(
        "store/link/backlog.py", "if not slot.urgent and slot not in gone",
        "if not slot.urgent and slot not in gone and not slot.sent",
        "does not send again what was on a link that was lost",
    ),
    "behind-others": Mutant(
        "store/link/backlog.py", "if self.refused and executed and not slot.ours:", "if False:",
        "sends what found no script again behind what others of its connection did meanwhile",
    ),
    "dropped-in-silence": Mutant(
        "wire/outbox.py", "self.seal(CloseCode.AGAIN_LATER, BEHIND)", "pass",
        "drops what a slow client does not take, and goes on",
    ),
}  # fmt: skip
