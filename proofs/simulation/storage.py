"""The journal and the store of one simulated gateway: batches and snapshots with delays, refusals and lost answers."""

from __future__ import annotations

from collections.abc import Callable

from actors.cell import Ref
from actors.storage import Answered, Decided, Denied, Entry, Herald, Query
from proofs.simulation.database import Database
from proofs.simulation.faults import Faults
from proofs.simulation.telling import describe_event
from proofs.simulation.world import POSTGRES, World
from protocol.codes import Code

QUEUE_MAX = 1_000
PATIENCE_S = 5.0
"""What the store waits for an answer before it says `UNAVAILABLE`, as the real one does."""


class SimulatedJournal:
    """`actors.storage.Journal`: what queued while the last transaction was under way is the next one. `who` is its gateway's column."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        database: Database,
        herald: Herald,
        pump: Callable[[], None],
        who: str = "",
        awake_in_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`awake_in_s`: how long the gateway is still stopped (0: it is not)."""
        self._world = world
        self._faults = faults
        self._database = database
        self._herald = herald
        self._pump = pump
        self._who = who
        self._awake_in_s = awake_in_s
        self._queue: list[tuple[Entry, Ref[Decided]]] = []
        self._busy = False
        self.dead = False

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        if len(self._queue) >= QUEUE_MAX or self._world.happens(self._faults.journal_full):
            return False
        self._queue.append((entry, reply_to))
        if not self._busy:
            self._busy = True
            self._world.after(0.0, self._begin)
        return True

    def _begin(self) -> None:
        batch, self._queue = self._queue, []
        began = self._world.now
        epoch = self._database.tables.epoch
        self._world.after(self._delay_s(), lambda: self._commit(batch, began, epoch))

    def _commit(self, batch: list[tuple[Entry, Ref[Decided]]], began: float, epoch: int) -> None:
        """The moment of truth. A gateway that died before it may still see its transaction commit: the server had it already."""
        world, faults = self._world, self._faults
        if world.now < faults.stalled_until_s:
            world.after(faults.stalled_until_s - world.now, lambda: self._commit(batch, began, epoch))
            return
        if self.dead and (self._database.tables.epoch != epoch or world.happens(0.5)):
            self._draw(batch, began, "", lost=True)
            return
        if not self.dead and world.happens(faults.journal_refuses):
            self._draw(batch, began, "does not happen", lost=True)
            world.after(self._delay_s(), lambda: self._refuse(batch))
            return
        decided, facts = self._database.append([entry for entry, _ in batch], int(world.wall()))
        if world.story is not None:
            self._draw(batch, began, "commits " + ", ".join(describe_event(fact.stream, fact.seq, fact.body) for fact in facts))
        unsure = world.happens(faults.journal_unsure)
        if unsure:
            facts = []
            decided, _ = self._database.append([entry for entry, _ in batch], int(world.wall()))
            world.tell(POSTGRES, f"its answer to {self._who} is lost; it is asked again, and finds all decided", fault=True)

        def answer() -> None:
            if self.dead:
                world.tell_sent(POSTGRES, self._who, "committed, and nobody there to publish it", lost=True, fault=bool(facts))
                return
            asleep_s = self._awake_in_s()
            if asleep_s > 0.0:
                world.tell(self._who, "stands between commit and publish", fault=True)
                world.after(asleep_s, answer)
                return
            self._herald.committed(facts)
            for (_, reply_to), outcome in zip(batch, decided, strict=True):
                reply_to.tell_control(outcome)
            if world.story is not None:
                outcomes = ", ".join(
                    f"d{entry.device}:{entry.number} {one.code.name}" for (entry, _), one in zip(batch, decided, strict=True)
                )
                world.tell_sent(POSTGRES, self._who, f"decided {outcomes}")
            self._next()

        world.after(self._delay_s(), answer)

    def _refuse(self, batch: list[tuple[Entry, Ref[Decided]]]) -> None:
        if self.dead:
            return
        for entry, reply_to in batch:
            reply_to.tell_control(Decided(entry.number, Code.UNAVAILABLE, generation=entry.generation))
        self._next()

    def _next(self) -> None:
        self._busy = bool(self._queue)
        if self._queue:
            self._begin()
        self._pump()

    def _delay_s(self) -> float:
        return self._world.between(0.0, self._faults.disk_delay_s)

    def _draw(self, batch: list[tuple[Entry, Ref[Decided]]], began: float, what: str, *, lost: bool = False) -> None:
        if self._world.story is not None:
            entries = ", ".join(f"d{entry.device}:{entry.number} {type(entry.operation).__name__}" for entry, _ in batch)
            streams = tuple(sorted({getattr(entry.operation, "stream", 0) for entry, _ in batch} - {0}))
            self._world.tell_sent(self._who, POSTGRES, f"append {entries} {what}", streams=streams, sent_s=began, lost=lost, fault=lost)


class SimulatedStore:
    """`actors.storage.Store`: each query is answered from a snapshot taken some time after it was asked, and heard of later still."""

    def __init__(self, world: World, faults: Faults, database: Database, pump: Callable[[], None], who: str = "") -> None:
        self._world = world
        self._faults = faults
        self._database = database
        self._pump = pump
        self._who = who
        self.dead = False

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        asked_at = self._world.now
        self._world.after(self._world.between(0.0, self._faults.disk_delay_s), lambda: self._look(query, ticket, reply_to, asked_at))

    def _look(self, query: Query, ticket: int, reply_to: Ref[Answered], asked_at: float) -> None:
        world = self._world
        stalled_s = self._faults.stalled_until_s - world.now
        if stalled_s > PATIENCE_S:
            world.after(PATIENCE_S, lambda: self._answer(Answered(ticket, Denied(Code.UNAVAILABLE)), reply_to))
            return
        if stalled_s > 0.0:
            world.after(stalled_s, lambda: self._look(query, ticket, reply_to, asked_at))
            return
        away = world.happens(self._faults.store_away)
        result = Denied(Code.UNAVAILABLE) if away else self._database.query(query, world.wall())
        if world.story is not None:
            stream = getattr(query, "stream", 0)
            streams = (stream,) if stream else tuple(getattr(query, "streams", ()))
            said = f"{type(query).__name__}{' ' + str(stream) if stream else ''}: {type(result).__name__}"
            world.tell_sent(self._who, POSTGRES, said, streams=streams, sent_s=asked_at, lost=away, fault=away)
        world.after(world.between(0.0, self._faults.disk_delay_s), lambda: self._answer(Answered(ticket, result), reply_to))

    def _answer(self, answered: Answered, reply_to: Ref[Answered]) -> None:
        if not self.dead:
            reply_to.tell_control(answered)
            self._pump()
