"""The app that a node runs when it is given none: chat rooms that count what is said in them."""

from attrs import frozen

from trio_wss import App, Broadcast, Client, Effects, Increment, Join, Reply

app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    """Enter the room that the address names: `ws://…/?room=tea`."""
    return Join(f"room:{client.query.get('room', 'lobby')}")


@frozen
class Say:
    room: str
    text: str


@app.on("say")
def say(event: Say, client: Client) -> Effects:
    """Count what is said and tell everyone in the room."""
    n = Increment(f"count:{event.room}")
    return [
        n,
        Broadcast(
            f"room:{event.room}",
            "said",
            {"n": n.result, "by": client.session, "text": event.text},
        ),
        Reply("ok", {"n": n.result}),
    ]
