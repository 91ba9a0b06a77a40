"""trio_wss/demo/board.py: its rules, and that of two moves at once exactly one stands."""

import pytest

from trio_wss.demo import app
from trio_wss.demo.board import Board
from trio_wss.testing import World, play


@pytest.mark.parametrize(
    ("cells", "mark", "winner"),
    [
        (".........", "X", ""),
        ("X........", "O", ""),
        ("XXXOO....", "O", "X"),
        ("XO.XO.X..", "O", "X"),
        ("OX.XO.X.O", "X", "O"),
        ("XO..X.O.X", "O", "X"),
        ("XOXXOOOXX", "O", "="),
    ],
)
def test_whose_turn_it_is_and_who_has_won(cells: str, mark: str, winner: str) -> None:
    board = Board(cells)
    assert (board.mark, board.winner) == (mark, winner)


def test_moves_alternate_and_are_told_to_the_table() -> None:
    world = World(app)
    for turn, cell in enumerate((4, 0, 8)):
        outcome = world.play("move", {"room": "a", "cell": cell, "turn": turn})
        assert outcome.error is None
    told = outcome.broadcasts[-1]
    assert (told.topic, told.event) == ("table:a", "board")
    assert told.data["board"] == {"cells": "O...X...X", "turn": 3, "game": 1}


@pytest.mark.parametrize(
    ("cells", "move", "code"),
    [
        ("X........", {"cell": 0, "turn": 1}, "taken"),
        ("X........", {"cell": 1, "turn": 0}, "too_late"),
        ("XXXOO....", {"cell": 8, "turn": 5}, "over"),
        (".........", {"cell": 9, "turn": 0}, "no_cell"),
        (".........", {"cell": -1, "turn": 0}, "no_cell"),
    ],
)
def test_a_move_that_may_not_be(cells: str, move: dict[str, int], code: str) -> None:
    turn = 9 - cells.count(".")
    state = {"board:a": {"cells": cells, "turn": turn, "game": 1}}
    outcome = play(app, "move", {"room": "a", **move}, state)
    assert outcome.error is not None
    assert outcome.error.code == code
    assert outcome.state == state


def test_the_next_game_is_begun_once() -> None:
    world = World(app)
    world.play("move", {"room": "a", "cell": 4, "turn": 0})
    assert world.play("clear", {"room": "a", "game": 1}).error is None
    again = world.play("clear", {"room": "a", "game": 1})
    assert again.error is not None
    assert again.error.code == "too_late"
    assert again.state["board:a"] == {"cells": ".........", "turn": 2, "game": 2}
