"""CreateDocument, ChangeDocument, NameVersion, RestoreVersion: a document's frame. What is written in it goes the hot way.

    CreateDocument ─▶ stream + generation, empty           ChangeDocument ─▶ roles, title, put away (its stream has no writers then)
    NameVersion ────▶ the last state before it, copied ─▶ job: brought to where it was named
    RestoreVersion ─▶ what it is now, likewise kept; then the version's state as another generation, begun by a `Restarted`

All of them hold the community's lock, so no two are about one document at a time. Only a restore locks the document's stream before the
last call: its event's number says where the new generation begins, and no update may come between. It locks no other stream.

Invariant: an update that was acknowledged is in the present generation, or in a version that is kept of the one that it was written in.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.documents import Compact
from actors.jobs import Order, pack
from actors.storage import Entry
from persistence.append import ChannelChange, Effect, Refuse, authority_changed, event
from persistence.audit import Deed
from persistence.documents.states import put_reach
from persistence.jobs.enqueue import enqueue
from persistence.operations import rules
from persistence.operations.communities import audience
from persistence.operations.space import SpaceSeen, lock_space
from protocol.codes import Code
from protocol.events import DocumentChanged, DocumentOpened, Restarted, VersionNamed
from protocol.operations import ChangeDocument, CreateDocument, NameVersion, RestoreVersion
from protocol.permissions import Permission
from protocol.values import Role, StreamKind
from protocol.yjs import read_reach

DOCUMENTS_PER_SPACE_MAX: Final = 500
DOCUMENTS_PER_PERSON_MAX: Final = 50
VERSIONS_MAX: Final = 100
"""Of a document; a state is 4 MiB at most and a few kilobytes mostly."""

# A draw per generation: were they counted, a database that was restored would give the number of one that somebody still has.
_DRAW: Final = "(1 + floor(random() * 2147483646))::bigint"
_OPEN: Final = f"""
with opened as (
    insert into streams (space_id, kind, name, read_roles, write_roles, placement) values ($1, $2, $3, $4, $5, $1) returning id
)
insert into documents (stream_id, space_id, created_by, write_roles, generation, vector, vector_upto)
select o.id, $1, $6, $5, {_DRAW}, '\\x00', 0 from opened o returning stream_id, generation"""
_FIND: Final = """
select d.space_id, d.created_by, d.write_roles, d.archived, d.generation, d.upto, s.name, s.read_roles, s.head, s.audience_version
from documents d join streams s on s.id = d.stream_id where d.stream_id = $1 for no key update of d"""
# From the nearest state before it, of its own generation, where all that came after that is still in the log.
_KEEP: Final = """
insert into document_versions (stream_id, space_id, generation, upto, until, name, by, state, vector)
select $1, $2, $3, b.upto, $4, $5, $6, b.state, b.vector
from (
    select d.upto, d.state, case when d.vector_upto = d.upto then d.vector end as vector
    from documents d where d.stream_id = $1 and d.generation = $3 and d.upto <= $4
    union all select v.upto, v.state, v.vector from document_versions v where v.stream_id = $1 and v.generation = $3 and v.upto <= $4
    order by upto desc limit 1
) b where b.upto >= (select s.floor from streams s where s.id = $1) returning id"""
_RESTART: Final = f"""
update documents d set generation = {_DRAW}, state = v.state, upto = $3, vector = v.vector, vector_upto = $3, compacted_at = now()
from document_versions v where d.stream_id = $1 and v.id = $2 returning d.generation"""


class _Seen(Struct, frozen=True):
    """A document, under its community's lock."""

    stream: int
    space: SpaceSeen
    created_by: int
    title: str
    read_roles: int
    write_roles: int
    archived: bool
    generation: int
    upto: int
    head: int
    audience_version: int

    def role(self, user: int) -> Role | None:
        return self.space.role(user)


