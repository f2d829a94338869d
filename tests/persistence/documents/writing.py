"""Somebody who writes in a document in a test: a Yjs document of their own, whose updates become operations."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import msgspec
from pycrdt import Doc, Text

from actors.documents import Compact
from actors.jobs import Work
from actors.sandbox_port import Sandbox
from actors.storage import LoadState, StatePart
from persistence.documents import reading
from persistence.documents.compaction import JOB, Compactor
from protocol.codec import decode_body
from protocol.documents import checksum_of, unpack_state
from protocol.events import Restarted, SetAside, Updated
from protocol.operations import CreateDocument, Update
from sandbox.process import run_in_sandbox
from tests.persistence.world import Person, World


class Pen:
    """A Yjs document whose every edit is one update."""

    def __init__(self, pen: int) -> None:
        self.doc: Doc[Any] = Doc(client_id=pen)
        self.text = self.doc.get("text", type=Text)
        self._before = self.doc.get_state()

    def write(self, words: str, at: int | None = None) -> bytes:
        """The update of one insertion."""
        self.text.insert(len(str(self.text)) if at is None else at, words)
        return self.taken()

    def taken(self) -> bytes:
        update: bytes = self.doc.get_update(self._before)
        self._before = self.doc.get_state()
        return update

    def hear(self, update: bytes) -> None:
        self.doc.apply_update(update)
        self._before = self.doc.get_state()


def update(document: int, generation: int, raw: bytes) -> Update:
    return Update(document, generation, raw, checksum_of(raw))


async def open_document(w: World, owner: Person, space: int, **roles: int) -> tuple[int, int]:
    """A document and its generation."""
    document = await w.ok(owner, CreateDocument(space, "Notes", **roles))
    return document, await generation_of(w, document)


async def generation_of(w: World, document: int) -> int:
    return cast(int, await w.value("select generation from documents where stream_id = $1", document))


async def load(w: World, document: int, person: Person, version: int = 0) -> tuple[StatePart, str]:
    """The state's last part, and what the text reads with what came after it."""
    state = bytearray()
    part = StatePart(0, 0, 0, 0, b"")
    while not part.generation or len(state) < part.size:
        query = LoadState(document, person.user, version, part.generation, part.upto, len(state), 300)
        [answer] = await w.bridge.run(partial(reading.load_state, queries=[query]), deadline_s=30)
        assert isinstance(answer, StatePart), answer
        part = answer
        state += part.data
    doc: Doc[Any] = Doc()
    for raw in unpack_state(bytes(state)):
        doc.apply_update(raw)
    rows = [] if version else await w.rows("select seq, body from log where stream_id = $1 and seq > $2 order by seq", document, part.upto)
    bodies = [(row["seq"], decode_body(row["body"])) for row in rows]
    passed_over = {seq for _, body in bodies if isinstance(body, SetAside) for seq in body.events}
    for seq, body in bodies:
        assert not isinstance(body, Restarted) or body.generation == part.generation, "what is loaded is of the present generation"
        if isinstance(body, Updated) and seq not in passed_over:
            doc.apply_update(body.update)
    return part, str(doc.get("text", type=Text))


class Tried:
    """What a run sees of a job."""

    attempt = 1

    def __init__(self, payload: Compact) -> None:
        self.payload = payload

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        """Nobody looks."""


async def run_jobs(w: World, sandbox: Sandbox = run_in_sandbox) -> int:
    """Runs what was ordered; how many."""
    rows = await w.rows("delete from jobs where kind = $1 returning payload", JOB)
    for row in rows:
        payload = msgspec.msgpack.decode(row["payload"], type=Compact)
        await Compactor(w.bridge, w.herald, sandbox).run(cast(Work[Compact], Tried(payload)))
    return len(rows)


async def compact(w: World, document: int, sandbox: Sandbox = run_in_sandbox) -> None:
    """As if a job had been ordered."""
    await Compactor(w.bridge, w.herald, sandbox).run(cast(Work[Compact], Tried(Compact(document))))
