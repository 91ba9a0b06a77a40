"""Origins are scheme, host and port, whichever way they are spelt."""

import pytest

from trio_wss.wire.origins import Origin, origin_allowed, parse_origin

A = "https://a.example"


@pytest.mark.parametrize(
    ("origin", "host", "origins", "allowed"),
    [
        pytest.param(None, "a.example", (), True, id="no browser"),
        # Its own pages. Whether TLS ends before the node is not known.
        (A, "a.example", (), True),
        ("http://a.example", "a.example", (), True),
        (A, "a.example:443", (), True),
        ("http://a.example", "a.example:80", (), True),
        ("https://a.example:443", "a.example", (), True),
        ("http://a.example:80", "a.example", (), True),
        ("https://a.example:443", "a.example:443", (), True),
        (A, "a.example:", (), True),
        (A, "a.example:80", (), False),
        ("http://a.example", "a.example:443", (), False),
        ("http://a.example:443", "a.example", (), False),
        ("https://a.example:80", "a.example", (), False),
        ("http://A.example:8000", "a.Example:8000", (), True),
        ("HTTPS://A.EXAMPLE", "a.example", (), True),
        ("http://a.example:8000", "a.example", (), False),
        ("http://a.example", "a.example:8000", (), False),
        ("http://a.example:8000", "a.example:8001", (), False),
        ("http://[::1]", "[::1]:80", (), True),
        ("https://[::1]:443", "[::1]", (), True),
        ("http://[::1]:8000", "[::1]:8000", (), True),
        ("http://[::1]:8000", "[::2]:8000", (), False),
        ("https://a.example.", "a.example", (), False),
        ("https://a.example.", "a.example.:443", (), True),
        ("app://local", "local", (), True),
        ("app://local", "local:80", (), False),
        # Others.
        ("https://a.example.evil", "a.example", (), False),
        ("https://evil/a.example", "a.example", (), False),
        ("https://a.example@evil", "a.example", (), False),
        ("https://a.example:443@evil", "a.example", (), False),
        ("https://user@a.example", "a.example", (), False),
        ("https://a.example https://evil", "a.example", (), False),
        ("https://a.example:999999", "a.example:999999", (), False),
        ("null", "a.example", (), False),
        ("null", "null", (), False),
        ("null", "a.example", ("null",), False),
        ("null", "a.example", ("*",), True),
        ("", "", (), False),
        ("http://", "", (), False),
        ("http://[", "a.example", (), False),
        ("http://a.example", "[", (), False),
        # Those in the settings.
        ("https://app.example", "a.example", ("https://APP.example/",), True),
        ("https://app.example", "a.example", ("https://app.example:443",), True),
        ("https://app.example:443", "a.example", ("https://app.example",), True),
        ("http://app.example", "a.example", ("http://app.example:80",), True),
        ("http://app.example", "a.example", ("https://app.example",), False),
        ("http://app.example", "a.example", ("http://app.example:443",), False),
        ("https://app.example:8443", "a.example", ("https://app.example",), False),
        ("http://b.example", "a.example", ("https://app.example", "http://b.example"), True),
        ("anything", "a.example", ("*",), True),
    ],
)
def test_a_browsers_origin_must_match(
    origin: str | None, host: str, origins: tuple[str, ...], allowed: bool
) -> None:
    assert origin_allowed(origin, host, origins) is allowed


def test_an_origin_is_scheme_host_and_port() -> None:
    assert parse_origin(A) == Origin("https", "a.example", 443)
    assert parse_origin("http://[::1]:8000") == Origin("http", "[::1]", 8000)
    assert parse_origin("app://local") == Origin("app", "local", None)
    assert parse_origin("null") is None
