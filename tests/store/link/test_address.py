"""REDIS_SERVER: every form of it, what is wrong with a wrong one, and no password anywhere."""

import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.conftest import MakeRedis
from tests.support.links import running
from tests.support.servers import free_port
from trio_wss.errors import SettingsError
from trio_wss.store.link.address import Address, parse_address
from trio_wss.store.link.link import Link
from trio_wss.store.link.resp import pack


@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("redis://", Address(), "redis://localhost:6379/0"),
        ("redis://h", Address(host="h"), "redis://h:6379/0"),
        ("redis://h:7/2", Address(host="h", port=7, database=2), "redis://h:7/2"),
        ("redis://h?db=2", Address(host="h", database=2), "redis://h:6379/2"),
        ("redis://[::1]:7", Address(host="::1", port=7), "redis://[::1]:7/0"),
        ("redis://:p%40@h", Address(host="h", password="p@"), "redis://h:6379/0"),
        (
            "redis://ada:pw@h/1",
            Address(host="h", username="ada", password="pw", database=1),
            "redis://h:6379/1",
        ),
        ("unix:///run/r.sock", Address(path="/run/r.sock"), "unix:///run/r.sock?db=0"),
        (
            "unix://:pw@/run/r.sock?db=3",
            Address(path="/run/r.sock", password="pw", database=3),
            "unix:///run/r.sock?db=3",
        ),
    ],
)
def test_urls(url: str, address: Address, shown: str) -> None:
    assert parse_address(url) == address
    assert str(parse_address(url)) == shown
    assert "pw" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:6379",
        "http://s3cret@h",
        "redis://:s3cret@h:99999",
        "redis://h:port",
        "redis://:s3/cret@h:6379",
        "redis://ada:s3cret/x@h",
        "redis://:s3cret@h/abc",
        "redis://:s3cret@h/1/2",
        "redis://:s3cret@h/-1",
        "redis://:s3cret@h?db=-1",
        "redis://:s3cret@h?db=x",
        "redis://:s3cret@h?s3cret=1",
        "redis://h?ssl_ca_certs=/x",
        "redis://[::1",
        "unix://",
        "unix://:s3cret@",
        "rediss://:s3cret@h?ssl_cert_reqs=perhaps",
        "rediss://:s3cret@h?ssl_ca_certs=/no/such/file",
        "rediss://:s3cret@h?ssl_certfile=/no/such/file",
        "rediss://:s3cret@h?ssl_keyfile=/no/such/file&ssl_what=1",
    ],
)
def test_a_bad_url_names_the_setting_and_shows_no_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_address(url)
    text = str(caught.value)
    assert text.startswith("redis ")
    assert "redis://[user:password@]host" in text or "ssl_" in text
    assert "s3" not in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_tls_options() -> None:
    strict = parse_address("rediss://h").tls
    assert strict is not None
    assert strict.verify_mode is ssl.CERT_REQUIRED
    assert strict.check_hostname
    anyhost = parse_address("rediss://h?ssl_check_hostname=false").tls
    assert anyhost is not None
    assert anyhost.verify_mode is ssl.CERT_REQUIRED
    assert not anyhost.check_hostname
    blind = parse_address("rediss://h?ssl_cert_reqs=none").tls
    assert blind is not None
    assert blind.verify_mode is ssl.CERT_NONE
    assert str(parse_address("rediss://h")) == "rediss://h:6379/0"


# ---- real connections


async def ping(url: str, *, hello_deadline: float = 5) -> str:
    """PONG, or the reason why not."""
    link = Link(parse_address(url), {}, hello_deadline=hello_deadline)
    async with running(link) as watch, trio.open_nursery() as nursery:

        async def lost() -> None:
            await watch.is_lost()
            nursery.cancel_scope.cancel()

        nursery.start_soon(lost)
        await watch.is_up()
        assert await link.call(pack("PING")) == b"PONG"
        nursery.cancel_scope.cancel()
    return watch.losses[0] if watch.losses else "PONG"


async def test_tcp_sends_small_commands_at_once(make_redis: MakeRedis) -> None:
    port = free_port()
    make_redis(port=str(port), bind="127.0.0.1")
    url = f"redis://127.0.0.1:{port}"
    assert await ping(url) == "PONG"
    stream = await parse_address(url).open()
    assert isinstance(stream, trio.SocketStream)
    async with stream:
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_nobody_there(tmp_path: Path) -> None:
    reason = await ping(f"redis://:s3cret@127.0.0.1:{free_port()}")
    assert reason.startswith("no connection to redis://127.0.0.1:")
    assert "refused" in reason
    assert "s3cret" not in reason
    assert "No such file" in await ping(f"unix://{tmp_path}/none.sock")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed cert.pem for localhost, and its key.pem."""
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder


def listen_with_tls(make_redis: MakeRedis, certificate: Path, **options: Any) -> int:
    """Start a server that speaks TLS only; its port."""
    port = free_port()
    try:
        make_redis(
            tls_port=str(port),
            bind="127.0.0.1 ::1",
            tls_cert_file=str(certificate / "cert.pem"),
            tls_key_file=str(certificate / "key.pem"),
            tls_ca_cert_file=str(certificate / "cert.pem"),
            tls_auth_clients="optional",
            **options,
        )
    except RuntimeError as error:
        if "TLS" not in str(error) and "tls-port" not in str(error):
            raise
        pytest.skip("this server was built without TLS")
    return port


@pytest.fixture
def tls_port(make_redis: MakeRedis, certificate: Path) -> int:
    return listen_with_tls(make_redis, certificate)


async def test_tls(tls_port: int, certificate: Path) -> None:
    trust = f"ssl_ca_certs={certificate}/cert.pem"
    assert await ping(f"rediss://localhost:{tls_port}?{trust}") == "PONG"
    own = f"ssl_certfile={certificate}/cert.pem&ssl_keyfile={certificate}/key.pem"
    assert await ping(f"rediss://localhost:{tls_port}?{trust}&{own}") == "PONG"
    assert await ping(f"rediss://127.0.0.1:{tls_port}?ssl_cert_reqs=none") == "PONG"
    assert "CERTIFICATE_VERIFY_FAILED" in await ping(f"rediss://localhost:{tls_port}")
    assert "certificate is not valid for '127.0.0.1'" in await ping(
        f"rediss://127.0.0.1:{tls_port}?{trust}"
    )


async def test_tls_to_a_server_that_speaks_none(make_redis: MakeRedis) -> None:
    port = free_port()
    make_redis(port=str(port), bind="127.0.0.1")
    reason = await ping(f"rediss://127.0.0.1:{port}", hello_deadline=0.3)
    assert "did not answer the hello" in reason  # it waits for the end of what it cannot read


async def test_tls_to_sentinels_and_to_the_server_that_they_name(
    make_redis: MakeRedis, certificate: Path, tls_port: int
) -> None:
    watched = [
        "resolve-hostnames yes",
        "announce-hostnames yes",
        f"monitor db localhost {tls_port} 1",
    ]
    port = listen_with_tls(make_redis, certificate, sentinel=watched, tls_replication="yes")
    trust = f"ssl_ca_certs={certificate}/cert.pem"
    assert await ping(f"rediss+sentinel://localhost:{port}/db?{trust}") == "PONG"
    assert await ping(f"rediss+sentinel://127.0.0.1:{port}/db?ssl_cert_reqs=none") == "PONG"
    lost = await ping(f"rediss+sentinel://localhost:{port}/db")
    assert f"localhost:{port}: " in lost
    assert "CERTIFICATE_VERIFY_FAILED" in lost
