"""A WebSocket client's bytes, legal and not, for the tests of the wire."""

from collections.abc import Iterable

MASK = b"\x12\x34\x56\x78"

HEAD = (
    b"GET /chat?room=a HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def masked(payload: bytes, mask: bytes = MASK) -> bytes:
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def client_frame(first: int, payload: bytes = b"", *, mask: bytes | None = MASK) -> bytes:
    """A frame as a client sends it; `first` is FIN, reserved bits and opcode."""
    size = len(payload)
    bit = 0 if mask is None else 128
    if size < 126:
        header = bytes((first, bit | size))
    elif size < 65536:
        header = bytes((first, bit | 126)) + size.to_bytes(2)
    else:
        header = bytes((first, bit | 127)) + size.to_bytes(8)
    return header + (payload if mask is None else mask + masked(payload, mask))


def text(message: str) -> bytes:
    return client_frame(0x81, message.encode())


def close(code: int = 1000, reason: str = "") -> bytes:
    return client_frame(0x88, code.to_bytes(2) + reason.encode())


def server_frames(data: bytes) -> list[tuple[int, bytes]]:
    """What a server sent: first byte and payload of each frame. Fails on a frame cut off."""
    found = []
    while data:
        size, start = data[1], 2
        assert size < 128, "a server's frame is not masked"
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start])
        assert len(data) >= start + size, f"a frame cut off: {data!r}"
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def closes(frames: Iterable[tuple[int, bytes]]) -> list[int]:
    """The codes of the Close frames among them; 1005 for one without."""
    return [
        int.from_bytes(payload[:2]) if payload else 1005
        for first, payload in frames
        if first == 0x88
    ]


PING = client_frame(0x89, b"p")
PONG = (0x8A, b"p")
"""What comes back for PING."""
