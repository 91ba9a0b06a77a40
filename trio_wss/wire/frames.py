"""RFC 6455 frames as bytes: build the server's frames and parse a client's.

Pure: bytes in, bytes and messages out; no socket, clock or callback.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final, final

from trio_wss.wire.close_codes import NEVER_SENT

Data = bytes | bytearray

TEXT: Final = 0x81  # FIN and opcode 1
BINARY: Final = 0x82
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
_FAST: Final = frozenset((TEXT, BINARY, CLOSE, PING, PONG))

_MEDIUM: Final = Struct("!BBH").pack
_LARGE: Final = Struct("!BBQ").pack
_CODE: Final = Struct("!H")


def text_frame(payload: bytes) -> bytes:
    """Return one unfragmented, unmasked text frame; `payload` is UTF-8."""
    return _frame(TEXT, payload)


def ping_frame(payload: bytes = b"") -> bytes:
    """Return a Ping of at most 125 bytes (RFC 6455 §5.5)."""
    return _frame(PING, payload[:125])


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a Close with a code and the reason, cut to 123 bytes of whole characters.

    The codes that are never sent (1005, 1006, 1015) make a Close without a code.
    """
    if code in NEVER_SENT:
        return _frame(CLOSE, b"")
    text = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
    return _frame(CLOSE, _CODE.pack(code) + text.encode())


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return _MEDIUM(first, 126, size) + payload
    return _LARGE(first, 127, size) + payload


def frame_end(frames: bytes, offset: int) -> int:
    """Return the end of the frame with byte `offset - 1` of `frames`, which are whole server
    frames."""
    end = 0
    while end < offset:
        end += _frame_size(frames, end)
    return min(end, len(frames))


def _frame_size(data: Data, start: int) -> int:
    """Return the size of the frame at `start`, whose header must be complete."""
    size = header_size(data, start)
    second = data[start + 1] & 127
    if second < 126:
        return size + second
    return size + int.from_bytes(data[start + 2 : start + (4 if second == 126 else 10)])


def header_size(data: Data, start: int = 0) -> int:
    """Return the size of the header at `start` by its first two bytes; 2 if they are not there."""
    if len(data) < start + 2:
        return 2
    second = data[start + 1]
    length = second & 127
    return 2 + (0 if length < 126 else 2 if length == 126 else 8) + (4 if second > 127 else 0)


def unmask(data: bytes, start: int, end: int) -> bytes:
    """Return the payload `data[start:end]` XORed with the mask before it (RFC 6455 §5.3)."""
    size = end - start
    if size > _SHORT:
        payload = bytearray(data[start:end])
        for i in range(4):
            payload[i::4] = payload[i::4].translate(_XOR[data[start - 4 + i]])
        return bytes(payload)
    words = (size + 3) >> 2
    mask = int.from_bytes(data[start - 4 : start], "little")
    masked = int.from_bytes(data[start : start + 4 * words], "little")
    return (masked ^ mask * _REPEAT[words]).to_bytes(4 * words, "little")[:size]


