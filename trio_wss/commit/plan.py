"""The plan: one event's effects, checked and encoded, ready to be one commit.

The plan refuses everything that can be refused without Redis, so that the commit script need not
look for it. It is pure: the same effects give the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, assert_never

from attrs import define

from trio_wss.commit import ops
from trio_wss.commit.ops import Op
from trio_wss.data.json import canonical, encode
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
    same,
)
from trio_wss.errors import PlanError, shown
from trio_wss.reads import is_implied

if TYPE_CHECKING:
    from trio_wss.reads import Client

MAX_EFFECTS: Final = 256
MAX_DATA: Final = 1024 * 1024
MAX_NAME: Final = 256  # bytes of a key, a field or a topic
MAX_ITEMS: Final = 100_000  # of a list
MAX_REASON: Final = 123  # bytes: what a Close frame has room for, RFC 6455 §5.5
MAX_TTL: Final = 10 * 365 * 86400.0  # seconds
RESERVED: Final = "wss."
EXACT: Final = (
    2**53
)  # counters stay below it: a number beyond is not exact in a script or a browser

Phase = Literal["connect", "event", "disconnect"]

StateEffect = Increment | Store | Put | Add | Append | Delete | Drop | Remove


@define(eq=False)  # not frozen: one is made per event, and a frozen __init__ costs three times it
class PlannedReply:
    """A Reply in a plan: its event, and its data as JSON with the placeholders still in it."""

    event: str
    data: bytes


@define(eq=False)
class Plan:
    """One event's effects as operations, in commit order: state, membership, broadcasts."""

    ops: Sequence[Op] = ()
    reply: PlannedReply | None = None
    close: Close | None = None
    joins: tuple[str, ...] = ()
    frees: bool = True  # nothing in it makes Redis larger: a full one takes it too


EMPTY_PLAN: Final = Plan()


def plan(
    effects: Iterable[Effect],
    client: Client,
    history: Callable[[str], tuple[int, float]],
    phase: Phase = "event",
) -> Plan:
    """Check one event's effects and encode them.

    `history` returns how many broadcasts a topic keeps and for how many seconds. Raises PlanError
    for effects that may not stand together or whose data cannot be sent.
    """
    draft = _Draft(client, history)
    for count, effect in enumerate(effects, 1):
        if count > MAX_EFFECTS:
            raise PlanError(f"an event may have at most {MAX_EFFECTS} effects")
        draft.add(effect)
    return draft.finish(phase)


