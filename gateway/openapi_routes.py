"""What HTTP is, told by the server that speaks it.

    GET /api/v1/openapi.json     200, 304     OpenAPI 3.1, for programs
    GET /api/v1/docs             200          the same, for people: a page that reads the document

Invariant: what is told is what this process serves; a part that is not installed is not in it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, cast

import msgspec
from quart import Blueprint, Response, current_app, request
from quart_trio import QuartTrio

from gateway.openapi import describe
from gateway.openapi_answers import Field, Media, answers
from gateway.web_needs import needs
from gateway.web_recovery import page_policy
from protocol.permissions import ANYONE

DOCUMENT_PATH: Final = "/api/v1/openapi.json"
PAGE: Final = Path(__file__).with_name("openapi.html").read_text("utf-8")
POLICY: Final = page_policy(PAGE)


def create_openapi() -> Blueprint:
    """The routes above."""
    routes = Blueprint("openapi", __name__)
    openapi = OpenApi()
    routes.get(DOCUMENT_PATH)(openapi.document)
    routes.get("/api/v1/docs")(openapi.page)
    return routes


class OpenApi:
    """One method per route. The document is made when it is first asked for: every route is there by then."""

    def __init__(self) -> None:
        self._document = b""
        self._etag = ""

    @needs(ANYONE)
    @answers(
        "This document.",
        {200: Media("application/json"), 304: None},
        fields=(Field("If-None-Match", "The `ETag` of what is kept already."),),
        sends={"ETag": "Of this document."},
        compress=True,
    )
    async def document(self) -> Response:
        if not self._document:
            self._document = msgspec.json.encode(describe(cast(QuartTrio, current_app)))
            self._etag = f'W/"{hashlib.sha256(self._document).hexdigest()[:32]}"'
        fields = {"ETag": self._etag, "Cache-Control": "no-cache"}
        if self._etag in (part.strip() for part in request.headers.get("If-None-Match", "").split(",")):
            return Response(b"", status=304, headers=fields)
        return Response(self._document, headers=fields, content_type="application/json")

    @needs(ANYONE)
    @answers("This document, to be read.", {200: Media("text/html", text=True)}, compress=True)
    async def page(self) -> Response:
        fields = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return Response(PAGE, headers=fields, content_type="text/html; charset=utf-8")
