"""The wire over TLS, where only the writer task may write."""

import ssl
import subprocess
from pathlib import Path

import pytest
import trio

from tests.support.echo import echo
from tests.support.frames import HEAD, close, text
from tests.support.wires import Client, tcp_pair
from trio_wss.wire import WireLimits


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost and its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", file, "-out", f"{file}.crt"),
        ],
        check=True,
        capture_output=True,
    )
    with file.open("a") as out:
        out.write(Path(f"{file}.crt").read_text())
    return file


async def test_all_of_it_works_over_tls(certificate: Path) -> None:
    mine = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    mine.load_cert_chain(certificate)
    theirs = ssl.create_default_context(cafile=certificate)
    with trio.fail_after(5):
        near, far = await tcp_pair()
        async with trio.open_nursery() as nursery:
            stream = trio.SSLStream(far, mine, server_side=True, https_compatible=True)
            nursery.start_soon(echo, stream, WireLimits())
            client = Client(trio.SSLStream(near, theirs, server_hostname="localhost"))
            await client.send(HEAD, text("a" * 100_000), text("b"))
            await client.head()
            assert await client.text() == "a" * 100_000
            assert await client.text() == "b"
            await client.send(close(1001))
            assert await client.frame() == (0x88, (1001).to_bytes(2))
            await client.stream.aclose()
        near, far = await tcp_pair()
        async with trio.open_nursery() as nursery:
            stream = trio.SSLStream(far, mine, server_side=True, https_compatible=True)
            nursery.start_soon(echo, stream, WireLimits())
            client = Client(trio.SSLStream(near, theirs, server_hostname="localhost"))
            await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await client.head()).startswith(b"HTTP/1.1 426 ")
            await client.stream.aclose()