async def create_document(tx: asyncpg.Connection, entry: Entry, operation: CreateDocument) -> Effect | Refuse:
    """Opens an empty one; its first event says in which generation it is."""
    space = await lock_space(tx, operation.space, entry.user)
    if space is None:
        return rules.NOT_FOUND
    refusal = rules.need(space.kind, space.standing(entry.user), operation.needs)
    if refusal is not None:
        return refusal
    roles = audience(operation.read_roles, operation.write_roles)
    if isinstance(roles, Refuse):
        return roles
    if sum(stream.kind is StreamKind.DOCUMENT for stream in space.streams) >= DOCUMENTS_PER_SPACE_MAX:
        return Refuse(Code.LIMIT, f"a community has at most {DOCUMENTS_PER_SPACE_MAX} documents")
    opened: int = await tx.fetchval("select count(*) from documents where space_id = $1 and created_by = $2", space.id, entry.user)
    if opened >= DOCUMENTS_PER_PERSON_MAX and not space.standing(entry.user).may(Permission.MANAGE_CHANNELS):
        # Or one of them could leave no room for anybody else's.
        return Refuse(Code.LIMIT, f"one opens at most {DOCUMENTS_PER_PERSON_MAX} documents in a community, or keeps its channels")
    row = await tx.fetchrow(_OPEN, space.id, StreamKind.DOCUMENT, operation.title, *roles, entry.user)
    assert row is not None
    events = (
        event(row["stream_id"], entry.user, Restarted(row["generation"])),
        event(space.main_stream, entry.user, DocumentOpened(row["stream_id"], operation.title, *roles)),
    )
    return Effect(events, value=row["stream_id"])


async def change_document(tx: asyncpg.Connection, entry: Entry, operation: ChangeDocument) -> Effect | Refuse:
    """Title, roles, whether it is put away; only another audience makes gateways look again."""
    seen = await _find(tx, operation.document, entry.user)
    refusal = _may_keep(seen, entry.user, operation.needs.permission)
    if seen is None or refusal is not None:
        return refusal or rules.NOT_FOUND
    roles = audience(operation.read_roles, operation.write_roles)
    if isinstance(roles, Refuse):
        return roles
    read_roles, write_roles = roles
    await tx.execute(
        "update documents set write_roles = $2, archived = $3 where stream_id = $1", seen.stream, write_roles, operation.archived
    )
    written = 0 if operation.archived else write_roles
    change = ChannelChange(seen.stream, operation.title, read_roles, written)
    told = DocumentChanged(seen.stream, operation.title, read_roles, write_roles, operation.archived)
    before = (seen.read_roles, 0 if seen.archived else seen.write_roles)
    if before == (read_roles, written):
        return Effect((event(seen.space.main_stream, entry.user, told),), channel=change)
    detail = {"stream": seen.stream, "from": list(before), "to": [read_roles, written]}
    deed = Deed(entry.user, "document_audience_changed", seen.space.id, detail=detail)
    events = (event(seen.space.main_stream, entry.user, told), authority_changed(seen.space.id, 0))
    return Effect(events, bump=(seen.stream,), channel=change, deeds=(deed,))


async def name_version(tx: asyncpg.Connection, entry: Entry, operation: NameVersion) -> Effect | Refuse:
    """Keeps it; a job brings the state there."""
    seen = await _find(tx, operation.document, entry.user)
    if seen is None:
        return rules.NOT_FOUND
    role = seen.role(entry.user)
    if role is None or not role & seen.read_roles:
        return rules.NOT_FOUND if role is None else Refuse(Code.FORBIDDEN, "this role does not read here")
    if not role & seen.write_roles:
        return Refuse(Code.FORBIDDEN, "who names a version may write")
    if operation.upto > seen.head:
        return Refuse(Code.INVALID, "upto: there is no such event yet")
    if await _versions(tx, seen.stream) >= VERSIONS_MAX:
        return Refuse(Code.LIMIT, f"a document has at most {VERSIONS_MAX} versions")
    version = await _keep(tx, seen, operation.upto, operation.name, entry.user)
    if version is None:
        return Refuse(Code.GONE, "what it was then is not kept; name what it is now")
    told = event(seen.stream, entry.user, VersionNamed(version, operation.upto, operation.name))
    return Effect((told,), guards=((seen.stream, seen.audience_version),), value=version)


