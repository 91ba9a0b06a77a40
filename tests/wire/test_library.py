"""The stream under trio-websocket: what it is given, and when."""

from trio.testing import wait_all_tasks_blocked

from tests.support.frames import PING, client_frame, text
from tests.support.wires import wire
from trio_wss.wire.states import LibraryState, PeerState


async def test_trio_websocket_is_not_made_before_there_is_something_for_it() -> None:
    async with wire() as (client, socket):
        lane = socket.lane
        await client.send(text("a"))
        assert await socket.receive() == ["a"]
        assert (lane.websocket, lane.hungry) == (None, True)
        await client.send(PING, text("b"))
        assert await socket.receive() == ["b"]
        assert (await client.frame())[0] == 0x8A
        await wait_all_tasks_blocked()
        assert lane.websocket is not None
        assert (lane.hungry, lane.peer) == (True, PeerState.PLAIN)


async def test_a_slow_peer_is_given_a_frame_at_a_time() -> None:
    """trio-websocket asks for the next one when somebody has taken the message before it."""
    async with wire() as (client, socket):
        first = client_frame(0x01, b"a") + client_frame(0x80, b"b")
        await client.send(first + text("c") + text("d"))
        assert await socket.receive() == ["ab"]
        await wait_all_tasks_blocked()
        library = socket.lane.library
        assert library is not None
        before = library.state, library.take_back()
        assert await socket.receive() == ["c"]
        await wait_all_tasks_blocked()
        assert before == (LibraryState.FED, text("d"))
        assert library.state is LibraryState.HUNGRY
