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


# Communities and their channels


def _community(site: Site, path: str = "") -> str:
    return f"{V1}/communities/{site.place.space}{path}"


def _messages(site: Site, path: str = "") -> str:
    return _community(site, f"/channels/{site.place.channel}/messages{path}")


@route("api.own")
async def own_communities(site: Site) -> Request:
    return Request("GET", f"{V1}/communities")


@route("api.found")
async def found_community(site: Site) -> Request:
    return Request("POST", f"{V1}/communities", {"name": site.ground.word()})


@route("api.show", foreign=True)
async def show_community(site: Site) -> Request:
    return Request("GET", _community(site))


@route("api.members", foreign=True)
async def list_members(site: Site) -> Request:
    return Request("GET", _community(site, "/members"))


@route("api.open", foreign=True)
async def open_channel(site: Site) -> Request:
    return Request("POST", _community(site, "/channels"), {"name": site.ground.word()})


@route("messages.page", foreign=True)
async def read_messages(site: Site) -> Request:
    return Request("GET", _messages(site))


@route("search.everywhere")
async def find_everywhere(site: Site) -> Request:
    return Request("GET", f"{V1}/search?words={site.ground.word()}")


@route("search.community", foreign=True)
async def find_in_community(site: Site) -> Request:
    return Request("GET", _community(site, f"/search?words={site.ground.word()}"))


@route("messages.say", foreign=True)
async def say(site: Site) -> Request:
    return Request("POST", _messages(site), {"text": "said over HTTP"})


@route("messages.edit", foreign=True)
async def edit(site: Site) -> Request:
    """One's own; of what others wrote nobody but them changes a word."""
    seq = await site.ground.message(site.place.channel, site.user)
    return Request("PUT", _messages(site, f"/{seq}"), {"text": "said better"})


@route("messages.take_back", "own", foreign=True, mine=True)
async def take_back_own(site: Site) -> Request:
    seq = await site.ground.message(site.place.channel, site.user)
    return Request("DELETE", _messages(site, f"/{seq}"))


@route("messages.take_back", "another's", foreign=True)
async def take_back(site: Site) -> Request:
    seq = await site.ground.message(site.place.channel, site.place.pupil.user)
    return Request("DELETE", _messages(site, f"/{seq}"))
