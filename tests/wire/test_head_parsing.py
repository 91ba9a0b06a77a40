"""Our reading of a request head is that of h11, which is proven, or stricter."""

import h11
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from trio_wss.wire.head import parse_head

Parsed = tuple[str, dict[str, str]]


def ours(data: bytes) -> Parsed | None:
    try:
        _, head = parse_head(data)
    except ValueError:
        return None
    return head.method, dict(head.headers)


def theirs(data: bytes) -> Parsed | None:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(data)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Request)
    headers: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode(), value.decode("latin-1")
        between = "; " if key == "cookie" else ", "
        headers[key] = f"{headers[key]}{between}{text}" if key in headers else text
    return event.method.decode(), headers


odd = st.sampled_from(
    [b" ", b"\t", b"\r", b"\0", b"\x01", b"\x7f", b"\xe9", b":", b",", b"a", b'"']
)
names = st.one_of(
    st.sampled_from([b"Host", b"host", b"X-Name", b"Content-Length", b"Cookie", b""]),
    st.lists(odd, max_size=4).map(b"".join),
)
values = st.one_of(
    st.sampled_from([b"x", b"3", b"3, 3", b"3, 4", b"a b\tc", b""]),
    st.lists(odd, max_size=6).map(b"".join),
)
separators = st.sampled_from([b": ", b":", b":\t ", b" : ", b""])
ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b" \r\n"])
fields = st.tuples(names, separators, values, ends).map(b"".join)
lines = st.one_of(
    st.sampled_from([b"GET / HTTP/1.1\r\n", b"GET /?a=b HTTP/1.0\r\n", b"HEAD /x HTTP/1.1\n"]),
    st.tuples(
        st.sampled_from([b"GET", b"G(T", b"", b" GET"]),
        st.sampled_from([b" ", b"  ", b"\t"]),
        st.sampled_from([b"/", b"/\xe9", b"/a b", b"*", b""]),
        st.sampled_from([b" HTTP/1.1", b" HTTP/2", b" http/1.1", b"", b" HTTP/0.9"]),
        ends,
    ).map(b"".join),
)


@settings(deadline=None, max_examples=500)
@given(lines, st.booleans(), st.lists(fields, max_size=4))
@example(b"GET / HTTP/1.1\r\n", True, [b"Host: y\r\n"])
@example(b"GET / HTTP/1.1\r\n", False, [])
def test_a_head_is_read_as_h11_reads_it(line: bytes, host: bool, rest: list[bytes]) -> None:
    data = b"".join([line, b"Host: x\r\n" if host else b"", *rest, b"\r\n"])
    head, _, behind = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    assume(not behind)  # one head, not two
    assume(not any(one[:1] in (b" ", b"\t") for one in head.split(b"\n")[1:]))  # folded: refused
    assert ours(data) == theirs(data)
