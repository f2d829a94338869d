"""Uploads over HTTP, resumable: tus 1.0 (core, creation, creation-with-upload, checksum, expiration, termination).

    OPTIONS /api/v1/uploads                                                       204, what is spoken here
    GET     /api/v1/uploads             Bearer                                    200 {uploads, room}: one's own that are not attached
    POST    /api/v1/uploads             Bearer, Upload-Length, Upload-Metadata    201, Location; a body is its first bytes
    HEAD    /api/v1/uploads/<id>        Bearer                                    200, Upload-Offset: where it goes on
    GET     /api/v1/uploads/<id>        Bearer                                    200 Upload: its state, and what it turned out to be
    PATCH   /api/v1/uploads/<id>        Bearer, Upload-Offset                     204, Upload-Offset
    DELETE  /api/v1/uploads/<id>        Bearer                                    204

Upload-Metadata knows `filename` and `sha256` (the digest in hexadecimal; what arrives otherwise is refused at the end). When the last byte
is there a job looks at the file; from state 3 on a `Post` may name it.

Invariant: nothing of a body is used before whose it is and where it belongs are known; no more of it is in memory than a piece, and what
waits behind that is bounded (`web_streaming`).
"""

from __future__ import annotations

import base64
import binascii
import re
from email.utils import formatdate
from typing import Final, cast

import msgspec
from quart import Blueprint, Response, request

from actors.accounts import Claims
from actors.uploads import Refused, Room, State, Upload, Uploads, Wanted
from gateway.openapi_answers import Field, Media, answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_input import admit, take
from gateway.web_needs import needs
from gateway.web_services import Services
from gateway.web_streaming import PacedBody
from protocol.codes import Code
from protocol.permissions import ANYONE, OWN
from protocol.values import ID_MAX

TUS: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,checksum,expiration,termination"
ALGORITHMS: Final = ("sha256", "sha1", "md5")
OFFSET_TYPE: Final = "application/offset+octet-stream"
CREATED: Final = Limit(burst=100, per_s=0.5)
SENT: Final = Limit(burst=300, per_s=5.0)
"""Requests with bytes, and questions: a link that is cut every five seconds makes one of each."""
METADATA_LENGTH_MAX: Final = 2_000
ONE: Final = f"/<int(min=1, max={ID_MAX}):upload>"
VERSION: Final = Field("Tus-Resumable", f"{TUS}", required=True, pattern="^1\\.0\\.0$")
LENGTH: Final = Field("Upload-Length", "How long the file is, in bytes.", required=True, pattern="^[0-9]{1,16}$")
OFFSET: Final = Field("Upload-Offset", "Where these bytes belong.", required=True, pattern="^[0-9]{1,16}$")
METADATA: Final = Field("Upload-Metadata", "`filename` and `sha256`, each followed by a space and its value in base64; commas between.")
CHECKSUM: Final = Field("Upload-Checksum", f"The digest of these bytes: one of {', '.join(ALGORITHMS)}, a space, base64.")
OFFSETS: Final = {"Upload-Offset": "How many bytes are kept.", "Upload-Expires": "When an unfinished upload goes."}
_NUMBER: Final = re.compile(r"[0-9]{1,16}")
_STATUS: Final = {
    Refused.Why.NOT_FOUND: (Code.NOT_FOUND, None),
    Refused.Why.OFFSET: (Code.CONFLICT, None),
    Refused.Why.TOO_LARGE: (Code.TOO_LARGE, None),
    Refused.Why.QUOTA: (Code.LIMIT, None),
    Refused.Why.OVER: (Code.CONFLICT, None),
    Refused.Why.CHECKSUM: (Code.INVALID, 460),
    Refused.Why.BUSY: (Code.BUSY, None),
}


class OwnUploads(msgspec.Struct, frozen=True):
    """What one has on its way, and what of one's quota is taken."""

    uploads: tuple[Upload, ...]
    room: Room