# For a short payload long integers are faster than table look-ups; for a long one they are slower.
_SHORT: Final = 512
_REPEAT: Final = [sum(1 << 32 * i for i in range(words)) for words in range(_SHORT // 4 + 1)]
_XOR: Final = [bytes(byte ^ key for byte in range(256)) for key in range(256)]


@final
class Parser:
    """Sort a client's bytes, cut anywhere, into messages and control frames while all are plain.

    A plain frame is complete, masked and unfragmented, has no reserved bit, a length in its
    shortest form of at most `limit`, and text in UTF-8. The first other frame sets `slow`; it and
    all bytes behind it stay in `rest`, and `feed` must not be called again.
    """

    __slots__ = ("_limit", "_need", "closed", "rest", "slow")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._need = 2
        self.rest = bytearray()
        """Bytes not yet sorted."""
        self.slow = False
        """True once a frame came that is not plain."""
        self.closed = False
        """True once a Close came; bytes behind it are dropped."""

    def feed(self, data: bytes) -> tuple[list[str | bytes], bytes]:
        """Sort `data`; return the messages in order, and the Pings and Closes in order, joined."""
        if self.rest:
            self.rest += data
            if len(self.rest) < self._need:
                return [], b""
            data = bytes(self.rest)
        messages: list[str | bytes] = []
        controls: list[bytes] = []
        position = self._sort(data, messages, controls)
        if self.closed or position == len(data):
            self.rest.clear()
        else:
            self.rest[:] = data[position:]
        return messages, b"".join(controls)

    def _sort(self, data: bytes, messages: list[str | bytes], controls: list[bytes]) -> int:
        """Take whole plain frames from the front of `data`; return where they end."""
        size = len(data)
        short = min(self._limit, 125)
        position = 0
        self._need = 2
        while size - position > 1:
            first = data[position]
            length = data[position + 1] - 128
            start = position + 6
            if length > short:
                start = position + header_size(data, position)
                length = self._long(data, position, start)
            if length < 0:
                break
            end = start + length
            if end > size:
                self._need = end - position
                self.slow = first not in _FAST
                return position
            if first == TEXT:
                try:
                    messages.append(unmask(data, start, end).decode())
                except UnicodeDecodeError:
                    break
            elif first == BINARY:
                messages.append(unmask(data, start, end))
            elif first in (PING, CLOSE):
                controls.append(data[position:end])
                if first == CLOSE:
                    self.closed = True
                    return end
            elif first != PONG:  # a Pong needs no more: the reader has noted that bytes came
                break
            position = end
        else:
            return position
        self.slow = True
        return position

    def _long(self, data: bytes, position: int, start: int) -> int:
        """Return the long-form length of the data frame at `position`, with its payload at `start`:
        -1 if it is not plain, 0 while the length is incomplete (then `start` is not here either).
        """
        if data[position] not in (TEXT, BINARY):
            return -1  # RFC 6455 §5.5: a control frame has 125 bytes at most
        if start - 4 > len(data):
            return 0
        length = int.from_bytes(data[position + 2 : start - 4] or data[position + 1 : position + 2])
        shortest = {6: 0, 8: 126, 14: 65536}[start - position]
        return length if shortest <= length <= self._limit else -1


@final
class Walker:
    """Find the ends of a client's frames in bytes cut anywhere; validate and unmask nothing."""

    __slots__ = ("_first", "_header", "_left", "closed", "fragments")

    def __init__(self) -> None:
        self._header = bytearray()  # of the frame whose header is incomplete
        self._first = 0
        self._left = 0  # bytes of payload still to come
        self.fragments = 0
        """Frames of the message that is not yet complete."""
        self.closed = False
        """The end of a Close frame has passed."""

    def step(self, data: Data, start: int = 0) -> int:
        """Walk from `start` to the end of the frame there, or of `data`; return that place."""
        if not self._left:
            header = self._header
            while (missing := header_size(header) - len(header)) > 0:
                piece = data[start : start + missing]
                if not piece:
                    return start
                header += piece
                start += len(piece)
            self._first = header[0]
            if self._first < 0x80:  # not FIN
                self.fragments += 1
            elif self._first < CLOSE:
                self.fragments = 0
            self._left = _frame_size(header, 0) - len(header)
            header.clear()
        taken = min(self._left, len(data) - start)
        self._left -= taken
        if not self._left and self._first == CLOSE:
            self.closed = True
        return start + taken

    def skip(self, data: Data) -> None:
        """Walk over all of `data`, or to the end of a Close frame in it."""
        position = 0
        while position < len(data) and not self.closed:
            position = self.step(data, position)


def first_joined(frames: Iterable[bytes], at_most: int) -> tuple[bytes, int]:
    """Join frames, at least one, to about `at_most` bytes; return the bytes and the count."""
    size = count = 0
    taken = []
    for frame in frames:
        taken.append(frame)
        count += 1
        size += len(frame)
        if size >= at_most:
            break
    return (taken[0] if count == 1 else b"".join(taken)), count
