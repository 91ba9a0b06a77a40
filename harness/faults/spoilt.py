"""One bug for everything that the checks look at, put into the small history of sample.py: by its
name, which check must find it, and what that must say.
"""

from __future__ import annotations

from typing import Final

from harness.faults import judge as judging
from harness.faults.manners import BEHIND
from harness.faults.sample import (
    Spoil,
    begin_anew,
    die_with_its_node,
    end_at_once,
    find,
    hear_early,
    outlive_its_close,
    said,
    seen,
    send_old_state,
    send_together_and_swap,
)

SPOILT: Final[dict[str, tuple[str, str, Spoil]]] = {
    "an update lost": (
        judging.SERIAL, "read [100, 100], but",
        lambda h, w: w.insert(5, {**w[5], "op": "b.2", "by": "s2"}),
    ),
    "a swap on an old value": (
        judging.SERIAL, "was made of 'z'", lambda h, w: w[3].update(old="z"),
    ),
    "an event applied twice": (
        judging.SERIAL, "a.1 was applied twice", lambda h, w: w.insert(3, dict(w[2])),
    ),
    "a refused event applied": (
        judging.SERIAL, "refused by its handler",
        lambda h, w: w.insert(7, {"do": "refuse", "by": "s1", "op": "a.5"}),
    ),
    "a hook run twice": (judging.SERIAL, "s1 was over", lambda h, w: w.append(dict(w[-1]))),
    "a hook on an old value": (
        judging.SERIAL, "read [None, []], but there was ['b', []]",
        lambda h, w: w[-1].update(found=[None, []]),
    ),
    "a hook that missed a member": (
        judging.SERIAL, "read ['b', []], but there was ['b', ['s1']]",
        lambda h, w: w.insert(8, {"do": "join", "by": "s1", "op": "a.7", "topic": "room:salt"}),
    ),
    "a zombie's commit": (
        judging.SERIAL, "s1 was over",
        lambda h, w: w.append({"do": "add", "by": "s1", "op": "a.9", "key": "x"}),
    ),
    "a session begun twice": (
        judging.SERIAL, "s1 began twice", lambda h, w: w.insert(1, dict(w[0])),
    ),
    "a commit before its session": (
        judging.SERIAL, "s1 had not begun", lambda h, w: w.insert(2, w.pop(0)),
    ),
    "an acknowledged event lost": (
        "acknowledged means applied, once", "a.1 was acknowledged", lambda h, w: w.pop(2),
    ),
    "an event that failed was applied": (
        "acknowledged means applied, once", "was answered poor, and was applied",
        lambda h, w: find(h, k="done", op="a.4").update(how="poor", data="100"),
    ),
    "an event that nobody sent": (
        "acknowledged means applied, once", "nobody sent",
        lambda h, w: w.insert(5, {"do": "add", "by": "s1", "op": "c.1", "key": "y"}),
    ),
    "an internal error": (
        "acknowledged means applied, once", "answered internal",
        lambda h, w: find(h, k="done", op="a.3").update(how="internal"),
    ),
    "a refusal that was forgotten": (
        "acknowledged means applied, once", "a.5 was answered ok",
        lambda h, w: find(h, k="done", op="a.5").update(how="ok", data=None),
    ),
    "a refusal of what is never refused": (
        "acknowledged means applied, once", "b.4 was answered poor",
        lambda h, w: find(h, k="done", op="b.4").update(how="poor", data="x"),
    ),
    "a conflict of what reads nothing": (
        "acknowledged means applied, once", "a.2 was answered conflict",
        lambda h, w: (find(h, k="done", op="a.2").update(how="conflict"), w.pop(4)),
    ),
    "a failure that was hidden": (
        "acknowledged means applied, once", "a.5 was answered on_purpose",
        lambda h, w: find(h, k="call", op="a.5")["data"].update(fail=True),
    ),
    "a wrong answer": (
        "answers are true", "answered 3, not 2",
        lambda h, w: find(h, k="done", op="a.2").update(data=3),
    ),
    "an event applied before an earlier one": (
        "writes in real-time order, and as sent", "applied too early",
        lambda h, w: w.insert(2, w.pop(4)),
    ),
    "events of a session in the wrong order": (
        "writes in real-time order, and as sent", "was seen after",
        send_together_and_swap,
    ),
    "a stale read": (
        "reads are linearisable", "a.3 read None",
        lambda h, w: find(h, k="done", op="a.3").update(data=None),
    ),
    "a torn read": (
        "reads are linearisable", "b.4 read [93, 100",
        lambda h, w: find(h, k="done", op="b.4").update(data=[93, 100, 100, 100]),
    ),
    "a member missing": (
        "reads are linearisable", "b.5 read ['s2']",
        lambda h, w: find(h, k="done", op="b.5").update(data=["s2"]),
    ),
    "a false refusal": (
        "reads are linearisable", "b.1 read 'q'",
        lambda h, w: (
            find(h, k="done", op="b.1").update(how="differs", data="q"), w.pop(3),
            w[-1].pop("found"),
        ),
    ),
    "a broadcast missing": (
        "each broadcast once, in one order", "was at ('', 0)",
        lambda h, w: h.remove(said(6.1, "a", 1, "b.2")),
    ),
    "a broadcast twice": (
        "each broadcast once, in one order", "was at ('e', 1)",
        lambda h, w: h.insert(h.index(said(6.1, "a", 1, "b.2")), said(6.1, "a", 1, "b.2")),
    ),
    "two orders": (
        "each broadcast once, in one order", "what others heard as b.2",
        lambda h, w: find(h, k="said", c="b", n=1).update(op="b.3"),
    ),
    "a broadcast of nothing": (
        "each broadcast once, in one order", "was not committed",
        lambda h, w: [one.update(op="b.8") for one in h if one.get("n") == 1],
    ),
    "an offset that is not the commit's": (
        "each broadcast once, in one order", "heard number 1 at offset 4",
        lambda h, w: (
            find(h, k="said", c="a", n=1).update(at=["e", 4]),
            find(h, k="joined", c="a").update(at=["e", 3]),
        ),
    ),
    "a topic that it is not in": (
        "each broadcast once, in one order", "not told to be in",
        lambda h, w: h.remove(find(h, k="joined", c="a")),
    ),
    "resumed elsewhere without a word": (
        "each broadcast once, in one order", "told to be elsewhere",
        lambda h, w: find(h, k="joined", c="b", t=6.3).update(at=["e", 2]),
    ),
    "told of a gap where there is none": (
        "each broadcast once, in one order", "all since is kept",
        lambda h, w: find(h, k="joined", c="b", t=6.3).update(whole=False),
    ),
    "told of a gap where all is kept": (
        "each broadcast once, in one order", "all since is kept",
        lambda h, w: find(h, k="joined", c="b", t=6.3).update(whole=False, at=["e", 400]),
    ),
    "a client that hears no more": (
        "all is answered and heard in the end", "did not hear b.3",
        lambda h, w: h.remove(said(7.1, "b", 2, "b.3")),
    ),
    "a member that waits for the next word to hear the last": (
        "all is answered and heard in the end", "members of room:tea differ",
        lambda h, w: find(h, k="level")["at"].update(c=["e", 1]),
    ),
    "no answer": (
        "all is answered and heard in the end", "a.3 was not answered",
        lambda h, w: h.remove(find(h, k="done", op="a.3")),
    ),
    "a ghost": (
        "no ghost", "has the ghosts ['s1']",
        lambda h, w: find(h, k="members").update(seen=["s1", "s2"]),
    ),
    "a lost member": (
        "no ghost", "lacks ['s2']", lambda h, w: find(h, k="members").update(seen=[]),
    ),
    "a hook never ran": ("every disconnect hook once", "without their hook", lambda h, w: w.pop()),
    "a session that is there and not given back": (
        "sessions survive connections", "b asked for session s2, which was there", begin_anew,
    ),
    "a session that is over when its connection is": (
        "sessions survive connections", "s2 had a connection at 6.0, and was over", end_at_once,
    ),
    "a hook of a session that was just resumed": (
        "sessions survive connections", "s2 had a connection at 6.2",
        lambda h, w: w.__setitem__(7, {"do": "out", "by": "s2"}),
    ),
    "a session that outlives what closes it": (
        "sessions survive connections", "the app closed session s1 by 8.2", outlive_its_close,
    ),
    "a session that is over with its node's lease": (
        "sessions survive connections", "lost its node at 6, whose lease had 1 s left",
        lambda h, w: die_with_its_node(h, w, 6),
    ),
    "a hook of a live session": (
        "every disconnect hook once", "ended though live: ['s2']",
        lambda h, w: w.append({"do": "out", "by": "s2"}),
    ),
    "a session that never began": (
        "every disconnect hook once", "s9 was welcomed",
        lambda h, w: h.insert(
            0, seen(1, "c", "welcome", session="s9", resumed=False, node="n1", since=0.9)
        ),
    ),
    "replaced by nobody": (
        "clients see no broken protocol", "4409",
        lambda h, w: find(h, k="closed").update(code=4409),
    ),
    "an answer to nothing": (
        "clients see no broken protocol", "unasked",
        lambda h, w: h.append(seen(9, "b", "unasked", number=3, name="ok", data=None)),
    ),
    "another answer the second time": (
        "clients see no broken protocol", "a.1 was answered otherwise",
        lambda h, w: h.append(seen(9, "a", "twice", op="a.1", first=["ok", 1], second=["ok", 3])),
    ),
    "an answer that was not yet earned": (
        "answers stand among broadcasts", "was at 1 of room:tea, where 2 had been said before",
        lambda h, w: h.remove(said(7.1, "a", 2, "b.3")),
    ),
    "an answer behind a later broadcast": (
        "answers stand among broadcasts", "a.4 at 5.1 behind word 1 of room:tea, where 0",
        hear_early,
    ),
    "a join that says another place": (
        "a join says where the topic was", "but it was at {0}",
        lambda h, w: find(h, k="joined", c="b").update(at=["e", 5]),
    ),
    "a word that is heard only with the next one": (
        "nobody stays behind on a clear path", "b was at 1 of room:tea at 11.10, and 2 was",
        lambda h, w: h.remove(said(7.1, "b", 2, "b.3")),
    ),
    "a gap with no state sent": (
        "nobody stays behind on a clear path", "b was told of a gap, and was not sent the state",
        lambda h, w: find(h, k="joined", c="b", t=6.3).update(whole=False),
    ),
    "an old state at a gap": (
        "nobody stays behind on a clear path", "b was sent an older state than it was told",
        send_old_state,
    ),
    "a late word in a topic of one": (
        "all is answered and heard in the end", "said 3 times",
        lambda h, w: find(h, k="level").update(n=3),
    ),
    "an event applied in another session": (
        "acknowledged means applied, once", "a.1 was sent for session s0, and s1 did it",
        lambda h, w: find(h, k="call", op="a.1").update(session="s0"),
    ),
    "a late copy of what was refused": (
        "acknowledged means applied, once", "b.1 was answered differs, and was applied",
        lambda h, w: find(h, k="done", op="b.1").update(how="differs", data="z"),
    ),
    "unavailable, to a client that sends again": (
        "acknowledged means applied, once", "a.2 was answered unavailable",
        lambda h, w: find(h, k="done", op="a.2").update(how="unavailable"),
    ),
    "closed for reading slowly, though it did not": (
        "clients see no broken protocol", BEHIND,
        lambda h, w: find(h, k="closed").update(t=2.5, code=1013, why=BEHIND),
    ),
    "closed by a handler that never was asked": (
        "clients see no broken protocol", "4001",
        lambda h, w: find(h, k="closed").update(code=4001),
    ),
    "stale though it is young": (
        "clients see no broken protocol", "a.1 was answered otherwise",
        lambda h, w: h.append(
            seen(9, "a", "twice", op="a.1", first=["ok", 1], second=["stale", ""], later=63)
        ),
    ),
    "a stream that grows": (
        "what Redis holds is bounded", "a stream of 401 entries",
        lambda h, w: find(h, k="held").update(longest=401),
    ),
    "a ring that grows": (
        "what Redis holds is bounded", "a ring of 65 answers",
        lambda h, w: find(h, k="held").update(slots=65),
    ),
    "a topic for ever": (
        "what Redis holds is bounded", "topics that live",
        lambda h, w: find(h, k="held").update(metas=[-1]),
    ),
    "a ring that outlives its session": (
        "what Redis holds is bounded", "5 rings of 4 owners",
        lambda h, w: find(h, k="held").update(rings=5),
    ),
    "a dead node's record": (
        "what Redis holds is bounded", "4 nodes have a record",
        lambda h, w: find(h, k="held").update(nodes=4),
    ),
    "a node that crashed": (
        "nodes end only when told, and log no error", "ended with 1",
        lambda h, w: find(h, k="exit").update(code=1),
    ),
    "a node that lost Redis by itself": (
        "nodes end only when told, and log no error", "n lost Redis at 3",
        lambda h, w: h.insert(0, {"t": 9, "k": "unlinked", "node": "n", "at": 3, "why": "x"}),
    ),
    "a node that was refused with no reason": (
        "nodes end only when told, and log no error", "n lost Redis at 3",
        lambda h, w: h.insert(0, {"t": 9, "k": "refused", "node": "n", "at": 3, "why": "READONLY"}),
    ),
    "a node that logged an error": (
        "nodes end only when told, and log no error", "connection failed",
        lambda h, w: h.append({"t": 9, "k": "error", "node": "n", "text": "connection failed"}),
    ),
}  # fmt: skip
