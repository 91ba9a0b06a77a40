"""trio_wss/cli/ports.py: ports taken, shared and refused."""

import socket
from contextlib import ExitStack

import pytest
import trio

from trio_wss.cli import ports
from trio_wss.errors import SettingsError


def close(sockets: list[socket.socket]) -> None:
    for bound in sockets:
        bound.close()


def test_a_free_port() -> None:
    [bound] = ports.bind("127.0.0.1", 0)
    with bound:
        host, port = bound.getsockname()
        assert host == "127.0.0.1"
        assert port > 0


def test_all_addresses_of_a_name_get_one_port() -> None:
    bound = ports.bind("localhost", 0)
    assert len({each.getsockname()[1] for each in bound}) == 1
    close(bound)


def test_an_address_the_machine_lacks_is_left_out_if_the_name_has_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "127.0.0.1")]
    monkeypatch.setattr(ports, "_addresses", lambda host, port: found)
    [bound] = ports.bind("both", 0)
    assert bound.getsockname()[0] == "127.0.0.1"
    close([bound])
    found.pop()
    with pytest.raises(SettingsError, match="host both is no address of this machine"):
        ports.bind("both", 0)


def test_a_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for take in (ports.bind, ports.hold):
            with pytest.raises(SettingsError, match=f"port {port} on 127.0.0.1 is taken"):
                take("127.0.0.1", port)


def test_a_port_that_is_free_is_held() -> None:
    [free] = ports.bind("127.0.0.1", 0)
    port = free.getsockname()[1]
    free.close()
    held = ports.hold("127.0.0.1", port)
    assert [each.getsockname()[1] for each in held] == [port]
    close(held)


def test_an_error_names_the_option_that_the_port_is_from() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match="choose another with --ops-port"):
            ports.bind("127.0.0.1", port, option="--ops-port")
    with pytest.raises(SettingsError, match="with --ops-host"):
        ports.bind("192.0.2.1", 0, option="--ops-port")


def test_a_port_taken_on_one_of_two_addresses_leaves_the_other_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2")]
    monkeypatch.setattr(ports, "_addresses", lambda host, port: found)
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} on both is taken"):
            ports.bind("both", port)
        with socket.create_server(("127.0.0.1", port)):  # a leak would be a warning, and so red
            pass


def test_a_port_shared_by_strangers_is_taken_too() -> None:
    """SO_REUSEPORT alone would let a second cluster slip into the first one's port."""
    held = ports.hold("127.0.0.1", 0)
    port = held[0].getsockname()[1]
    child = ports.bind("127.0.0.1", port, shared=True)
    child[0].listen()
    with pytest.raises(SettingsError, match="is taken"):
        ports.hold("127.0.0.1", port)
    close(held + child)


async def test_children_share_the_port_their_parent_holds() -> None:
    held = ports.hold("127.0.0.1", 0)
    port = held[0].getsockname()[1]
    with ExitStack() as stack:
        for bound in held:
            stack.enter_context(bound)
        for _ in range(2):
            [listener] = ports.listeners(ports.bind("127.0.0.1", port, shared=True))
            async with listener, await trio.open_tcp_stream("127.0.0.1", port):
                await (await listener.accept()).aclose()


def test_of_two_that_bind_at_once_the_first_to_listen_has_the_port() -> None:
    first = ports.bind("127.0.0.1", 0)
    port = first[0].getsockname()[1]
    second = ports.bind("127.0.0.1", port)
    first[0].listen()
    with pytest.raises(SettingsError, match=f"port {port} on 127.0.0.1 is taken"):
        ports.listeners(second)
    with pytest.raises(SettingsError, match="choose another with --ops-port"):
        ports.listeners(second, option="--ops-port")
    close(first + second)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_is_not_ours(host: str) -> None:
    with pytest.raises(SettingsError, match=f"host {host} is no address of this machine"):
        ports.bind(host, 0)


def test_a_port_for_the_privileged(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ports, "_bind", denied)
    with pytest.raises(SettingsError, match=r"port 80 is not allowed .* above 1023"):
        ports.bind("127.0.0.1", 80)


def test_ipv6_is_bound_alone() -> None:
    try:
        [bound] = ports.bind("::1", 0)
    except SettingsError:
        pytest.skip("no IPv6 on this machine")
    assert bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    close([bound])


@pytest.mark.parametrize("shared", [False, True])
def test_every_address_is_ipv4_and_ipv6_on_one_port(shared: bool) -> None:
    try:
        [bound] = ports.bind("::", 0, shared=shared)
    except SettingsError:
        pytest.skip("no IPv6 on this machine")
    with bound:
        bound.listen()
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, bound.getsockname()[1])).close()


def test_every_ipv4_address_is_no_ipv6() -> None:
    [bound] = ports.bind("0.0.0.0", 0)
    with bound:
        bound.listen()
        with pytest.raises(OSError, match=r"refused|Cannot assign"):
            socket.create_connection(("::1", bound.getsockname()[1]))


def test_a_port_that_somebody_has_on_ipv4_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} on :: is taken|no address"):
            ports.bind("::", port)


def test_urls() -> None:
    assert ports.urls("::", 80) == "ws://[::]:80 and ws://0.0.0.0:80"
    assert ports.urls("0.0.0.0", 80) == "ws://0.0.0.0:80"
    assert ports.url("127.0.0.1", 80) == "ws://127.0.0.1:80"
    assert ports.url("::1", 80) == "ws://[::1]:80"
