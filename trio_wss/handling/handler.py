"""A handler compiled: its signature and templates are checked once, at registration, so that an
event costs a few calls. Running one is pure: an event and raw values in, effects out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from random import Random
from typing import Any, Final, final

from trio_wss.data.converter import WRONG_DATA, nothing_of
from trio_wss.data.json import decode, explained, structurer
from trio_wss.data.scalars import Hook
from trio_wss.effects import EFFECTS, Effect, Result
from trio_wss.errors import Invalid, PlanError, Refused, RegistrationError, shown
from trio_wss.handling.signature import NO_DEFAULT, Parameter, parameters_of, titled
from trio_wss.handling.template import Template, compile_template, name_of, takes_none
from trio_wss.reads import Client, ReadRequest, is_implied

MOST_DRAINED: Final = 257
"""One more than the most effects of an event, so that an endless generator is not drained for
ever."""

_EFFECTS: Final = frozenset(EFFECTS)
_ALLOWED: Final = ", ".join(kind.__name__ for kind in EFFECTS)

Given = Callable[[Sequence[bytes | None], float, int], Any]
"""A function that makes one argument of a run's values, time and seed."""
MakeRequest = Callable[[Any, Client], ReadRequest]


@final
class Handler:
    """One handler. The node calls `bind`, `requests` and `run`, in this order."""

    __slots__ = (
        "_call",
        "_given",
        "_hook",
        "_pick",
        "_requests",
        "event_type",
        "function",
        "name",
        "reads",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        takes_event: bool = True,
        localns: Mapping[str, Any] | None = None,
    ) -> None:
        """Compile `function`. `localns` helps to resolve annotations that are strings.

        Raises `RegistrationError` for a signature, type or template that can never work.
        """
        self.function = function
        self.name = name
        self._hook: Hook | None = None
        self.event_type: Any = None  # None: it takes no event
        self._given: list[Given] = []
        self._requests: list[MakeRequest] = []
        self._compile(parameters_of(function, name, takes_event, localns))
        self.reads = bool(self._requests)

    def __str__(self) -> str:
        return titled(self.function, self.name)

    def __repr__(self) -> str:
        return f"<{self}>"

    def _compile(self, parameters: tuple[Parameter, ...]) -> None:
        roots = {p.role: p.type for p in parameters if p.role == "event"} | {"client": Client}
        places = []  # of each parameter in (event, client, *given)
        for parameter in parameters:
            try:
                places.append(self._place(parameter, roots))
            except RegistrationError as error:
                raise RegistrationError(f"{self}, parameter {parameter.name!r}: {error}") from error
        self._pick = _picker(places)
        self._call = _caller(self.function, parameters)

    def _place(self, parameter: Parameter, roots: Mapping[str, Any]) -> int:
        role = parameter.role
        if role == "client":
            return 1
        if role == "event":
            self.event_type, self._hook = parameter.type, structurer(parameter.type)
            return 0
        if role == "now":
            self._given.append(_timestamp if parameter.type is float else _moment)
        elif role == "rng":
            self._given.append(_randomness)
        else:
            request, text = _request(parameter, roots)
            self._given.append(_reader(parameter, len(self._requests), text))
            self._requests.append(request)
        return 1 + len(self._given)

    def bind(self, data: Any) -> Any:
        """The event of a message's data, or None if the handler takes none. Raises `Invalid`."""
        hook = self._hook
        if hook is None:
            return None
        try:
            return hook(data, self.event_type)
        except WRONG_DATA as error:
            raise explained(error, "data") from error

    def requests(self, event: Any, client: Client) -> tuple[ReadRequest, ...]:
        """The reads of this event. Raises `Invalid` if the event makes no key."""
        return tuple([request(event, client) for request in self._requests])

    def run(
        self, event: Any, client: Client, values: Sequence[bytes | None], now: float, seed: int
    ) -> list[Effect]:
        """Call the handler and take all effects that it returns.

        `values` is the raw JSON of each request, None for an absent value; `now` is in seconds
        since 1970. Exceptions of the handler go through. Raises `PlanError` if it returns anything
        but effects or if a stored value has another shape, `Refused` if a value that it needs is
        absent.
        """
        arguments: tuple[Any, ...] = (event, client)
        if self._given:
            arguments += tuple([give(values, now, seed) for give in self._given])
        outcome = self._call(*self._pick(arguments))
        if outcome is None:
            return []
        if type(outcome) in _EFFECTS:
            return [outcome]
        effects = outcome if type(outcome) is list else self._drained(outcome)
        if not _EFFECTS.issuperset(map(type, effects)):
            wrong = next(effect for effect in effects if type(effect) not in _EFFECTS)
            raise self._not_allowed("returned, among others,", wrong)
        return effects

    def _drained(self, outcome: Any) -> list[Any]:
        if not isinstance(outcome, Iterable) or isinstance(outcome, str | bytes | Mapping | Result):
            if inspect.iscoroutine(outcome):
                outcome.close()  # or Python warns that it was never awaited
            raise self._not_allowed("returned", outcome)
        return list(islice(outcome, MOST_DRAINED))

    def _not_allowed(self, verb: str, value: Any) -> PlanError:
        name = type(value).__name__
        return PlanError(
            f"{self} {verb} a {name}: {shown(value)}. A handler returns None, an effect or an "
            f"iterable of effects, which are {_ALLOWED}"
        )


