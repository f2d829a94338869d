"""The web app: what `web/app/build.mjs` wrote into `gateway/site/`, served beside `/api` and `/socket`.

    GET /                       the page: asked for anew each time, by its ETag
    GET /app/<name>             script, style, words: hashed names, kept by browsers for a year
    GET /worker.js /icon.svg /manifest.webmanifest

The files are part of this package, read once and held: a few hundred KiB, each packed by the build in two ways. A checkout whose app was
not built says at `/` how to build it.

Invariant: what is served is a file of the build, by its exact name; no part of a path ever reaches the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from quart import Blueprint, Response, request

from gateway.openapi_answers import Field, Media, answers
from gateway.options import SITE
from gateway.problems import Problem
from gateway.web_needs import needs
from protocol.codes import Code
from protocol.permissions import ANYONE

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Of the page and of its worker, which has a policy of its own. Nothing inline runs, and nothing of elsewhere. What can be shown by itself
(the sign) has the policy of all answers, under which nothing runs; a script or style is nothing by itself and runs under the page's."""
_HAS_POLICY: Final = frozenset({"index.html", "worker.js"})
TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
PACKED: Final[Mapping[str, str]] = {"br": ".br", "gzip": ".gz"}
"""By name of the content coding, best first: how the build's file ends."""
FOR_EVER: Final = "max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>EduConnect</title>
<h1>EduConnect</h1>
<p>The gateway runs. The web app is not in this checkout: <code>cd web && npm ci && node app/build.mjs</code> builds it.</p>
<p>From a terminal: <code>educonnect chat --register --name ada</code></p>
</html>
"""


_KEPT: Final = (Field("If-None-Match", "What is kept already."), Field("Accept-Encoding", "In which packing: br, gzip or none."))


class SiteFile(Struct, frozen=True):
    """A file of the build. `bodies`: its bytes by content coding; plain under the empty name."""

    content_type: str
    etag: str
    bodies: Mapping[str, bytes]


def load_site(folder: Path = SITE) -> Mapping[str, SiteFile]:
    """The build in `folder`, by path from it; nothing where there is none. Blocks: called while the application is made."""
    found: dict[str, SiteFile] = {}
    if not (folder / "index.html").is_file():
        return found
    for path in sorted(folder.rglob("*")):
        content_type = TYPES.get(path.suffix)
        if content_type is None or not path.is_file():
            continue
        plain = path.read_bytes()
        bodies = {"": plain}
        for coding, ending in PACKED.items():
            packed = path.with_name(path.name + ending)
            if packed.is_file():
                bodies[coding] = packed.read_bytes()
        found[path.relative_to(folder).as_posix()] = SiteFile(content_type, hashlib.sha256(plain).hexdigest()[:16], bodies)
    return found


def create_site(files: Mapping[str, SiteFile]) -> Blueprint:
    """The routes above."""
    routes = Blueprint("site", __name__)
    site = _Site(files)
    routes.get("/")(site.page)
    routes.get("/app/<name>")(site.file)
    routes.get("/worker.js")(site.worker)
    routes.get("/icon.svg")(site.icon)
    routes.get("/manifest.webmanifest")(site.manifest)
    return routes


class _Site:
    """One method per route."""

    def __init__(self, files: Mapping[str, SiteFile]) -> None:
        self._files = files

    @needs(ANYONE)
    @answers("The web app.", {200: Media("text/html", text=True), 304: None}, fields=_KEPT)
    async def page(self) -> Response:
        if "index.html" not in self._files:
            return Response(NOT_BUILT, content_type=TYPES[".html"])
        return self._answer("index.html", ASK_AGAIN)

    @needs(ANYONE)
    @answers("A file of the app: script, style, words.", {200: Media("text/javascript", text=True), 304: None}, fields=_KEPT)
    async def file(self, name: str) -> Response:
        return self._answer(f"app/{name}", FOR_EVER)

    @needs(ANYONE)
    @answers("What keeps the web app on a device.", {200: Media("text/javascript", text=True), 304: None}, fields=_KEPT)
    async def worker(self) -> Response:
        return self._answer("worker.js", ASK_AGAIN)

    @needs(ANYONE)
    @answers("The web app's sign.", {200: Media("image/svg+xml", text=True), 304: None}, fields=_KEPT)
    async def icon(self) -> Response:
        return self._answer("icon.svg", ASK_AGAIN)

    @needs(ANYONE)
    @answers("How the web app is installed.", {200: Media("application/manifest+json", text=True), 304: None}, fields=_KEPT)
    async def manifest(self) -> Response:
        return self._answer("manifest.webmanifest", ASK_AGAIN)

    def _answer(self, name: str, keeping: str) -> Response:
        file = self._files.get(name)
        if file is None:
            raise Problem(Code.NOT_FOUND, "the web app has no such file; a page of an older build names some that are gone: load it again")
        coding = next((one for one in PACKED if one in file.bodies and request.accept_encodings.quality(one) > 0), "")
        # One tag for each coding, or a cache takes packed bytes for plain ones.
        etag = f'"{file.etag}{coding and "-"}{coding}"'
        headers = {"Cache-Control": keeping, "ETag": etag, "Vary": "Accept-Encoding"}
        if name in _HAS_POLICY:
            headers |= {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        if etag in (part.strip() for part in request.headers.get("If-None-Match", "").split(",")):
            return Response(b"", status=304, headers=headers)
        if coding:
            headers["Content-Encoding"] = coding
        return Response(file.bodies[coding], headers=headers, content_type=file.content_type)
