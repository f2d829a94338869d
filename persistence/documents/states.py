"""A document's states: what a version or the present is made of, and where it is put. Bytes in, bytes out; nothing is opened here.

    Sources = base (a state, after `upto`) + updates after it ─▶ the sandbox, elsewhere ─▶ store, if nothing moved meanwhile

Locks are taken in the order of the operations: the document's row, then its stream.

Invariant: a state is replaced by one that is later in the same generation, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
from msgspec import Struct

from actors.notices import Notice
from actors.storage import Fact
from persistence.append import append_events, event, kind_of
from persistence.notices import notify
from protocol.codec import decode_body
from protocol.documents import pack_state, unpack_state, written_of
from protocol.events import SET_ASIDE_MAX, SetAside, Updated
from protocol.values import NoticeKind
from protocol.yjs import read_reach, stands

UPDATES_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of what is put together at once; more than that takes several turns."""
PENS_MAX: Final = 65_536
"""Of a document: a line each in what the append judges by. A hundred people who open it every school day for three years."""
SEQ_MAX: Final = 2**63 - 1
WORDS: Final = "something that was written in a document cannot be opened by anybody, and was set aside"

# Staff, and whoever opened it.
_CONCERNED: Final = """
select d.space_id, m.user_id from documents d join members m on m.space_id = d.space_id and (m.role in (1, 2) or m.user_id = d.created_by)
where d.stream_id = $1 order by m.user_id limit 100"""
_PRESENT: Final = """
select d.generation, d.upto, s.head as until, d.state, d.vector_upto = d.upto as known
from documents d join streams s on s.id = d.stream_id where d.stream_id = $1"""
_VERSION: Final = """
select generation, upto, until, state, vector is not null as known from document_versions where stream_id = $1 and id = $2"""
_TAIL: Final = """
select t.seq, t.body from (
    select l.seq, l.body, sum(octet_length(l.body)) over (order by l.seq) as bytes
    from log l where l.stream_id = $1 and l.seq > $2 and l.seq <= $3 and l.kind = $4
        and not exists (select from document_set_aside a where a.stream_id = l.stream_id and a.seq = l.seq)
) t where t.bytes <= $5 order by t.seq"""
# What came after it is counted anew, under the stream's lock: nothing comes meanwhile.
_CLEARED: Final = """
update document_tails t set cleared_bytes = t.bytes - w.bytes, cleared_updates = t.updates - w.updates
from (
    select coalesce(sum(octet_length(l.body)), 0) as bytes, count(*) as updates
    from log l where l.stream_id = $1 and l.seq > $2 and l.kind = $3
) w where t.stream_id = $1"""


_PENS: Final = """
with now as (
    select n.pen, n.reach from unnest($2::bigint[], $3::bigint[]) as n (pen, reach) where n.pen between 1 and 4294967295
),
gone as (
    delete from document_pens p where p.stream_id = $1 and not exists (select from now n where n.pen = p.pen)
),
put as (
    insert into document_pens as p (stream_id, pen, user_id, reach) select $1, n.pen, 0, n.reach from now n order by n.pen
    on conflict (stream_id, pen) do update set reach = excluded.reach where p.reach <> excluded.reach
)
update document_tails t set pens = (select count(*) from now) where t.stream_id = $1"""


class Sources(Struct, frozen=True):
    """What a state is made of. `upto`: of the base; `reach`: what the updates bring it to; `until`: where it is to be at last. `known`:
    whether it is written down how far each pen is in the base."""

    generation: int
    upto: int
    until: int
    reach: int
    known: bool
    base: tuple[bytes, ...]
    seqs: tuple[int, ...]
    updates: tuple[bytes, ...]


class Made(Struct, frozen=True):
    """A state that was made of sources, its state vector, and the events that are no part of it, with what was said of each."""

    update: bytes
    vector: bytes = b""
    set_aside: tuple[tuple[int, str], ...] = ()


