"""The limits refuse what would hang or refuse everything."""

import attrs
import pytest

from trio_wss.settings import Settings
from trio_wss.wire import WireLimits


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(WireLimits)])
def test_every_limit_is_above_zero(name: str) -> None:
    for value in (0, -1):
        with pytest.raises(ValueError, match=name):
            WireLimits(**{name: value})


def test_what_can_be_set_has_the_defaults_of_the_settings() -> None:
    assert WireLimits.of(Settings()) == WireLimits()


def test_settings_become_limits() -> None:
    settings = Settings(
        handshake_timeout=1.0, max_message=2, outbox=4096, ping_interval=3.0, ping_timeout=4.0
    )
    assert WireLimits.of(settings) == WireLimits(
        handshake_seconds=1.0,
        message_bytes=2,
        outbox_bytes=4096,
        ping_seconds=3.0,
        pong_seconds=4.0,
    )
