"""The app behind the page that the browser's tests look at: one room with a short history."""

from attrs import frozen

from trio_wss import App, Broadcast, Effects, Increment, Join, Reply

HISTORY = 500

app = App(static="static", history=HISTORY)


@app.on_connect
def enter() -> Effects:
    return Join("room")


@frozen
class Say:
    text: str


@app.on("say")
def say(event: Say) -> Effects:
    n = Increment("count")
    return [
        n,
        Broadcast("room", "said", {"n": n.result, "text": event.text}),
        Reply("ok", {"n": n.result}),
    ]
