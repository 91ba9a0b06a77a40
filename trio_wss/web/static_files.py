"""Static files, read into memory once, at the start. A request is looked up in memory and never
reaches the file system, so no path can leave the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Final, final

from attrs import frozen

from trio_wss.errors import RegistrationError
from trio_wss.wire import Head, Response

MAX_STATIC_FILES: Final = 10_000
MAX_STATIC_BYTES: Final = 64 << 20
"""The most bytes of all files together. Larger files belong on a web server or a CDN."""

CLIENT: Final = "/trio-wss.js"
"""The path at which every node serves the browser's client."""

TYPES: Final = {
    ".avif": "image/avif",
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
"""Our own table of media types: the systems' tables differ from machine to machine."""

OTHER: Final = "application/octet-stream"


@final
@frozen
class _File:
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...]
    etag: str


@final
class StaticFiles:
    """The files of a folder, and the browser's client."""

    def __init__(self, folder: PurePath | None) -> None:
        """Read the folder, without hidden files and links that lead out of it.

        Raises RegistrationError if the folder does not exist, cannot be read or is too large.
        """
        self._has_folder = folder is not None
        module = files("trio_wss") / "web" / CLIENT[1:]
        # Pages of other origins may import the client.
        anywhere = (("Access-Control-Allow-Origin", "*"),)
        self._files = {CLIENT: _file(CLIENT, module.read_bytes(), anywhere)}
        if folder is not None:
            self._files |= _read(Path(folder))

    def answer(self, head: Head) -> Response | None:
        """Return the answer to a GET or HEAD; None for an unknown path if there is no folder."""
        found = self._files.get(head.path)
        if found is None:
            return Response(404, b"There is no such page.\n") if self._has_folder else None
        headers = (
            ("ETag", found.etag),
            ("X-Content-Type-Options", "nosniff"),
            *found.headers,
        )
        if _names(head.headers.get("if-none-match", ""), found.etag):
            return Response(304, headers=headers, cache="no-cache")
        return Response(200, found.body, headers, found.content_type, "no-cache")


def _read(folder: Path) -> dict[str, _File]:
    """Return the files below a folder, by path; an `index.html` also by its folder's path."""
    found: dict[str, _File] = {}
    left = MAX_STATIC_BYTES
    try:
        for path in _paths(folder, folder.resolve()):
            name = f"/{path.relative_to(folder).as_posix()}"
            with path.open("rb") as stream:
                body = stream.read(left + 1)
            left -= len(body)
            if left < 0 or len(found) >= MAX_STATIC_FILES:
                raise RegistrationError(
                    f"static folder {folder}: more than {MAX_STATIC_FILES:,} files or"
                    f" {MAX_STATIC_BYTES >> 20} MiB: serve them from a web server or a CDN"
                )
            found[name] = _file(name, body)
            if path.name == "index.html":
                found[name.removesuffix("index.html")] = found[name]
    except OSError as error:
        raise RegistrationError(
            f"static folder {folder}: {error.filename} cannot be read ({error.strerror})"
        ) from None
    return found


def _paths(folder: Path, root: Path) -> Iterator[Path]:
    """Yield the files below a folder that may be served."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name != ".well-known"  # RFC 8615
        if hidden or not path.resolve().is_relative_to(root):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _paths(path, root)
        elif path.is_file():
            yield path


def _file(name: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> _File:
    content_type = TYPES.get(PurePath(name).suffix.lower(), OTHER)
    return _File(body, content_type, headers, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _names(if_none_match: str, etag: str) -> bool:
    """Return True if If-None-Match names this ETag (RFC 9110 §13.1.2, weak comparison)."""
    named = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in named or "*" in named
