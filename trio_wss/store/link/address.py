"""The address of Redis: redis-py parses REDIS_SERVER, and the address opens a Trio stream; with
Sentinels, to the server that is the primary at that moment.
A password leaves this object only through `password`, never in a repr or an error."""

from __future__ import annotations

import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import trio
from attrs import evolve, field, frozen
from redis.connection import parse_url

from trio_wss.errors import WrongSetting
from trio_wss.settings import host_and_port
from trio_wss.store.link import sentinel
from trio_wss.store.link.resp import LOSSES, lost_by

_CURE: Final = (
    "use redis://[user:password@]host[:port][/database] (rediss:// with TLS and its ssl_… options)"
    " or unix:///path/to/socket[?db=0] or redis+sentinel://…, with special characters of the"
    " password percent-encoded"
)
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


@frozen
class Address:
    """A Redis server: `path` for a Unix socket, else host and port, with TLS if `tls` is set.

    With `sentinels` it is the server that they name at each connection.
    """

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    sentinels: sentinel.Sentinels | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}?db={self.database}"
        scheme = "rediss" if self.tls else "redis"
        if self.sentinels is not None:
            return f"{scheme}+sentinel://{self.sentinels}/{self.database}"
        return f"{scheme}://{host_and_port(self.host, self.port)}/{self.database}"

    async def open(self) -> trio.abc.Stream:
        """Connect, TLS handshake included. Raises OSError or trio.BrokenResourceError; with
        Sentinels, LinkLost with their reasons."""
        if self.sentinels is not None:
            return await self._open_primary(self.sentinels)
        if self.path is not None:
            return await trio.open_unix_socket(self.path)
        plain = await trio.open_tcp_stream(self.host, self.port)  # Trio sets TCP_NODELAY
        if self.tls is None:
            return plain
        stream = trio.SSLStream(plain, self.tls, server_hostname=self.host)
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def _open_primary(self, sentinels: sentinel.Sentinels) -> trio.abc.Stream:
        host, port = await sentinels.primary()
        found = evolve(self, host=host, port=port, sentinels=None)
        try:
            return await found.open()
        except LOSSES as error:
            raise lost_by(error, f"{found}, the primary by word of its Sentinels") from None


def parse_address(url: str) -> Address:
    """Parse the setting `redis`. Raises WrongSetting with the cure.

    The error contains no part of the URL: a password with a stray `/` or `?` could be anywhere.
    """
    cure, sentinels = _CURE, None
    if url.partition("://")[0] in sentinel.SCHEMES:
        cure = sentinel.CURE
        url, sentinels = sentinel.split(url)
    try:
        options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]  # redis-py
        parts = urlsplit(url)
    except ValueError:
        raise WrongSetting("redis", f"is not the URL of a Redis: {cure}") from None
    options.pop("connection_class", None)
    if parts.scheme == "unix":
        if not options.get("path"):
            raise WrongSetting("redis", f"names no socket: {cure}")
    elif parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise WrongSetting("redis", f"names a database that is not a number: {cure}")
    if sentinels is not None:
        sentinels = evolve(sentinels, options=_for_sentinels(options, tls=parts.scheme == "rediss"))
    tls = _tls_context(options) if parts.scheme == "rediss" else None
    if options.keys() - {"host", "port", "path", "username", "password", "db"}:
        raise WrongSetting("redis", f"has an option that is not known: {cure}")
    if options.get("db", 0) < 0:
        raise WrongSetting("redis", f"names a database below 0: {cure}")
    return Address(
        host=options.get("host", "localhost"),
        port=options.get("port", 6379),
        path=options.get("path"),
        tls=tls,
        username=options.get("username"),
        password=options.get("password"),
        database=options.get("db", 0),
        sentinels=sentinels,
    )


def _for_sentinels(options: dict[str, Any], *, tls: bool) -> dict[str, Any]:
    """Return redis-py's options for the connections to the Sentinels. Their user and password are
    taken out of `options`; the TLS options also hold for the Sentinels."""
    own = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    if tls:
        own |= {name: value for name, value in options.items() if name.startswith("ssl_")}
        checked = own.get("ssl_cert_reqs") != "none" and _yes(own.get("ssl_check_hostname", True))
        own |= {"ssl": True, "ssl_check_hostname": checked}
    return own


def _yes(value: object) -> bool:
    return str(value).lower() not in ("false", "no", "n", "0")


def _tls_context(options: dict[str, Any]) -> ssl.SSLContext:
    """Make a TLS context of redis-py's `ssl_…` options, and take them out of `options`."""
    verify = _VERIFY.get(options.pop("ssl_cert_reqs", "required"))
    if verify is None:
        raise WrongSetting("redis", "must have none, optional or required as its ssl_cert_reqs")
    checked = _yes(options.pop("ssl_check_hostname", True))
    try:
        context = ssl.create_default_context(
            cafile=options.pop("ssl_ca_certs", None), capath=options.pop("ssl_ca_path", None)
        )
        context.check_hostname = checked and verify is not ssl.CERT_NONE
        context.verify_mode = verify
        certificate, key = options.pop("ssl_certfile", None), options.pop("ssl_keyfile", None)
        if certificate is not None:
            context.load_cert_chain(certificate, key, options.pop("ssl_password", ""))
    except OSError as error:
        raise WrongSetting(
            "redis", f"names TLS files that cannot be used ({error}): check its ssl_… options"
        ) from None
    return context
