"""tests/support/histories.py: each check passes a good history and catches a seeded bug in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.support.histories import (
    Violation,
    check_exactly_once,
    check_gap_free,
    check_one_chain,
    check_one_order,
    check_replies_in_place,
    check_sent_order,
    check_whole,
)


def said(*offsets: int, epoch: str = "e") -> list[dict[str, Any]]:
    return [{"offset": n, "epoch": epoch, "data": n * 10} for n in offsets]


def fails(check: Callable[..., object], *arguments: Any) -> str:
    with pytest.raises(Violation) as caught:
        check(*arguments)
    return str(caught.value)


def test_a_history_without_gaps_passes() -> None:
    check_gap_free([])
    check_gap_free(said(4, 5, 6))
    check_gap_free(said(4, 5, 6), 4)


@pytest.mark.parametrize("offsets", [(1, 3), (1, 1), (2, 1)], ids=["gap", "twice", "backwards"])
def test_a_gap_is_caught(offsets: tuple[int, ...]) -> None:
    assert "follows" in fails(check_gap_free, said(*offsets))


def test_a_change_of_epoch_is_caught() -> None:
    assert "epoch f follows e" in fails(check_gap_free, said(1) + said(2, epoch="f"))


def test_a_late_beginning_is_caught() -> None:
    assert "begins with offset 5, not 4" in fails(check_gap_free, said(5), 4)


def test_members_that_came_and_went_share_one_order() -> None:
    check_one_order({"a": said(1, 2, 3, 4), "b": said(3, 4, 5), "c": []})


def test_two_orders_are_caught() -> None:
    swapped = said(1, 2)
    swapped[0]["data"], swapped[1]["data"] = 20, 10
    assert "('e', 1) a saw" in fails(check_one_order, {"a": said(1, 2), "b": swapped})


def test_a_gap_of_one_member_is_caught() -> None:
    fails(check_one_order, {"a": said(1, 2, 3), "b": said(1, 3)})


def test_once_each_passes_in_any_order_and_doubtful_things_may_be_missing() -> None:
    check_exactly_once("abc", "cab")
    check_exactly_once("ab", "abx", perhaps="xy")


@pytest.mark.parametrize(
    ("seen", "fault"),
    [("a", "'b' was seen 0"), ("abb", "'b' was seen 2"), ("abc", "nobody"), ("abxx", "'x' was")],
    ids=["lost", "twice", "invented", "doubtful twice"],
)
def test_what_is_not_once_is_caught(seen: str, fault: str) -> None:
    assert fault in fails(check_exactly_once, "ab", seen, "x")


def test_senders_mix_while_each_keeps_its_order() -> None:
    check_sent_order([("a", 1), ("b", 1), ("a", 3), ("b", 2)])


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1)])
def test_a_sender_out_of_order_is_caught(numbers: Iterable[int]) -> None:
    assert "of 'a' was seen after" in fails(check_sent_order, [("a", n) for n in numbers])


def test_a_chain_of_commits_gives_its_end() -> None:
    assert check_one_chain([], 0) == 0
    assert check_one_chain([(1, 2), (0, 1), (2, 3)], 0) == 3


@pytest.mark.parametrize(
    ("commits", "fault"),
    [
        ([(0, 1), (0, 2)], "both made of 0"),
        ([(0, 1), (7, 8)], "only 1 of 2"),
        ([(0, 1), (1, 0)], "written twice"),
    ],
    ids=["lost update", "read of nothing", "circle"],
)
def test_a_broken_chain_is_caught(commits: list[tuple[int, int]], fault: str) -> None:
    assert fault in fails(check_one_chain, commits, 0)


def test_a_torn_read_is_caught() -> None:
    check_whole([(40, 60), (100, 0)], 100)
    assert "[40, 70]" in fails(check_whole, [(50, 50), (40, 70)], 100)


def replies(text: str, *, may_be_late: bool = False) -> None:
    """`b1` is the broadcast of commit 1, `r1` its reply."""
    frames = [{"kind": word[0], "n": int(word[1:])} for word in text.split()]
    check_replies_in_place(
        frames,
        lambda one: one["n"] if one["kind"] == "r" else None,
        lambda one: one["n"] if one["kind"] == "b" else None,
        may_be_late=may_be_late,
    )


def test_a_reply_comes_beside_its_own_broadcast() -> None:
    replies("b1 b2 r2 b3 r4 b4")
    replies("b1 b2 b3 r2 r1 r4 b4", may_be_late=True)


@pytest.mark.parametrize(
    "text", ["b1 r3 b2 b3", "b1 b2 r1", "b1 b3"], ids=["early", "late", "missing"]
)
def test_a_reply_out_of_place_is_caught(text: str) -> None:
    with pytest.raises(Violation):
        replies(text)


def test_a_reply_before_an_earlier_broadcast_is_caught_though_it_may_be_late() -> None:
    with pytest.raises(Violation):
        replies("b1 r3 b2 b3", may_be_late=True)