class _Draft:
    """A plan in the making."""

    __slots__ = (
        "broadcasts", "client", "close", "frees", "history", "joins", "keys",
        "membership", "ops", "reply", "results", "size", "topics", "written",
    )  # fmt: skip

    def __init__(self, client: Client, history: Callable[[str], tuple[int, float]]) -> None:
        self.client = client
        self.history = history
        self.written: list[Effect] = []  # on state, and their operations
        self.ops: list[Op] = []
        self.membership: list[Op] = []
        self.broadcasts: list[Op] = []
        self.joins: tuple[str, ...] = ()
        self.reply: PlannedReply | None = None
        self.close: Close | None = None
        self.results: list[Effect] = []  # effects whose outcome is used, by placeholder number
        self.keys: dict[str, str] = {}  # what each key is used as
        self.topics: set[str] = set()  # joined or left
        self.frees = True
        self.size = 0

    def add(self, effect: Effect) -> None:
        """Take one effect in: this and `add_state` tell the kinds of effects apart."""
        match effect:
            case Reply():
                if self.reply is not None:
                    raise PlanError("an event has at most one Reply")
                data = self.encode(effect.data, self.results)
                self.reply = PlannedReply(check_event(effect.event), data)
            case Broadcast():
                self.broadcast(effect)
            case Join(topic):
                self.member(topic)
                self.join(effect)
            case Leave(topic):
                self.member(topic)
                self.membership.append(ops.leave_topic(topic, self.client.session, encode(topic)))
            case Close():
                self.set_close(effect)
            case _:
                self.add_state(effect)

    def add_state(self, effect: StateEffect) -> None:
        """Take in an effect on state."""
        match effect:
            case Increment(key, by):
                if type(by) is not int or not -EXACT < by < EXACT:
                    raise PlanError(f"Increment takes an int below 2^53, not {shown(by)}")
                self.write(effect, key, "a counter", ops.increment(key, by, _ttl(effect.ttl)))
            case Store(key, value):
                value = self.encode(value)
                self.write(effect, key, "a value", ops.store(key, value, _ttl(effect.ttl)))
            case Put(key, field, value):
                field, value = check_name("field", field), self.encode(value)
                made = ops.put(key, "m", field, value, _ttl(effect.ttl))
                self.write(effect, key, "a map", made)
            case Add(key, member):
                member = canonical(self.encode(member))
                made = ops.put(key, "s", member, "", _ttl(effect.ttl))
                self.write(effect, key, "a set", made)
            case Append(key, value, limit):
                if type(limit) is not int or not 0 < limit <= MAX_ITEMS:
                    raise PlanError(f"Append takes a limit of 1 to {MAX_ITEMS}, not {shown(limit)}")
                value = self.encode(value)
                made = ops.append(key, value, limit, _ttl(effect.ttl))
                self.write(effect, key, "a list", made)
            case Delete(key):
                self.write(effect, key, "deleted", ops.delete(key))
            case Drop(key, field):
                made = ops.remove(key, "m", check_name("field", field))
                self.write(effect, key, "a map", made)
            case Remove(key, member):
                made = ops.remove(key, "s", canonical(self.encode(member)))
                self.write(effect, key, "a set", made)
            case _:
                assert_never(effect)

    def write(self, effect: Effect, key: str, kind: str, op: Op) -> None:
        """Note the operation of an effect on state; `kind` is what its key is used as."""
        before = self.keys.setdefault(check_name("key", key), kind)
        if before is not kind:
            raise PlanError(f"key {key!r} cannot be {before} and {kind} in one event")
        letter, _, _ = op
        if letter == ops.DELETE:
            self.keys[key] = "deleted already"  # a Delete stands alone on its key
        elif letter != ops.REMOVE:
            self.frees = False
        self.written.append(effect)
        self.ops.append(op)

    def member(self, topic: str) -> None:
        """Refuse a topic that cannot be joined or left, or that is joined or left twice."""
        check_name("topic", topic)
        if is_implied(topic):
            raise PlanError(f"topic {topic!r}: connections are in it by themselves")
        if topic.startswith(RESERVED):
            raise PlanError(f"topic {topic!r}: names that begin with {RESERVED!r} are reserved")
        if topic in self.topics:
            raise PlanError(f"topic {topic!r} is joined or left twice in one event")
        self.topics.add(topic)

    def encode(self, value: object, results: list[Effect] | None = None) -> bytes:
        data = encode(value, results)
        self.size += len(data)
        if self.size > MAX_DATA:
            raise PlanError(f"the data of one event's effects is over {MAX_DATA} bytes")
        return data

    def broadcast(self, effect: Broadcast) -> None:
        topic = check_name("topic", effect.topic)
        self.frees = False
        if type(effect.event) is not str:  # what is equal to text would be found in the cache
            check_name("event", effect.event)
        head = broadcast_head(topic, effect.event)
        data = self.encode(effect.data, self.results)
        length, ttl = (0, 0.0) if effect.volatile else self.history(topic)
        if length == 0:
            self.broadcasts.append(ops.volatile_broadcast(topic, head, data))
        else:
            self.broadcasts.append(ops.keep_broadcast(topic, head, data, length, _ttl(ttl)))

    def join(self, effect: Join) -> None:
        topic, client = effect.topic, self.client
        self.frees = False
        self.joins += (topic,)
        member = {"session": client.session, "user": client.user, "info": effect.info}
        text = self.encode(member)
        self.membership.append(ops.join_topic(topic, client.session, text, encode(topic)))

    def set_close(self, effect: Close) -> None:
        if self.close is not None:
            raise PlanError("an event has at most one Close")
        code = effect.code
        if type(code) is not int or (code not in (1000, 1008) and not 4000 <= code <= 4999):
            raise PlanError(f"Close takes code 1000, 1008 or 4000 to 4999, not {shown(code)}")
        if not _is_text(effect.reason, MAX_REASON):
            raise PlanError(f"a Close's reason is text of at most {MAX_REASON} bytes")
        self.close = effect

    def place_results(self) -> None:
        """Number the effects whose results are used, as their placeholders are numbered."""
        for number, used in enumerate(self.results):
            pairs = zip(self.written, self.ops, strict=True)
            places = [op for effect, op in pairs if same(effect, used)]
            if not places:
                raise PlanError(f"the result of {shown(used)} is used, but it is not returned")
            if len(places) > 1:
                raise PlanError(
                    f"the result of {shown(used)} is used, and there are two equal ones"
                )
            places[0][2][-1] = str(number)

    def finish(self, phase: Phase) -> Plan:
        if self.results:
            self.place_results()
        if phase == "disconnect" and (self.reply or self.close or self.membership):
            raise PlanError("on_disconnect cannot Reply, Close, Join or Leave: the session is over")
        made = self.ops + self.membership + self.broadcasts
        return Plan(made, self.reply, self.close, self.joins, self.frees)


def check_name(what: str, name: str) -> str:
    """Return the name of a key, field or topic, which is text of 1 to 256 bytes, or raise
    PlanError."""
    if not (_is_text(name, MAX_NAME) and name):
        raise PlanError(f"the {what} must be text of 1 to {MAX_NAME} bytes, not {shown(name)}")
    return name


def _is_text(value: object, most: int) -> bool:
    """Whether a value is text of at most so many bytes."""
    if type(value) is not str or len(value) > most:
        return False
    if value.isascii():
        return True
    try:
        return len(value.encode()) <= most
    except UnicodeEncodeError:  # a lone surrogate, which has no place in UTF-8
        return False


def check_event(name: str) -> str:
    """Return the name of an event to send, or raise PlanError."""
    check_name("event", name)
    if name.startswith(RESERVED):
        raise PlanError(f"event {name!r}: names that begin with {RESERVED!r} are reserved")
    return name


@lru_cache(4096)
def broadcast_head(topic: str, event: str) -> bytes:
    """The beginning of the JSON of such broadcasts. Raises PlanError for names that may not be
    sent."""
    if topic.startswith(RESERVED):
        raise PlanError(f"topic {topic!r}: names that begin with {RESERVED!r} are reserved")
    return b'{"event":%b,"topic":%b' % (encode(check_event(event)), encode(topic))


def _ttl(seconds: float | None) -> str:
    """A time to live as milliseconds, or '' for none."""
    if seconds is None:
        return ""
    if type(seconds) not in (int, float) or not 0.001 <= seconds <= MAX_TTL:
        raise PlanError(
            f"a ttl is a number of seconds from 0.001 to ten years, not {shown(seconds)}"
        )
    return str(int(seconds * 1000))
