"""trio_wss/web/static_files.py: what a node serves over plain HTTP, and what it never does."""

import os
from pathlib import Path

import pytest
import trio
from attrs import define

from tests.support.members import dial
from trio_wss import App
from trio_wss.errors import RegistrationError
from trio_wss.testing import Cluster, cluster
from trio_wss.web import static_files as static
from trio_wss.web.static_files import StaticFiles
from trio_wss.wire import Head, Response

PAGE = b"<!doctype html><title>hi</title>"


@define
class Got:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


async def get(nodes: Cluster, path: str, *, method: str = "GET", **headers: str) -> Got:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    with trio.fail_after(20):
        async with await dial(nodes.nodes[0].url) as stream:
            head = f"{method} {path} HTTP/1.1\r\nHost: a\r\n{''.join(lines)}\r\n"
            await stream.send_all(head.encode())
            answer = b"".join([bytes(chunk) async for chunk in stream])
    top, _, body = answer.partition(b"\r\n\r\n")
    status, *rest = top.decode().split("\r\n")
    pairs = [line.split(": ", 1) for line in rest]
    assert len({name for name, _ in pairs}) == len(pairs), "a header comes twice"
    return Got(int(status.split(" ")[1]), {name.lower(): value for name, value in pairs}, body)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = tmp_path / "pages"
    (pages / "sub").mkdir(parents=True)
    (pages / "index.html").write_bytes(PAGE)
    (pages / "app.js").write_bytes(b"export {}")
    (pages / "a b.css").write_bytes(b"a{}")
    (pages / "sub/index.html").write_bytes(b"sub")
    (pages / "sub/UPPER.PNG").write_bytes(b"\x89PNG")
    (pages / "strange.xyz").write_bytes(b"?")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return pages


def of(folder: Path, path: str, **headers: str) -> Response:
    answer = StaticFiles(folder).answer(Head(path, headers=headers))
    assert answer is not None
    return answer


async def test_a_node_serves_the_folder_of_its_app(folder: Path, redis_url: str) -> None:
    async with cluster(App(static=folder), 1, redis=redis_url) as nodes:
        page = await get(nodes, "/")
        assert (page.status, page.body) == (200, PAGE)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-length"] == str(len(PAGE))
        assert page.headers["cache-control"] == "no-cache"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (await get(nodes, "/index.html?v=1")).body == PAGE
        assert (await get(nodes, "/a%20b.css")).headers["content-type"].startswith("text/css")

        again = await get(nodes, "/", If_None_Match=page.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == page.headers["etag"]
        assert again.headers["cache-control"] == "no-cache"
        assert "content-length" not in again.headers

        head = await get(nodes, "/", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(PAGE))

        assert (await get(nodes, "/none")).status == 404
        assert (await get(nodes, "/", method="POST")).status == 405
        assert (await get(nodes, "/healthz")).body == b"ok\n"


async def test_a_node_without_a_folder_serves_the_client(redis_url: str) -> None:
    async with cluster(App(), 1, redis=redis_url) as nodes:
        module = await get(nodes, "/trio-wss.js")
        assert module.status == 200
        assert b"export function connect" in module.body
        assert module.headers["content-type"] == "text/javascript; charset=utf-8"
        assert module.headers["access-control-allow-origin"] == "*"
        assert (await get(nodes, "/")).status == 426


async def test_a_large_file_goes_out_whole(folder: Path, redis_url: str) -> None:
    large = os.urandom(5 << 20)
    (folder / "large.bin").write_bytes(large)
    async with cluster(App(static=folder), 1, redis=redis_url) as nodes:
        assert (await get(nodes, "/large.bin")).body == large


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub/../../secret.txt",
        "//secret.txt",
        "/link.txt",
        "/linked/secret.txt",
        "/.hidden",
        "/.git/config",
        "/sub",
        "/index.html/",
        "/app.js%00",
        "/INDEX.html",
    ],
)
async def test_nothing_but_its_files_is_served(folder: Path, redis_url: str, path: str) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "linked").symlink_to(folder.parent, target_is_directory=True)
    (folder / ".hidden").write_bytes(b"secret")
    (folder / ".git").mkdir()
    (folder / ".git/config").write_bytes(b"secret")
    os.mkfifo(folder / "fifo")
    async with cluster(App(static=folder), 1, redis=redis_url) as nodes:
        answer = await get(nodes, path)
        assert answer.status == 404
        assert b"secret" not in answer.body


def test_a_link_inside_and_what_is_well_known_are_served(folder: Path) -> None:
    (folder / "sub/link.css").symlink_to(folder / "a b.css")
    (folder / ".well-known").mkdir()
    (folder / ".well-known/security.txt").write_bytes(b"mailto:")
    assert of(folder, "/sub/link.css").body == b"a{}"
    assert of(folder, "/.well-known/security.txt").body == b"mailto:"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/sub/", "text/html; charset=utf-8"),
        ("/sub/UPPER.PNG", "image/png"),
        ("/strange.xyz", "application/octet-stream"),
    ],
)
def test_a_file_has_its_type(folder: Path, path: str, kind: str) -> None:
    assert of(folder, path).content_type == kind


def test_an_app_may_serve_a_client_of_its_own(folder: Path) -> None:
    (folder / "trio-wss.js").write_bytes(b"mine")
    assert of(folder, "/trio-wss.js").body == b"mine"


def test_etags_tell_contents_apart(folder: Path) -> None:
    tags = [dict(of(folder, path).headers)["ETag"] for path in ("/", "/sub/", "/app.js")]
    assert len(set(tags)) == 3
    for named in (tags[0], f"W/{tags[0]}", f'"x", {tags[0]}', "*"):
        assert of(folder, "/", **{"if-none-match": named}).status == 304
    for named in (tags[1], tags[0].strip('"'), "", '"*"'):
        assert of(folder, "/", **{"if-none-match": named}).status == 200


def test_files_are_as_they_were_at_the_start(folder: Path) -> None:
    files = StaticFiles(folder)
    (folder / "index.html").unlink()
    answer = files.answer(Head("/"))
    assert answer is not None
    assert answer.body == PAGE


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match=r"static folder .*none.*No such file"):
        StaticFiles(tmp_path / "none")


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(RegistrationError, match="Not a directory"):
        StaticFiles(folder / "index.html")


def test_too_many_bytes_stop_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "MAX_STATIC_BYTES", sum(len(body) for body in contents(folder)))
    StaticFiles(folder)
    (folder / "more").write_bytes(b"x")
    with pytest.raises(RegistrationError, match="a web server or a CDN"):
        StaticFiles(folder)


def test_too_many_files_stop_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "MAX_STATIC_FILES", 3)
    with pytest.raises(RegistrationError, match="more than 3 files"):
        StaticFiles(folder)


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def test_a_relative_folder_lies_beside_the_module_that_makes_the_app() -> None:
    assert App(static="pages").static == Path(__file__).parent / "pages"
    assert App(static="/srv/pages").static == Path("/srv/pages")
    assert App().static is None
    made: dict[str, App] = {}
    exec("app = App(static='pages')", {"App": App}, made)
    assert made["app"].static == Path("pages")
