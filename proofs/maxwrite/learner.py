"""One device of the learner: the client's session over a wire that is cut, its store, and what it was told.

    write ─▶ session.submit(Change) ─▶ … ─▶ outcome       told ◀─ every event of the progress stream, in order

Now and then the application goes down with everything but its store, as a phone's does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from client import MemoryStore, MutationRefused, Pending, Session, SessionEnded, connect
from client.settings import Settings
from proofs.maxwrite.history import Final, Told, Write
from proofs.rehearsal.device import Badge
from proofs.rehearsal.wire import Wire
from protocol.codec import decode_body
from protocol.entities import Entity, read_fields, write_fields
from protocol.events import Changed
from protocol.frames import Event
from protocol.merge import read_outcome
from protocol.operations import Change

SETTINGS = Settings(heartbeat_s=5, software="max-write")
"""A short heartbeat: runs are short, too, and a line that vanished is only found by it."""
PERCENT, MARK = 1, 3


class Learner:
    """See the module. `told` grows over all runs; a run looks at what was added."""

    def __init__(self, name: str, badge: Badge, wire: Wire) -> None:
        self.name = name
        self.badge = badge
        self.wire = wire
        self.store = MemoryStore()
        self.stream = 0
        self.told: list[Told] = []
        self.seen = 0
        self.crashes = 0
        self.faults: list[str] = []
        self._session: Session | None = None
        self._open: dict[int, Write] = {}
        self._crashed = False
        self._application = trio.CancelScope()

    @property
    def session(self) -> Session:
        assert self._session is not None, "asked for before `live` has started"
        return self._session

    @property
    def open(self) -> int:
        """Writes without an outcome."""
        return len(self._open)

    async def live(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; after a crash it begins again. A session that the server ends is a fault."""
        async with trio.open_nursery() as outcomes:
            try:
                while True:
                    with trio.CancelScope() as self._application:
                        await self._run(outcomes, task_status.started if self._session is None else lambda: None)
                    if not self._application.cancelled_caught:
                        return
                    self.crashes += 1
            except SessionEnded as ended:
                self.faults.append(f"{self.name}: its session ended: {ended}")

    async def _run(self, outcomes: trio.Nursery, started: Callable[[], None]) -> None:
        async with connect(self.wire, self.badge, store=self.store, settings=SETTINGS) as session:
            self._session = session
            for pending in session.unanswered:
                outcomes.start_soon(self.wait_outcome, self._open[pending.key], pending)
            if self.stream:
                session.follow(self.stream)
            with session.events() as events:
                started()
                async for item in events:
                    if isinstance(item, Event) and item.stream == self.stream and isinstance(item.body, Changed):
                        await self._catch_up(session, item.seq)
                        self._hear(item.seq, item.body)

    async def _catch_up(self, session: Session, seq: int) -> None:
        """What the store took in before the application went down was not shown to it: it is asked for."""
        while self._crashed and self.seen < seq - 1:
            for event in (await session.history(self.stream, after=self.seen, limit=256)).events:
                body = decode_body(event.body)
                assert isinstance(body, Changed)
                if event.seq < seq:
                    self._hear(event.seq, body)
        self._crashed = False

    def _hear(self, seq: int, body: Changed) -> None:
        if seq <= self.seen:
            return  # shown again after a crash
        if seq != self.seen + 1:
            self.faults.append(f"{self.name}: event {seq} came after {self.seen}")
        self.seen = seq
        for record in body.records:
            fields = read_fields(record.fields)
            percent, mark = fields.get(PERCENT), fields.get(MARK)
            self.told.append(
                Told(
                    seq,
                    record.key,
                    record.version,
                    percent if isinstance(percent, int) else None,
                    mark if isinstance(mark, int) else None,
                )
            )

    def follow(self, stream: int) -> None:
        """Follows the progress stream from its beginning."""
        self.stream = stream
        self.session.follow(stream)

    def write(self, mark: int, lesson: int, percent: int, base: int) -> tuple[Write, Pending]:
        """Advances a lesson, whether there is a line or not."""
        write = Write(mark, self.badge.device, lesson, percent, self.seen)
        fields = write_fields({PERCENT: percent, MARK: mark})
        pending = self.session.submit(Change(self.stream, Entity.PROGRESS, lesson, int(time.time()), fields, base))
        self._open[pending.key] = write
        return write, pending

    async def wait_outcome(self, write: Write, pending: Pending) -> None:
        """Writes down what became of it. When the session ends it stays open, and the next one is asked."""
        try:
            write.outcome, write.version = read_outcome(await pending.wait())
        except MutationRefused as refused:
            write.refusal = str(refused)
        except SessionEnded:
            return
        self._open.pop(pending.key, None)

    def crash(self) -> None:
        """The application ends without a word; its store is all that the next one knows."""
        self._crashed = True
        self._application.cancel()

    def finals(self, lessons: list[int]) -> list[Final]:
        """These lessons as the device's own store holds them."""
        found = []
        for lesson in lessons:
            record = self.store.record(self.stream, Entity.PROGRESS, lesson)
            if record is not None:
                percent = record.fields.get(PERCENT, 0)
                assert isinstance(percent, int)
                found.append(Final(self.name, lesson, record.version, percent))
        return found
