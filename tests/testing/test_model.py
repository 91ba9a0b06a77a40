"""What a test of a handler looks like, and what the model tells it."""

from datetime import UTC, datetime
from random import Random
from typing import Annotated

import pytest
from attrs import frozen

from tests.project import typing_example
from trio_wss import (
    Add,
    App,
    Append,
    Broadcast,
    Client,
    Close,
    Effects,
    Gap,
    Increment,
    Join,
    Leave,
    Member,
    Members,
    Now,
    PlanError,
    Put,
    Read,
    Refused,
    Reply,
    Rng,
    Store,
)
from trio_wss.testing import Error, List, Map, Outcome, Sent, Set, World, play

ANN = Client("s1", "ann", {"role": "host"}, {"room": "tea"})
BO = Client("s2", "bo")

app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    if client.user is None:
        raise Refused("login", "Log in first.")
    return [Join("room:tea", {"name": client.user}), Broadcast("room:tea", "came", client.user)]


@app.on_disconnect
def leave(client: Client, there: Annotated[list[Member], Members("room:tea")]) -> Effects:
    return [Broadcast("room:tea", "went", [len(there), client.user]), Increment("partings")]


@frozen
class Say:
    text: str


@app.on("say")
def say(event: Say, client: Client, there: Annotated[list[Member], Members("room:tea")]) -> Effects:
    n = Increment("said", ttl=60)
    return [
        n,
        Append("log", event.text, 2),
        Put("last", client.session, event),
        Add("words", event.text),
        Broadcast("room:tea", "said", {"n": n.result, "text": event.text, "to": len(there)}),
        Reply("ok", {"n": n.result}),
    ]


@app.on("dice")
def dice(rng: Annotated[Random, Rng], now: Annotated[datetime, Now]) -> Effects:
    return Reply("dice", [rng.randint(1, 6), now])


@app.on("go")
def go() -> Effects:
    return [Leave("room:tea"), Broadcast("room:tea", "gone", volatile=True), Close(4000, "bye")]


@app.on("wrong")
def wrong() -> Effects:
    return [Store("k", 1), Increment("k")]


@app.on("break")
def broken() -> Effects:
    raise LookupError("a bug")


@app.on("quiet")
def quiet(info: Client) -> Effects:
    return Reply("info", info.info)


def test_play_is_one_event() -> None:
    outcome = play(
        app,
        "say",
        {"text": "hi"},
        {"said": 4, "log": List(["a", "b"]), "words": {"hi"}},
        client=ANN,
        members={"room:tea": [Member("s1", "ann"), Member("s2")]},
    )
    assert outcome == Outcome(
        reply=Reply("ok", {"n": 5}),
        broadcasts=(Sent("room:tea", "said", {"n": 5, "text": "hi", "to": 2}, 1),),
        state={
            "said": 5,
            "log": List(["b", "hi"]),
            "last": Map(s1={"text": "hi"}),
            "words": Set(["hi"]),
        },
    )


def test_a_new_key_gets_its_time_to_live() -> None:
    outcome = play(app, "say", Say("hi"))
    assert outcome.ttls == {"said": 60.0}
    assert play(app, "say", Say("hi"), {"said": 1}).ttls == {}


def test_the_state_that_is_given_is_not_changed() -> None:
    state = {"log": List(["a"])}
    play(app, "say", {"text": "hi"}, state)
    assert state == {"log": List(["a"])}


def test_errors() -> None:
    assert play(app, "say", {"text": 5}, {"a": 1}) == Outcome(
        error=Error("invalid", "data.text: expected a string, not an integer", "data.text"),
        state={"a": 1},
    )
    assert play(app, "nope").error == Error("unknown_event", "there is no event 'nope'")
    assert play(app, "say", {"text": "x"}, {"log": 5}).error == Error("internal", "wrong_type log")
    assert play(app, "say", {"text": "x"}, {"said": 2**53 - 1}).error == Error(
        "internal", "overflow said"
    )


def test_a_refusal_applies_nothing() -> None:
    event = {"game": "g", "x": 1, "y": 2}
    state = {"game:g": {"turn": "bo", "other": "ann"}}
    outcome = play(typing_example.app, "move", event, state, client=ANN)
    assert outcome.error == Error("not_your_turn", "Wait for your turn.")
    assert outcome.state == state
    outcome = play(typing_example.app, "move", event, state, client=BO)
    assert outcome.state == {"game:g": {"turn": "ann", "other": "ann"}}


