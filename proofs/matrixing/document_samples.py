"""A sample of all that is done with documents. As `operation_samples`: what a sample names exists and is fresh."""

from __future__ import annotations

from typing import Final

from proofs.matrixing.command_samples import _id
from proofs.matrixing.operation_samples import NO_ACCOUNT
from proofs.matrixing.site import Ask, Run, Site, command, operation
from proofs.matrixing.speaking import Talker, by_id, intrude
from protocol.codec import encode
from protocol.codes import Code
from protocol.documents import checksum_of
from protocol.events import Updated
from protocol.frames import (
    AnyFrame,
    Aware,
    DocumentPart,
    DocumentVersionPage,
    DocumentVersions,
    Event,
    Failed,
    Follow,
    Followed,
    IsAware,
    LoadDocument,
    Ping,
    Pong,
    Unfollow,
)
from protocol.operations import AnyOperation, ChangeDocument, CreateDocument, NameVersion, RestoreVersion, Update

GENERATION: Final = 7
_DOCUMENT: Final = (
    "with opened as (insert into streams (space_id, kind, name, head, placement) values ($1, 5, 'notes', 1, $1) returning id),"
    " told as (insert into log (stream_id, seq, kind, author, at, body) select id, 1, 84, $2, 0, '\\x925407' from opened)"
    " insert into documents (stream_id, space_id, created_by, write_roles, generation) select id, $1, $2, 15, $3 from opened"
    " returning stream_id"
)
_VERSION: Final = (
    "insert into document_versions (stream_id, space_id, generation, upto, until, name, by, state, vector)"
    " values ($1, $2, $3, 1, 1, 'first', $4, '', '\\x00') returning id"
)


async def document(site: Site, opener: int = 0) -> int:
    """A document that everybody in the place writes, opened by its owner, or by `opener`."""
    return await site.ground.value(_DOCUMENT, site.place.space, opener or site.place.owner.user, GENERATION)


async def version(site: Site, document: int) -> int:
    return await site.ground.value(_VERSION, document, site.place.space, GENERATION, site.place.owner.user)


async def update(site: Site, document: int) -> Update:
    """Two letters in a text called t, by a pen of their own."""
    pen, number = bytearray(), await site.ground.next_key()
    while number > 0x7F:
        pen.append(number & 0x7F | 0x80)
        number >>= 7
    raw = b"\1\1" + bytes((*pen, number)) + b"\0\4\1\1t\2hi\0"
    return Update(document, GENERATION, raw, checksum_of(raw))


@operation(CreateDocument)
async def create_document(site: Site) -> AnyOperation:
    return CreateDocument(site.place.space, site.ground.word())


@operation(ChangeDocument)
async def change_document(site: Site) -> AnyOperation:
    return ChangeDocument(await document(site), site.ground.word(), 15, 15)


@operation(ChangeDocument, "of one's own", mine=True, without=NO_ACCOUNT)
async def change_own_document(site: Site) -> AnyOperation:
    return ChangeDocument(await document(site, site.user), site.ground.word(), 15, 15)


@operation(Update)
async def write(site: Site) -> AnyOperation:
    return await update(site, await document(site))


@operation(NameVersion)
async def name_version(site: Site) -> AnyOperation:
    return NameVersion(await document(site), 1, site.ground.word())


@operation(RestoreVersion)
async def restore_version(site: Site) -> AnyOperation:
    named = await document(site)
    return RestoreVersion(named, await version(site, named))


@operation(RestoreVersion, "of one's own", mine=True, without=NO_ACCOUNT)
async def restore_own_version(site: Site) -> AnyOperation:
    named = await document(site, site.user)
    return RestoreVersion(named, await version(site, named))


@command(LoadDocument)
async def load_document(site: Site) -> Ask:
    id = _id(site)
    return Ask(LoadDocument(id, await document(site)), by_id(id, DocumentPart))


@command(DocumentVersions)
async def document_versions(site: Site) -> Ask:
    named, id = await document(site), _id(site)
    await version(site, named)
    return Ask(DocumentVersions(id, named), by_id(id, DocumentVersionPage))


@command(Aware)
async def aware(site: Site) -> Run:
    """Followed or not, one says where one is; whoever follows hears it before what is written after it, or never."""

    async def run() -> Code:
        named = await document(site)
        said = Aware(named, b"here")
        if site.talker is None:
            return await intrude(site.port, site.source, site.actor.login, encode(said))
        await _follow(site.watcher, named)
        code = await _follow(site.talker, named)
        await site.talker.send(encode(said))
        id = _id(site)
        await site.talker.ask(Ping(id), by_id(id, Pong))
        heard: list[AnyFrame] = []
        site.watcher.kept = heard
        await site.writer.do(await update(site, named))
        while not any(isinstance(frame, Event) and isinstance(frame.body, Updated) for frame in heard):
            await site.watcher.frame()
        site.watcher.kept = None
        for talker in (site.watcher, site.talker):
            id = talker.next_id()
            await talker.ask(Unfollow(id, named), lambda frame: Code.OK if getattr(frame, "id", 0) else None)
        return Code.OK if IsAware(named, site.user, b"here") in heard else code or Code.FAULT

    return Run(run)


async def _follow(talker: Talker, stream: int) -> Code:
    """Until it is live; or why it is not."""
    id = talker.next_id()

    def judge(frame: AnyFrame) -> Code | None:
        if isinstance(frame, Failed) and frame.id == id:
            return frame.code
        return Code.OK if isinstance(frame, Followed) and frame.id == id and frame.live else None

    return await talker.ask(Follow(id, stream, 1), judge)
