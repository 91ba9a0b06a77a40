"""What others cause fills no log, and forges no line of it."""

from structlog.testing import capture_logs

from trio_wss.wire.seldom import MAX_VALUE, REPEAT_PAUSE, Seldom


def test_a_warning_comes_once_a_minute_with_what_was_left_out() -> None:
    now = 5.0
    seldom = Seldom(lambda: now)
    with capture_logs() as logs:
        for _ in range(4):
            seldom.warning("a")
        seldom.warning("b")
        now += REPEAT_PAUSE - 1
        seldom.warning("a")
        now += 1
        seldom.warning("a")
        now += REPEAT_PAUSE
        seldom.warning("a")
    assert [(line["event"], line.get("left_out")) for line in logs] == [
        ("a", None), ("b", None), ("a", 4), ("a", None),
    ]  # fmt: skip


def test_values_are_escaped_and_cut() -> None:
    with capture_logs() as logs:
        Seldom().warning("a", odd="x\n\x1b[31m\xe9", long="\n" * 10_000)
    assert logs[0]["odd"] == r"x\n\x1b[31m\xe9"
    assert logs[0]["long"] == r"\n" * (MAX_VALUE // 2)
