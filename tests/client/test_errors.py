"""trio_wss/client/errors.py: each error says in words what it knows in fields."""

import pickle

import pytest

from trio_wss.client import (
    ClientError,
    ConnectError,
    ConnectionLost,
    EventError,
    FellBehind,
    GaveUp,
    OutcomeUnknown,
)
from trio_wss.errors import WssError

LOST = (ConnectionLost, OutcomeUnknown, FellBehind, GaveUp)


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_connection_says_how_it_was_closed(kind: type[ConnectionLost]) -> None:
    lost = kind(1013, "fell behind")
    assert (lost.code, lost.reason) == (1013, "fell behind")
    assert str(lost) == "the connection was closed with 1013: fell behind"
    assert str(kind(1006)) == "the connection was closed with 1006"


@pytest.mark.parametrize("kind", [*LOST, ConnectError])
def test_all_of_them_are_a_clients_errors(kind: type[Exception]) -> None:
    assert issubclass(kind, ClientError)
    assert issubclass(ClientError, WssError)


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_connection_survives_pickling(kind: type[ConnectionLost]) -> None:
    again = pickle.loads(pickle.dumps(kind(4403, "no")))
    assert type(again) is kind
    assert (again.code, again.reason) == (4403, "no")


def test_who_gave_up_knows_the_status() -> None:
    again = pickle.loads(pickle.dumps(GaveUp(1006, "no", 401)))
    assert (again.code, again.reason, again.status) == (1006, "no", 401)
    assert GaveUp(1006).status is None


def test_no_connection_has_a_status_or_a_code() -> None:
    refused = ConnectError("refused", status=401)
    assert (str(refused), refused.status, refused.code) == ("refused", 401, None)
    assert ConnectError("closed", code=4403).code == 4403


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (EventError("refused", "no"), "refused: no"),
        (EventError("invalid", "is missing", "data.n"), "invalid: is missing (data.n)"),
        (EventError("invalid", "data.n: is missing", "data.n"), "invalid: data.n: is missing"),
    ],
)
def test_a_refused_event_says_where_once(error: EventError, text: str) -> None:
    assert str(error) == text
