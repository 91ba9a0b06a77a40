"""A handler's parameters: each asks for the event, the client, a read, the time or randomness.
A parameter whose annotation does not say which is refused here, with the cure in the message."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from attrs import frozen

from trio_wss.data.annotations import AT_RUN_TIME, resolve_local
from trio_wss.errors import RegistrationError
from trio_wss.handling.template import name_of
from trio_wss.reads import Client, Members, Now, Read, Rng

NO_DEFAULT: Final = inspect.Parameter.empty

Role = Literal["event", "client", "now", "rng", "read", "members"]


@frozen
class Parameter:
    """One parameter: its role, its type, and its default if it has one."""

    name: str
    role: Role
    type: Any
    marker: Any
    default: Any
    keyword_only: bool


def titled(function: Callable[..., Any], name: str) -> str:
    """The handler `name` as messages call it."""
    return f"handler {getattr(function, '__qualname__', function)!s} of {name!r}"


def parameters_of(
    function: Callable[..., Any],
    name: str,
    takes_event: bool,
    localns: Mapping[str, Any] | None,
) -> tuple[Parameter, ...]:
    """The parameters of the handler `name`. Strings among the annotations are looked up in the
    function's module and in `localns`. Raises `RegistrationError`."""
    where = titled(function, name)
    if _is_async(function) or _is_async(type(function).__call__):
        raise RegistrationError(
            f"{where} is async, but a handler is pure: it returns effects and waits for nothing. "
            'Make it a plain function; what it must know it declares with Annotated[T, Read("…")]'
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"{where} is not a function: {error}") from error
    # A caller's names count only for a handler that is written inside a function.
    local = localns if "<locals>" in getattr(function, "__qualname__", "") else None
    found: list[Parameter] = []
    for given in signature.parameters.values():
        place = f"{where}, parameter {given.name!r}"
        if given.kind in (given.VAR_POSITIONAL, given.VAR_KEYWORD):
            raise RegistrationError(f"{place}: name each parameter, * and ** take nothing")
        if given.annotation is NO_DEFAULT:
            raise RegistrationError(
                f"{place} needs an annotation: the event's class, Client, or "
                'Annotated[T, Read("key")]'
            )
        type_ = _resolved(given.annotation, function, local, place)
        parameter = _parameter(given, type_, place)
        if parameter.role == "event":
            _check_event(found, parameter, takes_event, place)
        found.append(parameter)
    return tuple(found)


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _resolved(
    annotation: Any, function: Callable[..., Any], localns: Mapping[str, Any] | None, place: str
) -> Any:
    holder = SimpleNamespace(__annotations__={"it": annotation})
    globalns = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        type_ = get_type_hints(holder, globalns, dict(localns or {}), include_extras=True)["it"]
        resolve_local(type_, localns)
        return type_
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise RegistrationError(
            f"{place}: the annotation {annotation!r} cannot be resolved ({error}). {AT_RUN_TIME}"
        ) from error


def _parameter(given: inspect.Parameter, annotated: Any, place: str) -> Parameter:
    """The parameter that an annotation describes."""
    type_, *extras = get_args(annotated) if get_origin(annotated) is Annotated else (annotated,)
    markers = [extra for extra in extras if _is_marker(extra)]
    if len(markers) > 1:
        raise RegistrationError(f"{place}: {markers[0]!r} and {markers[1]!r} cannot both be given")
    marker = markers[0] if markers else None
    role: Role = "event"
    match marker:
        case Read():
            role = "read"
        case Members():
            role = "members"
        case _ if marker is Now:
            role = "now"
            if type_ not in (datetime, float):
                raise RegistrationError(f"{place}: Now is a datetime or a float")
        case _ if marker is Rng:
            role = "rng"
            if type_ is not Random:
                raise RegistrationError(f"{place}: Rng is a random.Random")
        case _ if type_ is Client:
            role = "client"
        case _:
            _check_plain(type_, extras, place)
    keyword_only = given.kind is given.KEYWORD_ONLY
    return Parameter(given.name, role, type_, marker, given.default, keyword_only)


def _is_marker(extra: Any) -> bool:
    return isinstance(extra, Read | Members) or extra is Now or extra is Rng


def _check_plain(type_: Any, extras: list[Any], place: str) -> None:
    """Refuse an annotation that was not meant for the event."""
    if Read in extras or Members in extras:
        raise RegistrationError(f'{place}: write Read("key") or Members("topic"), with its key')
    if _is_marker(type_) or type_ in (Read, Members):
        raise RegistrationError(f"{place}: write Annotated[T, {type_!r}], T being what it gives")
    if get_origin(type_) not in (Union, UnionType):
        return
    for member in get_args(type_):
        if member is Client:
            raise RegistrationError(f"{place}: write Client alone, there always is one")
        inner, *extras = get_args(member) if get_origin(member) is Annotated else (member,)
        for marker in filter(_is_marker, extras):
            raise RegistrationError(
                f"{place}: the None belongs inside: Annotated[{name_of(inner)} | None, {marker!r}]"
            )


def _check_event(
    found: list[Parameter], parameter: Parameter, takes_event: bool, place: str
) -> None:
    if not takes_event:
        raise RegistrationError(
            f"{place}: there is no event here. It takes a Client, and what is Annotated with "
            "Read, Members, Now or Rng"
        )
    before = next((other for other in found if other.role == "event"), None)
    if before is not None:
        raise RegistrationError(
            f"{place}: {before.name!r} is the event already. What is stored is declared as "
            f'Annotated[{name_of(parameter.type)}, Read("key")]'
        )
    if parameter.default is not NO_DEFAULT:
        raise RegistrationError(f"{place}: the event has no default, give its fields defaults")
