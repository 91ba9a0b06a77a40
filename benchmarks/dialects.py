"""How clients talk with each server: what they send, and how to tell what comes.

Pure. All servers do the same with the same data; Socket.IO wraps it in its own protocol.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

NUMBER: Final = re.compile(rb'"n":(\d+)')


class Plain:
    """JSON text frames, as trio-wss has them; the first frame of a peer is `joined`."""

    said = b'{"event":"said"'
    """What a broadcast begins with."""
    ok = b'{"event":"ok"'
    """What an answer begins with."""
    ping: bytes | None = None
    """A text frame that asks for a sign of life, and the answer to it."""
    pong = b""
    greeting = b""
    """What a client sends first of all, when a first frame has come."""
    resumes = False
    """Whether a client can come back to its session."""

    _answered = re.compile(rb'"re":(\d+)')

    def path(self, room: str) -> str:
        return f"/?room={quote(room)}"

    def joined(self, frame: bytes, room: str) -> bool:
        """Whether this frame says that the client is in its room."""
        return frame.startswith(b'{"event":"joined"')

    def say(self, number: int, room: str, text: str) -> bytes:
        return b'{"event":"say","id":%d,"data":{"room":"%b","text":"%b"}}' % (
            number,
            room.encode(),
            text.encode(),
        )

    def deposit(self, number: int, account: str, amount: int) -> bytes:
        return b'{"event":"deposit","id":%d,"data":{"account":"%b","amount":%d}}' % (
            number,
            account.encode(),
            amount,
        )

    def resume(self, token: str, topic: str, epoch: str, offset: int) -> bytes:
        raise NotImplementedError(f"{type(self).__name__} has no sessions")

    def answered(self, frame: bytes) -> int:
        """The number of the event that an answer is for."""
        found = self._answered.search(frame)
        return int(found[1]) if found else 0


class TrioWss(Plain):
    """The protocol of docs/protocol.md."""

    resumes = True

    def joined(self, frame: bytes, room: str) -> bool:
        return (
            frame.startswith(b'{"event":"wss.joined"')
            and b'"topic":"room:%b"' % room.encode() in frame
        )

    def resume(self, token: str, topic: str, epoch: str, offset: int) -> bytes:
        return b'{"event":"wss.resume","data":{"token":"%b","topics":{"%b":["%b",%d]}}}' % (
            token.encode(),
            topic.encode(),
            epoch.encode(),
            offset,
        )


class SocketIo(Plain):
    """Socket.IO 4: Engine.IO's packet `4`, Socket.IO's `2` for an event and `3` for an answer."""

    said = b'42["said"'
    ok = b"43"
    ping = b"2"
    pong = b"3"
    greeting = b"40"

    _answered = re.compile(rb"43(\d+)")

    def path(self, room: str) -> str:
        return f"/socket.io/?EIO=4&transport=websocket&room={quote(room)}"

    def joined(self, frame: bytes, room: str) -> bool:
        return frame.startswith(b'42["joined"')

    def say(self, number: int, room: str, text: str) -> bytes:
        return b'42%d["say",{"room":"%b","text":"%b"}]' % (number, room.encode(), text.encode())

    def deposit(self, number: int, account: str, amount: int) -> bytes:
        return b'42%d["deposit",{"account":"%b","amount":%d}]' % (number, account.encode(), amount)


DIALECTS: Final[dict[str, Plain]] = {
    "plain": Plain(),
    "trio-wss": TrioWss(),
    "socket.io": SocketIo(),
}
