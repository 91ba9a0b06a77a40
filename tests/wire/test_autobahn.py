"""The Autobahn test suite against an echo server over the wire layer."""

import json
import sysconfig
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.support.echo import serve
from trio_wss.wire import WireLimits

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
LIMITS = WireLimits(message_bytes=32 << 20, outbox_bytes=64 << 20)  # cases 9.* send 16 MiB


@pytest.mark.slow
async def test_all_301_cases_of_autobahn_pass(tmp_path: Path) -> None:
    kosoku = Path(sysconfig.get_path("scripts")) / "kosoku"
    with trio.fail_after(300):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(serve, LIMITS))
            address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
            compression = ("-x", "12.*", "-x", "13.*")
            await trio.run_process(
                [kosoku, *compression, "-p", "8", "-o", tmp_path, address],
                capture_stdout=True,
                check=False,  # the report says more
            )
            nursery.cancel_scope.cancel()
    [agent] = json.loads((tmp_path / "index.json").read_text()).values()
    failed = {
        case: (result["behavior"], result["behaviorClose"])
        for case, result in agent.items()
        if not {result["behavior"], result["behaviorClose"]} <= PASSED
    }
    assert failed == {}
    assert len(agent) == 301
