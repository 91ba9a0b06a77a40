"""Noughts and crosses for a whole room: the first to come makes the next move. Each move names the
turn that it saw, so exactly one of two moves at once wins.
"""

from __future__ import annotations

from typing import Annotated, Final

from attrs import evolve, frozen

from trio_wss import Broadcast, Client, Effects, Read, Refused, Reply, Store

LINES: Final = ("012", "345", "678", "036", "147", "258", "048", "246")
FREE: Final = "."


@frozen
class Board:
    """The cells from left to right and top to bottom, the turns so far, and the number of games."""

    cells: str = FREE * 9
    turn: int = 0
    game: int = 1

    @property
    def mark(self) -> str:
        """The mark of the player whose turn it is."""
        return "XO"[self.cells.count("X") - self.cells.count("O")]

    @property
    def winner(self) -> str:
        """The mark with three in a row; "=" if the board is full; "" while it goes on."""
        for line in LINES:
            marks = {self.cells[int(cell)] for cell in line}
            if len(marks) == 1 and FREE not in marks:
                return marks.pop()
        return "" if FREE in self.cells else "="


@frozen
class Move:
    room: str
    cell: int
    turn: int


def move(
    event: Move, client: Client, board: Annotated[Board | None, Read("board:{event.room}")]
) -> Effects:
    """Make the next mark."""
    board = board or Board()
    if board.winner:
        raise Refused("over", "The game is over.")
    if not 0 <= event.cell < 9:
        raise Refused("no_cell", "There is no such cell.")
    if board.cells[event.cell] != FREE:
        raise Refused("taken", "Somebody was faster: the cell is taken.")
    if event.turn != board.turn:
        raise Refused("too_late", "Somebody was faster: it is the other mark's turn.")
    cells = board.cells[: event.cell] + board.mark + board.cells[event.cell + 1 :]
    after = evolve(board, cells=cells, turn=board.turn + 1)
    return [Store(f"board:{event.room}", after), *told(event.room, after, client)]


@frozen
class Clear:
    room: str
    game: int


def clear(
    event: Clear, client: Client, board: Annotated[Board | None, Read("board:{event.room}")]
) -> Effects:
    """Begin the next game, unless another player has begun it already."""
    board = board or Board()
    if event.game != board.game:
        raise Refused("too_late", "Somebody has begun the next game already.")
    after = Board(turn=board.turn + 1, game=board.game + 1)
    return [Store(f"board:{event.room}", after), *told(event.room, after, client)]


def told(room: str, board: Board, client: Client) -> list[Broadcast | Reply]:
    """The data of a change, for everybody at the table."""
    return [
        Broadcast(f"table:{room}", "board", {"board": board, "by": client.session}),
        Reply("ok", {"turn": board.turn}),
    ]