async def read_sources(tx: asyncpg.Connection, stream: int, version: int) -> Sources | None:
    """What the present state (`version` 0) or a version's is made of; None: there is no such thing any more."""
    row = await (tx.fetchrow(_VERSION, stream, version) if version else tx.fetchrow(_PRESENT, stream))
    if row is None:
        return None
    rows = await tx.fetch(_TAIL, stream, row["upto"], row["until"], kind_of(Updated), UPDATES_BYTES_MAX)
    seqs, updates = [], []
    for seq, raw in rows:
        body = decode_body(raw)
        assert isinstance(body, Updated)
        seqs.append(seq)
        updates.append(body.update)
    whole = await tx.fetchval(
        "select count(*) = $4 from log l where l.stream_id = $1 and l.seq > $2 and l.seq <= $3 and l.kind = $5"
        " and not exists (select from document_set_aside a where a.stream_id = l.stream_id and a.seq = l.seq)",
        stream,
        row["upto"],
        row["until"],
        len(seqs),
        kind_of(Updated),
    )
    reach = row["until"] if whole else seqs[-1]
    base = tuple(unpack_state(row["state"]))
    return Sources(row["generation"], row["upto"], row["until"], reach, row["known"], base, tuple(seqs), tuple(updates))


async def store(tx: asyncpg.Connection, stream: int, version: int, sources: Sources, made: Made) -> tuple[bool, list[Fact]]:
    """Puts a state in its place, and tells of what was set aside. False: something was quicker, and it was not put."""
    state = pack_state([made.update])
    if version:
        done = await tx.execute(
            "update document_versions set state = $5, upto = $6, vector = $7"
            " where stream_id = $1 and id = $2 and generation = $3 and upto = $4",
            stream,
            version,
            sources.generation,
            sources.upto,
            state,
            sources.reach,
            made.vector,
        )
    else:
        done = await tx.execute(
            "update documents set state = $4, upto = $5, vector = $6, vector_upto = $5, compacted_at = now()"
            " where stream_id = $1 and generation = $2 and upto = $3",
            stream,
            sources.generation,
            sources.upto,
            state,
            sources.reach,
            made.vector,
        )
        if not done.endswith(" 0"):
            await tx.fetchval("select head from streams where id = $1 for update", stream)
            await tx.execute(_CLEARED, stream, sources.reach, kind_of(Updated))
            if made.set_aside or not sources.known:
                await _mend_pens(tx, stream, sources.reach, made.vector)
    if done.endswith(" 0"):
        return False, []
    if version and made.set_aside:
        # The present state has it perhaps, and pens that came that far: made anew, it says which.
        await tx.execute("update documents set vector_upto = -1 where stream_id = $1", stream)
    return True, await _set_aside(tx, stream, made.set_aside)


async def _mend_pens(tx: asyncpg.Connection, stream: int, upto: int, vector: bytes) -> None:
    """Under the stream's lock: how far each pen is in what a reader has, of the state's vector and of what came after it."""
    reach = read_reach(vector)
    rows = await tx.fetch(_TAIL, stream, upto, SEQ_MAX, kind_of(Updated), UPDATES_BYTES_MAX)
    for _, raw in rows:
        body = decode_body(raw)
        assert isinstance(body, Updated)
        try:
            written = written_of(body.update)
        except ValueError:
            continue  # of an earlier version; the next state is without it
        pen, _, end = written.strokes
        if pen and stands(written, reach):
            reach[pen] = max(reach.get(pen, 0), end)
    await put_reach(tx, stream, reach)


async def put_reach(tx: asyncpg.Connection, stream: int, reach: Mapping[int, int]) -> None:
    """Under the stream's lock: what the append judges by is this from now on. Who a pen belongs to stays; 0: nobody who is known."""
    await tx.execute(_PENS, stream, list(reach), list(reach.values()))


async def _set_aside(tx: asyncpg.Connection, stream: int, faulty: Sequence[tuple[int, str]]) -> list[Fact]:
    """Notes updates that no reader can apply. What was noted before is not told again."""
    if not faulty:
        return []
    rows = await tx.fetch(
        "insert into document_set_aside (stream_id, seq, words)"
        " select $1, f.seq, f.words from unnest($2::bigint[], $3::text[]) as f (seq, words) on conflict do nothing returning seq",
        stream,
        [seq for seq, _ in faulty],
        [words.replace("\0", "�")[:500] for _, words in faulty],
    )
    seqs = sorted(row["seq"] for row in rows)
    if not seqs:
        return []
    concerned = await tx.fetch(_CONCERNED, stream)
    await notify(
        tx,
        *(
            Notice(row["user_id"], NoticeKind.MODERATION, space=row["space_id"], stream=stream, seq=seqs[0], words=WORDS)
            for row in concerned
        ),
    )
    return await append_events(
        tx, [event(stream, 0, SetAside(tuple(seqs[at : at + SET_ASIDE_MAX]))) for at in range(0, len(seqs), SET_ASIDE_MAX)]
    )
