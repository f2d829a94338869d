"""A sample of every route about files. What is tried of an upload is whose it is; how it goes on is tried where it is built."""

from __future__ import annotations

from typing import Final

from proofs.matrixing.site import Site, route
from proofs.matrixing.speaking import Request
from proofs.matrixing.standing import Manner
from protocol.codes import Code

V1 = "/api/v1"
TUS: Final = ("Tus-Resumable", "1.0.0")
_UPLOAD: Final = "insert into uploads (user_id, name, bytes, expires_at) values ($1, 'a file', 4, now() + interval '1 day') returning id"


async def _upload(site: Site) -> int:
    """The actor's, or somebody else's; of whom there is no account, too."""
    user = site.user if site.is_own and site.actor.standing.manner is not Manner.NOBODY else site.other.user
    return await site.ground.value(_UPLOAD, user)


@route("uploads.options")
async def options(site: Site) -> Request:
    return Request("OPTIONS", f"{V1}/uploads")


@route("uploads.list")
async def list_uploads(site: Site) -> Request:
    return Request("GET", f"{V1}/uploads")


@route("uploads.create")
async def create_upload(site: Site) -> Request:
    return Request("POST", f"{V1}/uploads", fields=(TUS, ("Upload-Length", "4")))


@route("uploads.show", foreign=True)
async def show_upload(site: Site) -> Request:
    return Request("GET", f"{V1}/uploads/{await _upload(site)}")


@route("uploads.send", foreign=True)
async def send_upload(site: Site) -> Request:
    fields = (TUS, ("Upload-Offset", "0"))
    return Request("PATCH", f"{V1}/uploads/{await _upload(site)}", b"ab", "application/offset+octet-stream", fields)


@route("uploads.drop", foreign=True)
async def drop_upload(site: Site) -> Request:
    return Request("DELETE", f"{V1}/uploads/{await _upload(site)}", fields=(TUS,))


@route("media.links")
async def media_links(site: Site) -> Request:
    """Of what one may not read nothing is said: the answer is empty, and a test of its own says so."""
    return Request("POST", f"{V1}/media/links", {"stream": site.place.channel, "messages": [1]})


@route("media.read", past=(Code.NOT_FOUND,))
async def read_media(site: Site) -> Request:
    """A link's signature is the right to it; of what is none nothing is found, whoever asks."""
    return Request("GET", f"/media/{'0' * 64}/original?of=1&until=9999999999&sig=none")


_READY: Final = (
    "with kept as (insert into objects (sha256, bytes) values (sha256('matrix'), 6) on conflict (sha256) do update set bytes = 6)"
    " insert into uploads (user_id, name, bytes, done, state, sha256, media_type, expires_at)"
    " values ($1, 'a file', 6, 6, 3, sha256('matrix'), 'text/plain', now() + interval '1 day') returning id"
)
_SHELVED: Final = (
    "insert into uploads (user_id, name, bytes, done, state, space_id, stream_id, shelved, expires_at)"
    " select $1, 'a file', 6, 6, 4, s.space_id, s.id, true, now() from streams s where s.space_id = $2 and s.kind = 12 returning id"
)


@route("library.put", foreign=True)
async def put_into_library(site: Site) -> Request:
    """Of the actor's own, so that what is refused is refused for the place."""
    return Request("PUT", f"{V1}/communities/{site.place.space}/library/{await site.ground.value(_READY, site.user)}")


@route("library.take_out", foreign=True)
async def take_out_of_library(site: Site) -> Request:
    upload = await site.ground.value(_SHELVED, site.other.user, site.place.space)
    return Request("DELETE", f"{V1}/communities/{site.place.space}/library/{upload}")


@route("library.links", foreign=True)
async def links_of_library(site: Site) -> Request:
    return Request("POST", f"{V1}/communities/{site.place.space}/library/links", {"uploads": [1]})
