"""Effects: what a handler wants done, as plain frozen data compared by value. Nothing here does
or checks anything; the set is closed, the plan checks it and the executor alone applies it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn, TypeAlias, final

from attrs import field as attr
from attrs import frozen


@final
class Result:
    """Stands for the outcome of `effect` in the data of the same commit's replies and broadcasts.

    The outcome is known only when the commit is made, so a placeholder can be compared with
    another placeholder and nothing else: every operator, `str`, `format`, `bool` raises TypeError.
    """

    __slots__ = ("effect",)

    def __init__(self, effect: Effect) -> None:
        self.effect = effect

    def __repr__(self) -> str:
        return f"{self.effect!r}.result"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Result):
            return same(self.effect, other.effect)
        return self._refuse()

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} is known only after the commit: it can stand as a value in the data of a "
            "Reply or Broadcast, and be compared with another .result, but nothing else"
        )

    __str__ = __format__ = __bool__ = __hash__ = __call__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __len__ = __iter__ = __next__ = __reversed__ = __contains__ = _refuse
    __getitem__ = __setitem__ = __delitem__ = _refuse
    __int__ = __float__ = __complex__ = __index__ = __bytes__ = __round__ = _refuse
    __trunc__ = __floor__ = __ceil__ = __neg__ = __pos__ = __abs__ = __invert__ = _refuse
    __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = _refuse
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = _refuse
    __matmul__ = __rmatmul__ = __divmod__ = __rdivmod__ = _refuse
    __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = _refuse
    __rand__ = __ror__ = __rxor__ = __rlshift__ = __rrshift__ = _refuse


class _WithResult:
    __slots__ = ()

    @property
    def result(self: Any) -> Any:
        """Stands for this effect's outcome. The effect itself must be returned too."""
        return Result(self)


@final
@frozen
class Reply:
    """Answer the client that sent the event; at most one per event, none in `on_disconnect`."""

    event: str
    data: Any = None


@final
@frozen
class Broadcast:
    """Send to every member of `topic`, on every node, in one order.

    `volatile`: without an offset and without history, so a client that misses it never gets it.
    """

    topic: str
    event: str
    data: Any = None
    volatile: bool = attr(default=False, kw_only=True)


@final
@frozen
class Close:
    """Close this connection, behind what was sent before, with a code of RFC 6455 §7.4."""

    code: int = 1000
    reason: str = ""


@final
@frozen
class Join:
    """Make this session a member of `topic`. `info` is what `Members` shows of it."""

    topic: str
    info: Any = None


@final
@frozen
class Leave:
    """End this session's membership of `topic`."""

    topic: str


@final
@frozen
class Store:
    """Set `key` to `value`. With `ttl` (seconds) it expires, without it the key is permanent."""

    key: str
    value: Any
    ttl: float | None = attr(default=None, kw_only=True)


@final
@frozen
class Delete:
    """Remove `key`, whatever it holds."""

    key: str


@final
@frozen
class Increment(_WithResult):
    """Add `by` to the counter `key`. `.result` is the new value.

    `ttl` (seconds) counts from the counter's creation: a rate window.
    """

    key: str
    by: int = 1
    ttl: float | None = attr(default=None, kw_only=True)


@final
@frozen
class Append(_WithResult):
    """Append to the list `key` and keep its last `limit` items. `.result` is the length after.

    `ttl` (seconds) starts the key's time anew; None leaves it alone.
    """

    key: str
    value: Any
    limit: int = 1000
    ttl: float | None = attr(default=None, kw_only=True)


@final
@frozen
class Put(_WithResult):
    """Set one field of the map `key`. `.result` is 1 if the field is new, else 0.

    `ttl` (seconds) starts the key's time anew; None leaves it alone.
    """

    key: str
    field: str
    value: Any
    ttl: float | None = attr(default=None, kw_only=True)


@final
@frozen
class Drop(_WithResult):
    """Remove one field of the map `key`. `.result` is 1 if it was there, else 0."""

    key: str
    field: str


@final
@frozen
class Add(_WithResult):
    """Add to the set `key`. `.result` is 1 if the member is new, else 0.

    `ttl` (seconds) starts the key's time anew; None leaves it alone.
    """

    key: str
    member: Any
    ttl: float | None = attr(default=None, kw_only=True)


@final
@frozen
class Remove(_WithResult):
    """Remove from the set `key`. `.result` is 1 if the member was there, else 0."""

    key: str
    member: Any


Effect: TypeAlias = (
    Reply
    | Broadcast
    | Close
    | Join
    | Leave
    | Store
    | Delete
    | Increment
    | Append
    | Put
    | Drop
    | Add
    | Remove
)
"""Any effect. Closed: an interpreter is one `match` that ends in `assert_never`."""

EFFECTS: Final[tuple[type, ...]] = (
    Reply,
    Broadcast,
    Close,
    Join,
    Leave,
    Store,
    Delete,
    Increment,
    Append,
    Put,
    Drop,
    Add,
    Remove,
)

Effects: TypeAlias = Effect | Iterable[Effect] | None
"""What a handler returns: an effect, an iterable of them, or None. A generator is annotated
`Iterator[Effect]`, which is one of these."""


def same(one: Effect, other: Effect) -> bool:
    """Whether two effects are equal; one that holds a placeholder where the other holds plain
    data is not (their own `==` would raise there)."""
    if one is other:
        return True
    try:
        return one == other
    except TypeError:
        return False


def position(effect: Effect, effects: Sequence[Effect]) -> int:
    """The index of the first effect in `effects` that is the same, or -1."""
    for index, other in enumerate(effects):
        if same(effect, other):
            return index
    return -1
