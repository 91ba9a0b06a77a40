"""Stored data as a test writes it: any plain value is a stored value, and the three collections,
which Redis tells from values, have a type each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from trio_wss.commit.plan import check_name
from trio_wss.data.json import decode, encode
from trio_wss.testing.memory import Cell


class List(list[Any]):
    """A list that `Append` makes; a plain list is a value that is stored whole."""


class Map(dict[str, Any]):
    """A map of `Put` and `Drop`; a plain dict is a value that is stored whole."""


class Set(Collection[Any]):
    """A set of `Add` and `Remove`. Members are JSON, so they need no hash; they have no order.

    A Python set stands for one too.
    """

    def __init__(self, members: Iterable[Any] = ()) -> None:
        self._members = {encode(member): None for member in members}

    def __contains__(self, member: object) -> bool:
        return encode(member) in self._members

    def __iter__(self) -> Iterator[Any]:
        return map(decode, self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, set | frozenset):
            other = Set(other)
        return self._members == other._members if isinstance(other, Set) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of any set that changes

    def __repr__(self) -> str:
        return f"Set({list(self)!r})"


def cells_of(state: Mapping[str, Any]) -> dict[str, Cell]:
    """A test's state as Redis would hold it, where an empty collection does not exist."""
    cells = {check_name("key", key): _cell(value) for key, value in state.items()}
    return {key: cell for key, cell in cells.items() if cell.content}


def state_of(cells: Mapping[str, Cell]) -> dict[str, Any]:
    """The state of such cells, as plain data: `cells_of` the other way round."""
    return {key: _plain(cell) for key, cell in cells.items()}


def _cell(value: Any) -> Cell:
    if isinstance(value, List):
        return Cell("list", [encode(item) for item in value])
    if isinstance(value, Map):
        fields = {check_name("field", key).encode(): encode(item) for key, item in value.items()}
        return Cell("map", fields)
    if isinstance(value, Set | set | frozenset):
        return Cell("set", {encode(member): b"" for member in value})
    return Cell("value", encode(value))


def _plain(cell: Cell) -> Any:
    match cell.kind:
        case "value":
            return decode(cell.content)
        case "list":
            return List(map(decode, cell.content))
        case "map":
            return Map({key.decode(): decode(raw) for key, raw in cell.content.items()})
        case "set":
            return Set(map(decode, cell.content))
