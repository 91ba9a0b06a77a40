"""Bugs in what Redis runs: the commit and its ring, versions, resumes, histories, the janitor."""

from __future__ import annotations

from typing import Final

from harness.mutants.mutant import Mutant

SCRIPTS: Final[dict[str, Mutant]] = {
    "no-ring": Mutant(
        "store/commit.lua", "if taken == NUMBER then", "if false then",
        "applies an event again that is sent again",
    ),
    "no-stale": Mutant(
        "store/commit.lua", "if taken > NUMBER then return {'stale'} end", "",
        "applies an event again whose answer is no longer kept",
    ),
    "no-top": Mutant(
        "store/commit.lua", "if ANSWERED and NUMBER <= top then return {'stale'} end", "",
        "applies a late copy of a node's own commit whose record is gone",
    ),
    "refusals-forgotten": Mutant(
        "store/commit.lua", "if FIRST <= LAST or not ANSWERED then record(text) end",
        "if FIRST <= LAST then record(text) end",
        "lets an event that was refused succeed when it is sent again",
    ),
    "no-generations": Mutant(
        "store/commit.lua", "if now ~= generation then", "if false then",
        "takes commits of connections whose session has moved on",
    ),
    "no-fence-without-id": Mutant(
        "store/commit.lua", "elseif generation ~= '' then",
        "elseif generation ~= '' and SESSION == OWNER then",
        "takes events without an id from connections whose session has moved on, or is over",
    ),
    "no-versions": Mutant(
        "store/commit.lua", "~= ARGV[at + 2] then", "== nil then",
        "commits what was decided on values that have changed",
    ),
    "no-tilde": Mutant(
        "store/commit.lua", "if ANSWERED then record('~') end", "",
        "lets a late copy run of a commit that met changed reads, when they are as they were",
    ),
    "one-mark-for-a-map": Mutant(
        "store/commit.lua", "call('HSET', key, '\\255' .. a, mark)",
        "call('HSETNX', key, '\\255' .. a, mark)",
        "compares maps and sets by who wrote them first",
    ),
    "no-mark-for-removals": Mutant(
        "store/commit.lua", "    call('HSET', key, field, mark)\n", "",
        "does not see that something was taken out of a map, a set or the members",
    ),
    "one-mark-for-members": Mutant(
        "store/commit.lua", "MEMBERS, mark)", "MEMBERS, '1')",
        "does not see that members have changed",
    ),
    "length-for-a-list": Mutant(
        "store/reads.lua", "return redis.sha1hex(table.concat(parts))",
        "return 'n' .. #items",
        "compares lists by their length",
    ),
    "one-too-many": Mutant(
        "store/commit.lua", "call('LTRIM', key, -limit, -1)", "call('LTRIM', key, -limit - 1, -1)",
        "keeps one item of a list more than its limit",
    ),
    "no-new-epoch": Mutant(
        "store/commit.lua", "if meta[2] ~= master then", "if not meta[2] then",
        "keeps the epoch after a failover",
    ),
    "endless-streams": Mutant(
        "store/commit.lua", "'MAXLEN', length, id", "id",
        "keeps all that was ever said",
    ),
    "endless-topics": Mutant(
        "store/commit.lua", "offset, 'PX', ttl + DAY)", "offset)",
        "keeps the place of each topic that ever was",
    ),
    "members-for-ever": Mutant(
        "store/commit.lua", "leave(b .. sub(field, 3), sub(field, 3), a)", "local _ = b",
        "leaves a session that is over among the members",
    ),
    "page-of-any-epoch": Mutant(
        "store/page.lua", "\n  or string.match(entries[1][2][2], '^%S+') ~= ARGV[1] then", " then",
        "goes on at an offset of another history",
    ),
    "never-broken": Mutant(
        "store/page.lua", "return {'broken', epoch, offset}\nend\nlocal", "first = 1\nend\nlocal",
        "says `recovered: true` though a tail was lost",
    ),
    "page-with-its-first": Mutant(
        "store/page.lua", "local first = 2", "local first = 1",
        "gives again what a client had last",
    ),
    "take-of-any-attempt": Mutant(
        "store/take.lua", "if found[3] and tonumber(ARGV[7]) <= tonumber(found[3])", "if false",
        "gives a session to a resume that has lain about in a frozen node",
    ),
    "take-and-still-due": Mutant(
        "store/take.lua", "  call('ZREM', KEYS[5], ARGV[4])\n", "",
        "ends a session that was resumed",
    ),
    "take-of-nobody": Mutant(
        "store/take.lua", "  call('SADD', KEYS[3], ARGV[4])\n", "",
        "does not know whose a resumed session is, and forgets it with its node", audit=False,
    ),
    "take-by-the-dead": Mutant(
        "store/take.lua", "  if call('EXISTS', KEYS[4]) == 0 then return {'buried'} end\n", "",
        "gives a session to a node whose record is gone", audit=False,
    ),
    "away-and-still-owned": Mutant(
        "store/away.lua", "redis.call('SREM', ARGV[5] .. found[3], ARGV[1])\n", "",
        "leaves a session that is due in the set of its node, too",
        same="whatever takes or ends it takes it out there, and what finds it there sees it is due",
    ),
    "away-of-old": Mutant(
        "store/away.lua", "elseif ARGV[2] ~= found[1] then", "elseif false then",
        "ends a session whose client left an older connection",
    ),
    "no-orphans": Mutant(
        "store/due.lua", "now - lease) + grace)", "now - lease) + grace * 1000)",
        "never ends the sessions of a dead node",
    ),
    "orphans-at-once": Mutant(
        "store/due.lua", "now - lease) + grace)", "now - lease))",
        "ends the sessions of a dead node without their grace",
    ),
    "buried-alive": Mutant(
        "store/due.lua", "call('DEL', ARGV[6] .. node)", "local _ = node",
        "does not tell a node that wakes that it has lost its sessions",
    ),
    "ten-orphans": Mutant(
        "store/due.lua", "call('SPOP', ARGV[5] .. node, left)",
        "call('SPOP', ARGV[5] .. node, math.min(left, 2))",
        "forgets most sessions of a dead node", audit=False,
    ),
}  # fmt: skip