def create_uploads(services: Services, uploads: Uploads) -> Blueprint:
    """The routes above."""
    routes = Blueprint("uploads", __name__, url_prefix="/api/v1/uploads")
    tus = _Tus(services, uploads)
    routes.route("", methods=["OPTIONS"], provide_automatic_options=False)(tus.options)
    routes.get("")(tus.list)
    routes.post("")(tus.create)
    routes.get(ONE)(tus.show)
    routes.patch(ONE)(tus.send)
    routes.delete(ONE)(tus.drop)
    routes.after_request(_say_version)
    return routes


class _Tus:
    """One method per route."""

    def __init__(self, services: Services, uploads: Uploads) -> None:
        self._services = services
        self._uploads = uploads

    @needs(ANYONE)
    @answers("Which tus is spoken here.", {204: None}, sends={"Tus-Version": "…", "Tus-Extension": "…", "Tus-Max-Size": "Bytes."})
    async def options(self) -> Response:
        fields = {
            "Tus-Version": TUS,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(self._uploads.bytes_max),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        }
        return Response(b"", status=204, headers=fields)

    @needs(OWN)
    @answers("One's uploads that no message has, and one's quota.", {200: OwnUploads})
    async def list(self) -> Response:
        claims = await self._enter(SENT)
        own = OwnUploads(await self._uploads.list(claims.user), await self._uploads.room(claims.user))
        return Response(msgspec.json.encode(own), content_type="application/json")

    @needs(OWN)
    @answers(
        "Begins an upload (tus creation); a body is its first bytes.",
        {201: None},
        takes=Media(OFFSET_TYPE),
        body_optional=True,
        fields=(VERSION, LENGTH, METADATA, CHECKSUM),
        sends={"Location": "Where it goes on.", **OFFSETS},
        refuses=(Code.LIMIT, Code.CONFLICT, 412, 460),
    )
    async def create(self) -> Response:
        claims = await self._enter(CREATED)
        _check_version()
        if request.headers.get("Upload-Defer-Length") is not None:
            raise Problem(Code.INVALID, "Upload-Length is needed: how long a file is has to be known when it is begun")
        filename, sha256 = _read_metadata(request.headers.get("Upload-Metadata", ""))
        checksum = _read_checksum()
        wanted = Wanted(_read_number("Upload-Length"), filename, sha256)
        with_bytes = request.mimetype == OFFSET_TYPE
        if not with_bytes and (request.content_length or request.mimetype):
            raise Problem(Code.INVALID, f"a body is the file's first bytes, and comes as Content-Type {OFFSET_TYPE}", status=415)
        upload = await self._do_create(claims, wanted)
        if with_bytes:
            upload = await self._take(claims, upload.id, 0, checksum)
        response = _answer(upload, 201)
        response.headers["Location"] = f"/api/v1/uploads/{upload.id}"
        return response

    @needs(OWN)
    @answers("What an upload is, and how far it has come.", {200: Upload}, sends=OFFSETS)
    async def show(self, upload: int) -> Response:
        claims = await self._enter(SENT)
        found = await self._uploads.find(claims.user, upload)
        if found is None:
            raise Problem(Code.NOT_FOUND, "there is no such upload, or it is not yours")
        response = _answer(found, 200)
        response.headers["Upload-Length"] = str(found.bytes)
        response.set_data(msgspec.json.encode(found))
        response.content_type = "application/json"
        return response

    @needs(OWN)
    @answers(
        "Sends bytes (tus core).",
        {204: None},
        takes=Media(OFFSET_TYPE),
        fields=(VERSION, OFFSET, CHECKSUM),
        sends=OFFSETS,
        refuses=(Code.CONFLICT, Code.LIMIT, 412, 460),
    )
    async def send(self, upload: int) -> Response:
        claims = await self._enter(SENT)
        _check_version()
        if request.mimetype != OFFSET_TYPE:
            raise Problem(Code.INVALID, f"the body must be Content-Type {OFFSET_TYPE}", status=415)
        taken = await self._take(claims, upload, _read_number("Upload-Offset"), _read_checksum())
        return _answer(taken, 204)

    @needs(OWN)
    @answers("Drops an upload that no message has (tus termination).", {204: None}, fields=(VERSION,), refuses=(412,))
    async def drop(self, upload: int) -> Response:
        claims = await self._enter(SENT)
        _check_version()
        if not await self._uploads.drop(claims.user, upload):
            raise Problem(Code.NOT_FOUND, "there is no such upload, it is not yours, or a message has it")
        return Response(b"", status=204)

    async def _enter(self, limit: Limit) -> Claims:
        services = self._services
        claims = await admit(services.tokens, services.sessions, services.wall())
        await take(services.rates, "uploads-created" if limit is CREATED else "uploads", claims.user, limit)
        return claims

    async def _do_create(self, claims: Claims, wanted: Wanted) -> Upload:
        try:
            return await self._uploads.create(claims.user, wanted)
        except Refused as refused:
            raise problem(refused) from None

    async def _take(self, claims: Claims, upload: int, offset: int, checksum: tuple[str, bytes] | None) -> Upload:
        try:
            return await self._uploads.take(claims.user, upload, offset, checksum, cast(PacedBody, request.body))
        except Refused as refused:
            raise problem(refused) from None
        except OSError as error:
            raise Problem(Code.UNAVAILABLE, "files cannot be kept for the moment; go on later", retry_after_s=5.0) from error


