"""trio_wss/client/states.py: plain values, and a token that no log shows."""

from trio_wss.client import Connected, Disconnected
from trio_wss.client.states import Ticket


def test_a_ticket_does_not_show_its_token() -> None:
    ticket = Ticket("secret", {"room:a": ("e", 7)}, last=3)
    assert "secret" not in repr(ticket)
    assert "room:a" in repr(ticket)


def test_a_new_ticket_has_used_no_id_and_made_no_attempt() -> None:
    ticket = Ticket("secret", {})
    assert (ticket.last, ticket.attempt) == (0, 0)
    assert ticket == Ticket("secret", {})
    assert ticket != Ticket("other", {})


def test_states_are_told_apart_by_a_match() -> None:
    match Connected(True, "s1", "n1"):
        case Connected(resumed, session, node):
            assert (resumed, session, node) == (True, "s1", "n1")
    match Disconnected(1006, "", None):
        case Disconnected(code, reason, wait):
            assert (code, reason, wait) == (1006, "", None)
