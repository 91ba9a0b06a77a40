"""Effects: a handler's wishes as plain frozen data, compared by value. The set is closed. Nothing
here applies or checks an effect: the plan checks them, and the executor alone applies them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn, TypeAlias, final, get_args

from attrs import field as attr
from attrs import frozen


@final
class Result:
    """Stands for the outcome of `effect` in the data of the same commit's replies and broadcasts.

    The outcome is known only when the commit is made, so a placeholder can be compared with
    another placeholder and nothing else: every operator, `str`, `format`, `bool` raise TypeError.
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
        """A placeholder for this effect's outcome. The handler must return the effect too."""
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

    A `volatile` broadcast has no offset and no history: a client that misses it never gets it.
    """

    topic: str
    event: str
    data: Any = None
    volatile: bool = attr(default=False, kw_only=True)


@final
@frozen
class Close:
    """Close this connection after the frames sent before, with a code of RFC 6455 §7.4."""

    code: int = 1000
    reason: str = ""


@final
@frozen
class Join:
    """Make this session a member of `topic`. `Members` shows its `info`."""

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
    """Set `key` to `value`. With `ttl` (seconds) the key expires, without it the key stays."""

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

    `ttl` (seconds) counts from the counter's creation, which makes a rate window.
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
"""Any effect. The set is closed: an interpreter is one `match` that ends in `assert_never`."""

EFFECTS: Final[tuple[type, ...]] = get_args(Effect)

Effects: TypeAlias = Effect | Iterable[Effect] | None
"""The return type of a handler: an effect, an iterable of effects, or None. A generator is
annotated `Iterator[Effect]`, which is one of these."""


def same(one: Effect, other: Effect) -> bool:
    """Whether two effects are equal. A placeholder never equals plain data here, where `==` of the
    effects would raise."""
    if one is other:
        return True
    try:
        return one == other
    except TypeError:
        return False


def position(effect: Effect, effects: Sequence[Effect]) -> int:
    """The index of the first effect in `effects` that equals this one, or -1."""
    for index, other in enumerate(effects):
        if same(effect, other):
            return index
    return -1
