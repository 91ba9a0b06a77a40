"""The limits refuse what would hang or refuse everything."""

import attrs
import pytest

from trio_wss.wire import WireLimits


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(WireLimits)])
def test_every_limit_is_above_zero(name: str) -> None:
    for value in (0, -1):
        with pytest.raises(ValueError, match=name):
            WireLimits(**{name: value})