def _picker(places: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A function that takes a handler's arguments out of (event, client, *given)."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda arguments: tuple([arguments[place] for place in places])


def _caller(function: Callable[..., Any], parameters: tuple[Parameter, ...]) -> Callable[..., Any]:
    names = [parameter.name for parameter in parameters if parameter.keyword_only]
    if not names:
        return function
    first = len(parameters) - len(names)  # Python has the keyword-only ones last

    def call(*arguments: Any) -> Any:
        return function(*arguments[:first], **dict(zip(names, arguments[first:], strict=True)))

    return call


def _timestamp(_: Sequence[bytes | None], now: float, __: int) -> float:
    return now


def _moment(_: Sequence[bytes | None], now: float, __: int) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def _randomness(_: Sequence[bytes | None], __: float, seed: int) -> Random:
    return Random(seed)


def _reader(parameter: Parameter, index: int, text: str) -> Given:
    """A function that structures the value of one read, or gives its default."""
    type_, hook = parameter.type, structurer(parameter.type)
    absent = _absent(parameter)

    def read(values: Sequence[bytes | None], _: float, __: int) -> Any:
        raw = values[index]
        if raw is None:
            return absent()
        try:
            return hook(decode(raw), type_)
        except (Invalid, *WRONG_DATA) as error:
            fault = error if isinstance(error, Invalid) else explained(error, "")
            raise PlanError(f"what {text!r} holds is no {name_of(type_)}: {fault}") from error

    return read


def _absent(parameter: Parameter) -> Callable[[], Any]:
    """The value of a read when nothing is stored; see `Read`. A client never learns the key."""
    type_ = parameter.type
    if parameter.default is not NO_DEFAULT:
        return lambda: parameter.default
    if parameter.role == "read" and takes_none(type_):
        return lambda: None
    nothing = [] if parameter.role == "members" else nothing_of(type_)
    if nothing is not None:
        hook = structurer(type_)
        return lambda: hook(nothing, type_)

    def refuse() -> Any:
        raise Refused("absent", "There is nothing of that name.")

    return refuse


def _request(parameter: Parameter, roots: Mapping[str, Any]) -> tuple[MakeRequest, str]:
    """A function that makes a read's request of the event and the client, and the template for
    messages."""
    marker = parameter.marker
    if parameter.role == "members":
        return _members_request(compile_template(marker.topic, roots)), marker.topic
    key = compile_template(marker.key, roots)
    if marker.field is None:
        if key.fixed:
            request = ReadRequest("value", key.fill(None, None))
            return (lambda event, client: request), marker.key
        fill = key.fill
        return (lambda event, client: ReadRequest("value", fill(event, client))), marker.key
    field = compile_template(marker.field, roots)

    def of_field(event: Any, client: Client) -> ReadRequest:
        return ReadRequest("field", key.fill(event, client), field.fill(event, client))

    return of_field, f"{marker.key}, field {marker.field}"


_NOT_READ: Final = "the members of all, session:… and user:… are not kept, as all are in them"


def _members_request(topic: Template) -> MakeRequest:
    if is_implied(topic.prefix) and (topic.fixed or topic.prefix != "all"):
        raise RegistrationError(f"template {topic.text!r}: {_NOT_READ}")

    def of_members(event: Any, client: Client) -> ReadRequest:
        name = topic.fill(event, client)
        if is_implied(name):
            raise Invalid(f"{topic.path}: {_NOT_READ}", topic.path)
        return ReadRequest("members", name)

    return of_members
