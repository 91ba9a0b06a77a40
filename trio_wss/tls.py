"""TLS for whoever connects: a node to Redis, a client to a node."""

import ssl

import trio


async def secured(
    plain: trio.SocketStream, host: str, context: ssl.SSLContext, *, https: bool = False
) -> trio.SSLStream[trio.SocketStream]:
    """TLS over a stream, its handshake done, so that it fails here; then the stream is closed.

    `https`: a peer that ends without a TLS goodbye has ended well, as is usual with HTTPS. Raises
    trio.BrokenResourceError.
    """
    stream = trio.SSLStream(plain, context, server_hostname=host, https_compatible=https)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream
