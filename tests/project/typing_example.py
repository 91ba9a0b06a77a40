"""The example of the design, whole: mypy --strict checks it, and a test runs it."""

from typing import Annotated

from attrs import evolve, frozen

from trio_wss import (
    App,
    Broadcast,
    Client,
    Effects,
    Increment,
    Join,
    Read,
    Refused,
    Reply,
    Store,
)

app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(f"room:{client.query.get('room', 'lobby')}")


@frozen
class Say:
    room: str
    text: str


@app.on("say")
def say(event: Say, client: Client) -> Effects:
    n = Increment(f"count:{event.room}")  # an effect; n.result stands for its outcome
    return [
        n,
        Broadcast(
            f"room:{event.room}",
            "said",
            {"n": n.result, "by": client.session, "text": event.text},
        ),
        Reply("ok", {"n": n.result}),
    ]


@frozen
class Move:
    game: str
    x: int
    y: int


@frozen
class Game:
    turn: str
    other: str


@app.on("move")
def move(
    event: Move, client: Client, game: Annotated[Game | None, Read("game:{event.game}")]
) -> Effects:
    if game is None or game.turn != client.user:
        raise Refused("not_your_turn", "Wait for your turn.")  # nothing is applied
    return [
        Store(f"game:{event.game}", evolve(game, turn=game.other)),
        Broadcast(f"game:{event.game}", "moved", event),
    ]
