"""A sample of every route by which other programs read and write what people say, and of what describes them."""

from __future__ import annotations

from proofs.matrixing.site import Site, route
from proofs.matrixing.speaking import Request

V1 = "/api/v1"


@route("openapi.document")
async def document(site: Site) -> Request:
    return Request("GET", f"{V1}/openapi.json")


@route("openapi.page")
async def reference(site: Site) -> Request:
    return Request("GET", f"{V1}/docs")
