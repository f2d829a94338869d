"""A sample of every route of the link over HTTP. Its key is the right to it, and no account has anybody else's; what it does with the right
one is tried where it is built."""

from __future__ import annotations

from proofs.matrixing.site import Site, route
from proofs.matrixing.speaking import Request
from protocol.codec import encode
from protocol.codes import Code
from protocol.frames import Hello

LINK = "/api/v1/link"
_STRANGE = (("Authorization", "Link 00000000000000000000000000000000"),)


@route("links.open")
async def open_link(site: Site) -> Request:
    return Request("POST", LINK, encode(Hello(1, "no token", 1)), "application/msgpack")


@route("links.send", past=(Code.NOT_FOUND,))
async def send(site: Site) -> Request:
    return Request("POST", f"{LINK}/00000000-1?n=2", b"\x91\x01", "application/msgpack", _STRANGE)


@route("links.receive", past=(Code.NOT_FOUND,))
async def receive(site: Site) -> Request:
    return Request("GET", f"{LINK}/00000000-1?after=0", fields=_STRANGE)


@route("links.leave", past=(Code.NOT_FOUND,))
async def leave(site: Site) -> Request:
    return Request("DELETE", f"{LINK}/00000000-1", fields=_STRANGE)