def test_bugs_go_through() -> None:
    with pytest.raises(PlanError, match="cannot be a value and a counter"):
        play(app, "wrong")
    with pytest.raises(LookupError, match="a bug"):
        play(app, "break")
    with pytest.raises(PlanError, match="no JSON number"):
        play(app, "say", {"text": float("nan")})


def test_time_and_randomness_are_the_tests() -> None:
    outcome = play(app, "dice", now=0.0, seed=3)
    assert outcome.reply == Reply("dice", [Random(3).randint(1, 6), "1970-01-01T00:00:00+00:00"])
    assert play(app, "dice", seed=3).reply == Reply(
        "dice",
        [Random(3).randint(1, 6), datetime.fromtimestamp(1_700_000_000, UTC).isoformat()],
    )


def test_a_clients_info_is_json() -> None:
    assert play(app, "quiet", client=Client("s", None, (1, 2))).reply == Reply("info", [1, 2])


def test_a_session_from_beginning_to_end() -> None:
    world = World(app)
    came = world.connect(ANN)
    assert came.joined == {"all": 0, "session:s1": 0, "user:ann": 0, "room:tea": 0}
    assert came.broadcasts == (Sent("room:tea", "came", "ann", 1),)
    assert world.connect(BO).joined["room:tea"] == 1
    assert world.members("room:tea") == [
        Member("s1", "ann", {"name": "ann"}),
        Member("s2", "bo", {"name": "bo"}),
    ]
    assert world.play("say", Say("hi"), client=BO).broadcasts[0].offset == 3
    gone = world.play("go", client=ANN)
    assert gone.left == ("room:tea",)
    assert gone.close == Close(4000, "bye")
    assert gone.broadcasts == (Sent("room:tea", "gone", None, None),)
    assert world.members("room:tea") == [Member("s2", "bo", {"name": "bo"})]
    went = world.disconnect(BO)
    assert went.broadcasts == (Sent("room:tea", "went", [1, "bo"], 4),)
    assert world.members("room:tea") == []
    assert world.offset("room:tea") == 4
    assert world.offset("elsewhere") == 0
    assert world.state["partings"] == 1


def test_on_connect_may_refuse() -> None:
    world = World(app)
    outcome = world.connect(Client("s3"))
    assert outcome == Outcome(error=Error("login", "Log in first."))
    assert world.members("room:tea") == []


def test_an_app_without_hooks_connects_anyone() -> None:
    world = World(App())
    assert world.connect(Client("s")).joined == {"all": 0, "session:s": 0}
    assert world.disconnect(Client("s")) == Outcome()


def test_a_session_leaves_though_on_disconnect_refuses() -> None:
    refusing = App()

    @refusing.on_disconnect
    def refuse() -> Effects:
        raise Refused("no")

    world = World(refusing, members={"t": [Member("s1")]})
    assert world.disconnect().error == Error("no")
    assert world.members("t") == []


def test_a_session_leaves_though_on_disconnect_is_broken() -> None:
    failing = App()
    failing.on_disconnect(broken)
    world = World(failing, members={"t": [Member("s1")]})
    with pytest.raises(LookupError):
        world.disconnect()
    assert world.members("t") == []


def test_a_gap() -> None:
    telling = App()

    @telling.on_gap
    def tell(event: Gap, said: Annotated[int, Read("said:{event.topic}")] = 0) -> Effects:
        return Reply("anew", [event.topic, said])

    assert World(telling, {"said:t": 5}).gap("t").reply == Reply("anew", ["t", 5])
    assert World(app).gap("t") == Outcome()


def test_there_is_an_end_to_topics() -> None:
    world = World(app, members={"t": [Member("s1")]}, max_topics=1)
    assert world.connect(ANN).error == Error("refused", "topics")
    assert world.members("room:tea") == []


def test_a_rate_window_passes() -> None:
    world = World(app)
    world.play("say", Say("a"))
    world.wait(59.5)
    assert world.play("say", Say("b")).reply == Reply("ok", {"n": 2})
    assert world.ttls == {"said": 0.5}
    world.wait(0.5)
    assert world.play("say", Say("c")).reply == Reply("ok", {"n": 1})
    assert world.now == 1_700_000_060.0
