"""A document that people write together, open at this end: a Yjs document that follows its stream and sends what is written here.

    edit ─▶ buffer ─ merged ─▶ Update, durable, a few under way ─▶ server ─▶ Updated ─▶ everybody's document
                                   ╰─ refused: RELOAD, SLOWED ─▶ load, then sent again where it belongs

What is typed is submitted as it is typed while the server keeps up; when several updates are unanswered (a bad link, no link), what is
typed within a second goes together. What was submitted is in the store, and comes with the document when it is opened again.

Invariant: what this end shows is what it loaded, every event after that in order, and what was written here; nothing written here is
dropped without being named (`left_behind`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from msgspec import Struct
from pycrdt import Doc, Map, Text, TransactionEvent, merge_updates

from client.connecting import _single
from client.errors import MutationRefused, RequestFailed, SessionEnded
from client.pending import Pending
from client.session import PART_BYTES, Session
from client.subscription import CaughtUp, Unreadable
from client.subscription import Restarted as Reset
from protocol.codec import BadFrame, decode_operation
from protocol.codes import Code
from protocol.documents import checksum_of, unpack_state
from protocol.events import Restarted, SetAside, Updated
from protocol.frames import Event, IsAware
from protocol.operations import UPDATE_BYTES_MAX, Update
from protocol.yjs import read_reach, read_strokes, read_written, stands

WINDOW: Final = 4
"""Updates under way: on a link of 400 ms, ten a second."""
GATHER_S: Final = 1.0
"""How long what is typed waits for what is typed next, while those are unanswered. A crash costs this much at most."""
SLOWED_S: Final = 5.0
TEXT: Final = "text"


class _Sent(Struct, eq=False):
    """An update under way. `code`: with which it was refused."""

    update: bytes
    pending: Pending
    code: int = 0


class Document:
    """See the module. `doc` is replaced when the document begins anew: ask for `text` each time."""

    def __init__(self, session: Session, stream: int, draw: Callable[[], float]) -> None:
        self._session = session
        self.stream = stream
        self._draw = draw
        self.doc: Doc[Any] = Doc()
        self.generation = 0
        self.upto = 0
        """The last event of the stream that is in it."""
        self.people: dict[int, bytes] = {}
        """What each person last said about where they are."""
        self.left_behind: list[str] = []
        """Texts as they stood here when the document began anew with something of one's own not in it yet."""
        self.refused: Code | None = None
        """Why what is written here is not taken any more; it stays here."""
        self._buffer: list[bytes] = []
        self._sent: list[_Sent] = []
        self._observer: object = None
        self._hearing = False
        self._written = trio.Event()
        self._changed = trio.Event()
        self._again = trio.Event()
        self._loaded_upto = 0
        self._passed_over: set[int] = set()
        """Events that are no part of the document though they come after the state that was loaded."""
        self._anew = False
        """The document has to be put together anew: something that is in it is no part of it."""
        self._nursery: trio.Nursery | None = None
        self._ready = trio.Event()

    # What the application uses

    @property
    def text(self) -> Text:
        """The text that is the document's content. Edit it as any pycrdt text: positions count bytes of UTF-8; at most some 10,000 letters
        at once."""
        text: Text = self.doc.get(TEXT, type=Text)
        return text

    def map(self, name: str) -> Map[Any]:
        """A map beside it."""
        found: Map[Any] = self.doc.get(name, type=Map)
        return found

    @property
    def unsent(self) -> int:
        """Updates that the server has not taken yet."""
        return len(self._buffer) + len(self._sent)

    def say_where(self, data: bytes) -> None:
        """Tells the others where one is; at most 512 bytes."""
        self._session.be_aware(self.stream, data)

    async def changed(self) -> None:
        """Waits for the next change, here or elsewhere."""
        await self._changed.wait()

    async def reads(self, wanted: Callable[[str], bool]) -> str:
        """Waits until the text is as wanted, and returns it."""
        while not wanted(str(self.text)):
            await self.changed()
        return str(self.text)

    async def settled(self) -> None:
        """Waits until everything that was written here is decided."""
        while self.unsent and self.refused is None:
            await self._changed.wait()

    def flush(self) -> None:
        """Submits everything that waits to be gathered: from now on it is in the store."""
        while self._buffer and self.refused is None:
            self._submit()

    # Loading

    async def _load(self) -> None:
        """The present state, into this document where the generation is the same, else into a new one."""
        state = bytearray()
        part = await self._session.load_document(self.stream, bytes_max=PART_BYTES)
        while True:
            if part.offset != len(state):
                state.clear()  # compacted meanwhile: this is the first part of another one
            state += part.data
            if len(state) >= part.size:
                break
            part = await self._session.load_document(
                self.stream, generation=part.generation, upto=part.upto, offset=len(state), bytes_max=PART_BYTES
            )
        if part.generation != self.generation or self._anew:
            self._begin(part.generation)
        self.upto = self._loaded_upto = part.upto
        for update in unpack_state(bytes(state)):
            self._hear(update)
        self._tell()

    def _begin(self, generation: int) -> None:
        """An empty document, with a pen of its own; in the same generation what is not sent yet is in it."""
        if generation != self.generation:
            if self.generation and self.unsent:
                self.left_behind.append(str(self.text))
            self._buffer.clear()
            self._sent.clear()
            self._passed_over.clear()
        self.generation, self._anew = generation, False
        self.doc = Doc(client_id=1 + int(self._draw() * (2**32 - 2)))
        # pycrdt tells the first observer of a document alone.
        self._observer = self.doc.observe(self._observe)
        for own in [*(sent.update for sent in self._sent), *self._buffer]:
            self._hear(own)
        known = {id(sent.pending) for sent in self._sent}
        for pending in self._session.unanswered:
            update = _update_of(pending.operation) if id(pending) not in known else None
            if update is not None and update.document == self.stream and update.generation == generation:
                self._hear(update.update)
                self._watch(_Sent(update.update, pending))

    def _stands(self, update: bytes) -> bool:
        """Whether an update stands beside what is here. Everybody writes beside what they have, which came before: what refers to more is
        nobody's writing, and pycrdt has been seen to end its process over such."""
        try:
            written = read_written(update)
        except ValueError:
            return False
        return stands(written, read_reach(self.doc.get_state()))

    def _applies(self, update: bytes) -> bool:
        """Adds somebody's update. False: it cannot be applied, and nobody knows what it left behind; the server sets it aside some time."""
        try:
            self._hear(update)
        except RuntimeError:
            return False
        return True

    def _hear(self, update: bytes) -> None:
        self._hearing = True
        try:
            self.doc.apply_update(update)
        finally:
            self._hearing = False

    # Hearing

    async def _live(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        while True:
            self._again = trio.Event()
            try:
                await self._load()
            except RequestFailed as failed:
                if not self.generation:
                    raise
                # It was here and is no more, or is for others now: what was read stays.
                self.refused = Code(failed.code)
                self._tell()
                return
            self._resume()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_again, nursery.cancel_scope)
                await self._follow()
                nursery.cancel_scope.cancel()
            if self.refused in (Code.FORBIDDEN, Code.NOT_FOUND):
                return

    async def _until_again(self, scope: trio.CancelScope) -> None:
        await self._again.wait()
        scope.cancel()

    async def _follow(self) -> None:
        """Until the document has to be loaded again."""
        self._session.unfollow(self.stream, forget=True)
        self._session.follow(self.stream, self.upto)
        with self._session.events(self.stream) as events:
            async for item in events:
                match item:
                    case Event(seq=seq, body=Updated(update, checksum)):
                        if seq not in self._passed_over:
                            if checksum_of(update) != checksum:
                                # Garbled on its way or where it is kept: what is loaded next is without it, or has it whole.
                                self._passed_over.add(seq)
                                return
                            if not self._stands(update):
                                self._passed_over.add(seq)
                            elif not self._applies(update):
                                self._passed_over.add(seq)
                                self._anew = True
                                return
                        self.upto = seq
                    case Event(seq=seq, body=Restarted(generation)):
                        if generation != self.generation:
                            return
                        self.upto = seq
                    case Event(seq=seq, body=SetAside(aside)):
                        if {one for one in aside if one > self._loaded_upto} - self._passed_over:
                            self._passed_over.update(aside)
                            self._anew = True
                            return
                        self.upto = seq
                    case Reset():
                        return
                    case Event(seq=seq):
                        self.upto = seq
                    case IsAware(_, user, data):
                        self.people[user] = data
                    case CaughtUp():
                        self._ready.set()
                    case Unreadable(_, code):
                        self.refused = Code(code)
                        self._ready.set()
                        return
                    case _:
                        continue
                self._tell()

    # Sending

    def _observe(self, event: TransactionEvent) -> None:
        if not self._hearing:
            self._buffer.append(event.update)
            self._written.set()
        self._tell()

    async def _send(self) -> None:
        """Submits what is written: at once while few are under way, gathered otherwise."""
        while True:
            await self._written.wait()
            self._written = trio.Event()
            if len(self._sent) >= WINDOW:
                with trio.move_on_after(GATHER_S):
                    while len(self._sent) >= WINDOW:
                        await self._changed.wait()
            if self.refused is None and not self._is_resending:
                self.flush()

    @property
    def _is_resending(self) -> bool:
        return any(sent.code for sent in self._sent)

    def _submit(self) -> None:
        """As much of the buffer as fits in one update, by one pen: what an earlier life wrote is by another."""
        taken = [self._buffer.pop(0)]
        size, pens = len(taken[0]), {_pen_of(taken[0])}
        while self._buffer and size + len(self._buffer[0]) <= UPDATE_BYTES_MAX // 2:
            pens.add(_pen_of(self._buffer[0]))
            if len(pens - {0}) > 1:
                break
            size += len(self._buffer[0])
            taken.append(self._buffer.pop(0))
        update = merge_updates(*taken) if len(taken) > 1 else taken[0]
        operation = Update(self.stream, self.generation, update, checksum_of(update))
        self._watch(_Sent(update, self._session.submit(operation)))

    def _watch(self, sent: _Sent) -> None:
        self._sent.append(sent)
        if self._nursery is not None:
            self._nursery.start_soon(self._await, sent)

    async def _await(self, sent: _Sent) -> None:
        try:
            await sent.pending.wait()
        except MutationRefused as refused:
            sent.code = refused.code
            await self._after_refusals()
            return
        except SessionEnded:
            return  # it is in the store
        if sent in self._sent:
            self._sent.remove(sent)
        self._tell()
        # It may have been the last one under way beside what was refused.
        await self._after_refusals()

    async def _after_refusals(self) -> None:
        """Once nothing is under way any more, what was refused goes back in front, in order, and is sent when the document is loaded."""
        if any(not sent.code for sent in self._sent):
            return
        codes = {sent.code for sent in self._sent}
        if not codes:
            return  # of a generation that is over
        if codes <= {Code.RELOAD, Code.SLOWED}:
            if Code.SLOWED in codes:
                await trio.sleep(SLOWED_S)
            self._again.set()
        else:
            self.refused = Code(min(codes))
            self._tell()

    def _resume(self) -> None:
        """After loading: what was refused of this generation is sent again."""
        again = [sent.update for sent in self._sent if sent.code]
        self._sent = [sent for sent in self._sent if not sent.code]
        if again:
            self._buffer[:0] = again
        if self._buffer:
            self._written.set()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_document(session: Session, stream: int, draw: Callable[[], float]) -> AsyncIterator[Document]:
    """Opens a document for the length of the block; it has caught up when the block begins, which takes a socket. `draw`: random numbers in
    [0, 1), from which pens are drawn. What is left unsent is in the store when the block has ended. Raises `RequestFailed`, `SessionEnded`.
    """
    document = Document(session, stream, draw)
    try:
        async with trio.open_nursery() as nursery:
            document._nursery = nursery
            await nursery.start(document._live)
            await document._ready.wait()
            nursery.start_soon(document._send)
            try:
                yield document
            finally:
                document.flush()
                document.say_where(b"")
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _single(group) from None


def _pen_of(update: bytes) -> int:
    """By which pen it adds; 0: it only deletes. -1: it is nothing that goes together with others, and the server says why."""
    try:
        return read_strokes(update).pen
    except ValueError:
        return -1


def _update_of(operation: bytes) -> Update | None:
    try:
        read = decode_operation(operation)
    except BadFrame:
        return None
    return read if isinstance(read, Update) else None
