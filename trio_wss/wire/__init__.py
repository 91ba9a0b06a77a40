"""The bytes of one connection: frames, lane, outbox, request head. This file only re-exports."""

from trio_wss.wire.close_codes import CloseCode
from trio_wss.wire.frames import text_frame
from trio_wss.wire.head import Head, Response
from trio_wss.wire.keep_alive import KeepAlive
from trio_wss.wire.limits import WireLimits
from trio_wss.wire.listen import listen, listen_everywhere
from trio_wss.wire.outbox import BEHIND, Outbox
from trio_wss.wire.reception import Reception
from trio_wss.wire.socket import Closed, Host, WebSocket, serve_stream

__all__ = [
    "BEHIND",
    "CloseCode",
    "Closed",
    "Head",
    "Host",
    "KeepAlive",
    "Outbox",
    "Reception",
    "Response",
    "WebSocket",
    "WireLimits",
    "listen",
    "listen_everywhere",
    "serve_stream",
    "text_frame",
]
