"""The journal and the store of one simulated gateway: batches and snapshots with delays, refusals and lost answers."""

from __future__ import annotations

from collections.abc import Callable

from actors.cell import Ref
from actors.storage import Answered, Decided, Denied, Entry, Herald, Query
from proofs.simulation.database import Database
from proofs.simulation.faults import Faults
from proofs.simulation.world import World
from protocol.codes import Code

QUEUE_MAX = 1_000


class SimulatedJournal:
    """`actors.storage.Journal`: what queued while the last transaction was under way is the next one."""

    def __init__(self, world: World, faults: Faults, database: Database, herald: Herald, pump: Callable[[], None]) -> None:
        self._world = world
        self._faults = faults
        self._database = database
        self._herald = herald
        self._pump = pump
        self._queue: list[tuple[Entry, Ref[Decided]]] = []
        self._busy = False
        self.dead = False

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        if len(self._queue) >= QUEUE_MAX:
            return False
        self._queue.append((entry, reply_to))
        if not self._busy:
            self._busy = True
            self._world.after(0.0, self._begin)
        return True

    def _begin(self) -> None:
        batch, self._queue = self._queue, []
        self._world.after(self._delay_s(), lambda: self._commit(batch))

    def _commit(self, batch: list[tuple[Entry, Ref[Decided]]]) -> None:
        """The moment of truth. A gateway that died before it may still see its transaction commit: the server had it already."""
        world, faults = self._world, self._faults
        if self.dead and world.happens(0.5):
            return
        if not self.dead and world.happens(faults.journal_refuses):
            world.after(self._delay_s(), lambda: self._refuse(batch))
            return
        decided, facts = self._database.append([entry for entry, _ in batch], int(world.wall()))
        unsure = world.happens(faults.journal_unsure)
        if unsure:
            facts = []
            decided, _ = self._database.append([entry for entry, _ in batch], int(world.wall()))

        def answer() -> None:
            if self.dead:
                return
            self._herald.committed(facts)
            for (_, reply_to), outcome in zip(batch, decided, strict=True):
                reply_to.tell_control(outcome)
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


class SimulatedStore:
    """`actors.storage.Store`: each query is answered from a snapshot taken some time after it was asked, and heard of later still."""

    def __init__(self, world: World, faults: Faults, database: Database, pump: Callable[[], None]) -> None:
        self._world = world
        self._faults = faults
        self._database = database
        self._pump = pump
        self.dead = False

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        self._world.after(self._world.between(0.0, self._faults.disk_delay_s), lambda: self._look(query, ticket, reply_to))

    def _look(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        away = self._world.happens(self._faults.store_away)
        result = Denied(Code.UNAVAILABLE) if away else self._database.query(query, self._world.wall())

        def answer() -> None:
            if not self.dead:
                reply_to.tell_control(Answered(ticket, result))
                self._pump()

        self._world.after(self._world.between(0.0, self._faults.disk_delay_s), answer)