def _answer(upload: Upload, status: int) -> Response:
    fields = {"Upload-Offset": str(upload.done)}
    if upload.state in (State.ARRIVING, State.ARRIVED, State.READY):
        fields["Upload-Expires"] = formatdate(upload.expires_at, usegmt=True)
    return Response(b"", status=status, headers=fields)


def problem(refused: Refused) -> Problem:
    """What a refusal is over HTTP."""
    code, status = _STATUS[refused.why]
    headers = {"Upload-Offset": str(refused.offset)} if refused.why in (Refused.Why.OFFSET, Refused.Why.OVER) and refused.offset else {}
    return Problem(code, refused.text, status=status, headers=headers)


def _check_version() -> None:
    if request.headers.get("Tus-Resumable") != TUS:
        raise Problem(Code.INVALID, f"Tus-Resumable: {TUS} is spoken here", status=412, headers={"Tus-Version": TUS})


def _read_number(field: str) -> int:
    text = request.headers.get(field, "").strip()
    if not _NUMBER.fullmatch(text) or int(text) > ID_MAX:
        raise Problem(Code.INVALID, f"{field}: a number from 0 to {ID_MAX} is needed")
    return int(text)


def _read_checksum() -> tuple[str, bytes] | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, digits = text.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise Problem(Code.INVALID, f"Upload-Checksum: an algorithm of {', '.join(ALGORITHMS)} and a digest in base64")
    return algorithm, _base64(digits, "Upload-Checksum")


def _read_metadata(text: str) -> tuple[str, bytes | None]:
    """The name and the digest; whatever else is there is passed over."""
    if len(text) > METADATA_LENGTH_MAX:
        raise Problem(Code.INVALID, f"Upload-Metadata: at most {METADATA_LENGTH_MAX} characters")
    found: dict[str, bytes] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = pair.partition(" ")
        found[key] = _base64(value, "Upload-Metadata")
    try:
        name = found.get("filename", b"").decode()
        sha256 = bytes.fromhex(found["sha256"].decode()) if "sha256" in found else None
    except (UnicodeDecodeError, ValueError):
        raise Problem(Code.INVALID, "Upload-Metadata: filename is UTF-8, sha256 is hexadecimal, both in base64") from None
    if sha256 is not None and len(sha256) != 32:
        raise Problem(Code.INVALID, "Upload-Metadata: sha256 has 64 hexadecimal digits, in base64")
    return name, sha256


def _base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Problem(Code.INVALID, f"{field}: that is no base64") from None


async def _say_version(response: Response) -> Response:
    response.headers["Tus-Resumable"] = TUS
    return response
