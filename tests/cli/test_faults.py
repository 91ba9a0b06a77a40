"""trio_wss/cli/faults.py: the errors inside groups of groups."""

from trio_wss.cli.faults import leaves


def test_an_error_is_its_own_leaf() -> None:
    error = ValueError()
    assert list(leaves(error)) == [error]


def test_leaves_come_in_order_from_any_depth() -> None:
    a, b, c = ValueError("a"), KeyError("b"), KeyboardInterrupt()
    group = BaseExceptionGroup("", [ExceptionGroup("", [a, ExceptionGroup("", [b])]), c])
    assert list(leaves(group)) == [a, b, c]
