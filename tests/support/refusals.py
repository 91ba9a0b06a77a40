"""What the plan refuses, as a table: a row for each of docs/api.md, with effects that are refused,
in which words, and their neighbours, which are not."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import field, frozen

from trio_wss.commit.plan import Phase
from trio_wss.effects import (
    Add,
    Append,
    Broadcast,
    Close,
    Delete,
    Drop,
    Effect,
    Increment,
    Join,
    Leave,
    Put,
    Remove,
    Reply,
    Store,
)
from trio_wss.errors import shown

MEBIBYTE: Final = 1024 * 1024
TEN_YEARS: Final = 315_360_000
HUGE: Final = 10**5000  # Python itself will not write it
HALF: Final = "\ud83d"  # the first half of an emoji: what a page makes that cuts text
N: Final = Increment("n")
M: Final = Add("m", 1)


@frozen
class Row:
    """A row of the page by its name. `refused` has the words too."""

    name: str
    refused: Sequence[tuple[Any, str]]
    allowed: Sequence[Any]
    phase: Phase = field(default="event", kw_only=True)


def deep(depth: int) -> Any:
    return [deep(depth - 1)] if depth > 1 else []


# --- names

WIDE: Final = "é" * 128  # 256 bytes
WRONG: Final[Any] = ("", "x" * 257, WIDE + "x", HALF, None, b"k", HUGE)
RIGHT: Final = ("x", "x" * 256, WIDE, "💚" * 64, "\0", "xwss.")


def named(name: Any) -> dict[str, list[Effect]]:
    """Every place where an effect has a name, by the kind of name."""
    return {
        "key": [*on_state(name), Delete(name)],
        "field": [Put("k", name, 1), Drop("k", name)],
        "topic": [Join(name), Leave(name), Broadcast(name, "e")],
        "event": [Reply(name), Broadcast("t", name)],
    }


def on_state(key: Any) -> list[Effect]:
    return [*KINDS["a value"](key), *KINDS["a counter"](key), *KINDS["a list"](key),
            *KINDS["a map"](key), *KINDS["a set"](key)]  # fmt: skip


KINDS: Final[dict[str, Callable[[Any], list[Effect]]]] = {
    "a value": lambda key: [Store(key, 1)],
    "a counter": lambda key: [Increment(key)],
    "a list": lambda key: [Append(key, 1)],
    "a map": lambda key: [Put(key, "f", 1), Drop(key, "f")],
    "a set": lambda key: [Add(key, 1), Remove(key, 1)],
}


def wrong_names() -> list[tuple[Any, str]]:
    return [
        (effect, f"the {kind} must be text of 1 to 256 bytes, not {shown(name)}")
        for name in WRONG
        for kind, effects in named(name).items()
        for effect in effects
    ]


def reserved_names() -> list[tuple[Any, str]]:
    return [
        (effect, f"{kind} 'wss.x': names that begin with 'wss.' are reserved")
        for kind in ("topic", "event")
        for effect in named("wss.x")[kind]
    ]


def mixed_kinds() -> list[tuple[Any, str]]:
    return [
        ([one, other], f"key 'k' cannot be {kind} and {another} in one event")
        for kind, ones in KINDS.items()
        for another, others in KINDS.items()
        if kind != another
        for one in ones("k")
        for other in others("k")
    ]


def beside_delete() -> list[tuple[Any, str]]:
    gone, words = Delete("k"), "key 'k' cannot be {} and {} in one event"
    kinds = [(kind, one) for kind, ones in KINDS.items() for one in ones("k")]
    before = [([one, gone], words.format(kind, "deleted")) for kind, one in kinds]
    behind = [([gone, one], words.format("deleted already", kind)) for kind, one in kinds]
    return [*before, *behind, ([gone, gone], words.format("deleted already", "deleted"))]


# --- numbers, sizes, results


def living(ttl: Any) -> list[Effect]:
    return [
        Store("k", 1, ttl=ttl), Increment("k", ttl=ttl), Append("k", 1, ttl=ttl),
        Put("k", "f", 1, ttl=ttl), Add("k", 1, ttl=ttl),
    ]  # fmt: skip


def wrong_ttls() -> list[tuple[Any, str]]:
    wrong = (0, -1, 0.0009999, TEN_YEARS + 0.1, TEN_YEARS + 1, math.nan, math.inf, True, "5", HUGE)
    return [
        (effect, f"a ttl is a number of seconds from 0.001 to ten years, not {shown(ttl)}")
        for ttl in wrong
        for effect in living(ttl)
    ]


def filled(more: int) -> list[list[Effect]]:
    """Events whose data fills 1 MiB, and so many bytes more, each with another effect last."""
    member = len('{"session":"s1","user":"ann","info":1}')
    ends: list[tuple[Effect, int]] = [
        (effect, 1) for effect in [Reply("r", 1), Broadcast("t", "e", 1), *on_state("k")]
        if not isinstance(effect, Increment | Drop)
    ]  # fmt: skip
    ends.append((Join("t", 1), member))
    return [[Store("x", "x" * (MEBIBYTE + more - 2 - size)), end] for end, size in ends]


def unreturned(effect: Effect) -> str:
    return f"the result of {shown(effect)} is used, but it is not returned"


def equal(effect: Effect) -> str:
    return f"the result of {shown(effect)} is used, and there are two equal ones"


def misplaced() -> list[tuple[Any, str]]:
    r, words = N.result, f"{N!r}.result stands only in the data of a Reply or Broadcast"
    places = [
        Store("k", r), Append("k", r), Put("k", "f", r), Add("k", r), Remove("k", [r]),
        Join("t", {"n": r}),
    ]  # fmt: skip
    return [([N, place], words) for place in places]


def carrying(value: Any) -> list[Effect]:
    """Every place where an effect has data."""
    return [
        Reply("r", value), Broadcast("t", "e", value), Store("k", value), Put("k", "f", value),
        Append("k", value), Add("k", value), Remove("k", value), Join("t", value),
    ]  # fmt: skip


# --- what is wrong, and the words for it

NO_EFFECT: Final = (
    "handler handler of 'test' returned{}. A handler returns None, an effect or an iterable of"
    " effects, which are Reply, Broadcast, Close, Join, Leave, Store, Delete, Increment, Append,"
    " Put, Drop, Add, Remove"
)
CODES: Final[Any] = (999, 1001, 1007, 1009, 3999, 5000, 1000.0, 4000.5, True, None, HUGE)
REASONS: Final[Any] = ("x" * 124, "é" * 62, HALF, None, b"bye")
AMOUNTS: Final[Any] = (2**53, -(2**53), 1.0, True, "1", HUGE)
LIMITS: Final[Any] = (0, -1, 100_001, 5.0, True, HUGE)

CODE: Final = "Close takes code 1000, 1008 or 4000 to 4999, not "
REASON: Final = "a Close's reason is text of at most 123 bytes"
AMOUNT: Final = "Increment takes an int below 2^53, not "
LIMIT: Final = "Append takes a limit of 1 to 100000, not "
MANY: Final = "an event may have at most 256 effects"
IMPLIED: Final = "topic {!r}: connections are in it by themselves"
TWICE: Final = "topic 't' is joined or left twice in one event"
ENDED: Final = "on_disconnect cannot Reply, Close, Join or Leave: the session is over"
LARGE: Final = "the data of one event's effects is over 1048576 bytes"
JSON: Final = "this data cannot be written as JSON: "
NO_JSON: Final[tuple[tuple[Any, str], ...]] = (
    (math.nan, "nan is no JSON number"),
    ([{"a": -math.inf}], "-inf is no JSON number"),
    (2**64, JSON + "an integer is beyond 64 bits"),
    (-(2**63) - 1, JSON + "an integer is beyond 64 bits"),
    (HALF, JSON + "a text holds a lone surrogate"),
    ({HALF: 1}, JSON + "a text holds a lone surrogate"),
    ({(1, 2): 1}, JSON + "a key is no string or number"),
    (2j, JSON + "no hook in trio_wss.converter for a complex"),
    (deep(64), "this data is nested deeper than 63"),
)
GOOD_JSON: Final[Any] = (
    None, 1.5, 2**64 - 1, -(2**63), "💚", {1: 2}, [], deep(63), b"\xff", {1, 2},
)  # fmt: skip
LONG_USED: Final = Append("log", "x" * 100)
EVERYONE: Final = ("all", "session:", "session:s1", "user:", "user:ann")

RESULTS: Final[list[tuple[Any, str]]] = [
    (Reply("ok", N.result), unreturned(N)),
    ([Increment("n", 2), Broadcast("t", "e", [N.result])], unreturned(N)),
    ([N, M, Reply("ok", [M.result, Drop("k", "f").result])], unreturned(Drop("k", "f"))),
    (Reply("ok", LONG_USED.result), unreturned(LONG_USED)),
    ([N, N, Reply("ok", N.result)], equal(N)),
    ([LONG_USED, N, LONG_USED, Broadcast("t", "e", LONG_USED.result)], equal(LONG_USED)),
    *misplaced(),
]  # fmt: skip

TABLE: Final = [
    Row(
        "no effect",
        [
            ("text", NO_EFFECT.format(" a str: 'text'")),
            (HUGE, NO_EFFECT.format(f" a int: {shown(HUGE)}")),
            ([N, None], NO_EFFECT.format(", among others, a NoneType: None")),
        ],
        [None, [], N, [N], (N,), {N.key: N}.values()],
    ),
    Row(
        "effects",
        [([N] * 257, MANY), (dict.fromkeys(Leave(f"t{n}") for n in range(400)).keys(), MANY)],
        [[N] * 256, dict.fromkeys(Leave(f"t{n}") for n in range(256)).keys()],
    ),
    Row("Reply", [([Reply("a"), Reply("b")], "an event has at most one Reply")], [Reply("a")]),
    Row(
        "Close",
        [
            ([Close(), Close()], "an event has at most one Close"),
            *((Close(code), CODE + shown(code)) for code in CODES),
            *((Close(1000, reason), REASON) for reason in REASONS),
        ],
        [
            *map(Close, (1000, 1008, 4000, 4999)),
            *(Close(1000, reason) for reason in ("", "x" * 123, "é" * 61 + "x")),
        ],
    ),
    Row(
        "kinds",
        mixed_kinds(),
        [
            *([*ones("k"), *ones("k")] for ones in KINDS.values()),
            [one for n, ones in enumerate(KINDS.values()) for one in ones(f"k{n}")],
        ],
    ),
    Row("Delete", beside_delete(), [[Delete("k"), Delete("k2"), Store("k3", 1)]]),
    Row(
        "names",
        wrong_names(),
        [one for name in RIGHT for effects in named(name).values() for one in effects],
    ),
    Row(
        "reserved names",
        reserved_names(),
        [
            *(one for kind in ("key", "field") for one in named("wss.x")[kind]),
            *(one for name in ("wss", "wss:") for ones in named(name).values() for one in ones),
        ],
    ),
    Row(
        "topics that all are in",
        [(effect(topic), IMPLIED.format(topic)) for topic in EVERYONE for effect in (Join, Leave)],
        [
            *(effect(f"x{topic}") for topic in EVERYONE for effect in (Join, Leave)),
            *(Join(topic) for topic in ("all:", "session", "user")),
            *(Broadcast(topic, "e") for topic in EVERYONE),
        ],
    ),
    Row(
        "a topic twice",
        [([one("t"), other("t")], TWICE) for one in (Join, Leave) for other in (Join, Leave)],
        [[Join("t"), Leave("t2")], [Broadcast("t", "e"), Broadcast("t", "e"), Join("t")]],
    ),
    Row(
        "Increment",
        [(Increment("k", by), AMOUNT + shown(by)) for by in AMOUNTS],
        [Increment("k", by) for by in (2**53 - 1, 1 - 2**53, 0)],
    ),
    Row(
        "Append",
        [(Append("k", 1, limit), LIMIT + shown(limit)) for limit in LIMITS],
        [Append("k", 1, limit) for limit in (1, 2, 100_000)],
    ),
    Row(
        "ttl",
        wrong_ttls(),
        [one for ttl in (None, 0.001, 1, TEN_YEARS, float(TEN_YEARS)) for one in living(ttl)],
    ),
    Row(
        "results",
        RESULTS,
        [
            [N, N],
            [Increment("n", 2), N, Reply("ok", N.result)],
            [Reply("ok", [N.result, N.result]), Broadcast("t", "e", {"n": N.result}), N],
        ],
    ),
    Row(
        "JSON",
        [(effect, words) for value, words in NO_JSON for effect in carrying(value)],
        [Store("k", value) for value in GOOD_JSON],
    ),
    Row(
        "on_disconnect",
        [(effect, ENDED) for effect in (Reply("r"), Close(), Join("t"), Leave("t"))],
        [[Broadcast("t", "e", N.result), N], *on_state("k"), Delete("k"), None],
        phase="disconnect",
    ),
    Row("on_connect", [], [Reply("r"), Close(), Join("t"), Leave("t")], phase="connect"),
    Row("data", [(effects, LARGE) for effects in filled(1)], filled(0)),
]