async def restore_version(tx: asyncpg.Connection, entry: Entry, operation: RestoreVersion) -> Effect | Refuse:
    """Begins another generation with the version's state."""
    seen = await _find(tx, operation.document, entry.user)
    refusal = _may_keep(seen, entry.user, operation.needs.permission)
    if seen is None or refusal is not None:
        return refusal or rules.NOT_FOUND
    if seen.archived:
        return Refuse(Code.CONFLICT, "a document that is put away is taken out first")
    version = await tx.fetchrow(
        "select upto, until, vector from document_versions where stream_id = $1 and id = $2", seen.stream, operation.version
    )
    if version is None:
        return rules.NOT_FOUND
    if version["upto"] == version["until"] and version["vector"] is None:
        # Of a node of the version before: it is made once more, and then it is known how far each pen is in it.
        again = pack(Compact(seen.stream, operation.version))
        await enqueue(tx, Order("document.compact", again, key=f"version:{operation.version}", space=seen.space.id))
    if version["upto"] < version["until"] or version["vector"] is None:
        return Refuse(Code.CONFLICT, "this version is still being prepared; try again in a moment")
    if await _versions(tx, seen.stream) >= 2 * VERSIONS_MAX:
        return Refuse(Code.LIMIT, "too many restored versions are kept of this document")
    head: int = await tx.fetchval("select head from streams where id = $1 for update", seen.stream)
    kept = await _keep(tx, seen, head, "", 0)
    assert kept is not None, "the present state is before the head"
    generation: int = await tx.fetchval(_RESTART, seen.stream, operation.version, head + 1)
    # What came before is no part of it any more. Under the stream's lock, like all that counts it.
    await tx.execute("update document_tails set cleared_bytes = bytes, cleared_updates = updates where stream_id = $1", seen.stream)
    await put_reach(tx, seen.stream, read_reach(version["vector"]))
    deed = Deed(entry.user, "document_restored", seen.space.id, detail={"stream": seen.stream, "version": operation.version})
    began = event(seen.stream, entry.user, Restarted(generation, operation.version))
    return Effect((began,), value_at=1, deeds=(deed,))


async def _keep(tx: asyncpg.Connection, seen: _Seen, until: int, name: str, by: int) -> int | None:
    """A version, not yet brought to where it is to be; None: no state before it is left."""
    version: int | None = await tx.fetchval(_KEEP, seen.stream, seen.space.id, seen.generation, until, name, by)
    if version is not None:
        await enqueue(tx, Order("document.compact", pack(Compact(seen.stream, version)), space=seen.space.id))
    return version


async def _versions(tx: asyncpg.Connection, stream: int) -> int:
    count: int = await tx.fetchval("select count(*) from document_versions where stream_id = $1", stream)
    return count


async def _find(tx: asyncpg.Connection, stream: int, user: int) -> _Seen | None:
    """Locks the community, then reads the document. None: there is none."""
    found: int | None = await tx.fetchval("select space_id from documents where stream_id = $1", stream)
    space = None if found is None else await lock_space(tx, found, user)
    row = None if space is None else await tx.fetchrow(_FIND, stream)
    if space is None or row is None:
        return None
    return _Seen(
        stream,
        space,
        row["created_by"],
        row["name"],
        row["read_roles"],
        row["write_roles"],
        row["archived"],
        row["generation"],
        row["upto"],
        row["head"],
        row["audience_version"],
    )


def _may_keep(seen: _Seen | None, user: int, permission: Permission | None) -> Refuse | None:
    """Whether somebody may change the document's frame: who has the permission, or who opened it and still reads it."""
    assert permission is not None
    standing = rules.NOBODY if seen is None else seen.space.standing(user)
    if seen is None or standing.role is None:
        return rules.NOT_FOUND
    if standing.may(permission) or (seen.created_by == user and standing.role & seen.read_roles):
        return None
    return rules.lacking(permission)
