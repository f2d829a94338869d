"""The foreman: runs jobs in this process, as many as there is room for, under one lease.

    enlist ─▶ lead: tend, claim ─▶ an attempt each, a task of its own ─▶ endings, in groups
                ▲      ╰ wakes by a poke, a poll, or room again          │
                ╰──────────────────── room ◀─────────────────────────────╯
    beside it: the lease is renewed every third of its life; sums are written down

A poke says that something was ordered (over Redis, or by this process); without it the poll finds it. While there is much to do, claims are
some milliseconds apart, so that each takes many.
Invariant: what runs here is held under a lease that was alive by this process's clock; when it is over, every attempt is cancelled, and the
foreman begins anew as another worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
import trio
from msgspec import Struct

from actors.histogram import SECONDS, Histogram
from actors.jobs import JobKind
from actors.storage_port import StorageError
from persistence.bridge import Bridge
from persistence.jobs.endings import Endings
from persistence.jobs.queue import Fate, Held, JobQueue, Room, Tally
from persistence.jobs.schedules import name_of, note_ended
from supervisors.job_attempt import Attempt

log = structlog.get_logger("jobs")


class ForemanOptions(Struct, frozen=True):
    """`at_once_max`: attempts under way in this process, of all kinds. `lease_s`: how long after a kill others wait for its jobs."""

    at_once_max: int = 256
    poll_s: float = 0.5
    lease_s: float = 15.0
    pace_s: float = 0.02
    """Between two claims while there is much to do: at 3,000 jobs/s each takes 60, and costs what one costs."""
    tally_s: float = 5.0
    retry_s: float = 1.0
    resign_s: float = 2.0
    """How long giving back may take when the process stops."""


def regions_taken(region: str, strict: bool) -> tuple[str, ...] | None:
    """The regions whose jobs a process takes, beside those of no region; None: every job. `region`: where it runs, "" where nobody said;
    `strict`: then it takes none that has to be somewhere."""
    if region:
        return (region,)
    return () if strict else None


class Foreman:
    """`serve` runs it. `poke` may be called at any time: something may be ready. `regions`: see `regions_taken`."""

    def __init__(
        self,
        bridge: Bridge,
        kinds: Iterable[JobKind],
        *,
        name: str,
        random: Callable[[], float],
        regions: Sequence[str] | None = None,
        options: ForemanOptions = ForemanOptions(),  # noqa: B008 (frozen)
    ) -> None:
        self.kinds = {kind.name: kind for kind in kinds}
        self.running: dict[int, Attempt] = {}
        self.sums: dict[str, Tally] = {}
        """Not yet written down."""
        self.totals: dict[str, Tally] = {kind: Tally() for kind in self.kinds}
        self.run_s = {kind: Histogram(SECONDS) for kind in self.kinds}
        self.leases_lost = 0
        self._bridge = bridge
        self._name = name
        self._random = random
        self._regions = regions
        self._options = options
        self._queue = JobQueue(bridge)
        self.endings = Endings(bridge)
        self._counts: Counter[str] = Counter()
        self._wake = trio.Event()
        self._hungry = False
        self._in_doubt = False
        self._awaited = False

    def poke(self) -> None:
        """Somebody ordered jobs, or cancelled one: look at once. Never waits."""
        self._wake.set()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Works until cancelled; what runs then is given back, and is ready again at once."""
        task_status.started()
        while True:
            began_s = trio.current_time()
            try:
                worker = await self._queue.enlist(self._name, self._options.lease_s, self._regions)
            except StorageError as error:
                self._say_away(error)
                await trio.sleep(self._options.retry_s)
                continue
            self._awaited = False
            await self._work(worker, began_s + self._options.lease_s)
            self.leases_lost += 1
            log.warning("job_lease_lost", worker=worker)

    async def _work(self, worker: int, leased_until: float) -> None:
        """Until the lease is lost."""
        self._hungry = self._in_doubt = False
        lost = False
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.endings.serve)
                nursery.start_soon(self._lead, worker, nursery)
                nursery.start_soon(self._write_sums)
                await self._keep_lease(worker, leased_until)
                lost = True
                nursery.cancel_scope.cancel()
        finally:
            self.running.clear()
            self._counts.clear()
            if not lost:
                with trio.move_on_after(self._options.resign_s, shield=True):
                    await self._resign(worker)

    async def _resign(self, worker: int) -> None:
        try:
            await self._queue.resign(worker)
        except StorageError as error:
            # The lease runs out by itself.
            log.info("job_lease_not_returned", worker=worker, error=str(error))

    # -- the lease ----------------------------------------------------------------------------------------------------

    async def _keep_lease(self, worker: int, leased_until: float) -> None:
        """Returns when it is lost: refused, or over by our clock because the database cannot be asked."""
        while True:
            await trio.sleep_until(leased_until - self._options.lease_s * 2 / 3)
            while True:
                began_s = trio.current_time()
                if began_s >= leased_until:
                    return
                reports = [report for attempt in self.running.values() if (report := attempt.take_report()) is not None]
                try:
                    with trio.move_on_at(leased_until):
                        standing = await self._queue.renew(worker, self._options.lease_s, reports)
                        if standing is None:
                            return
                        leased_until = began_s + self._options.lease_s
                        self._cancel(standing.cancelled)
                        break
                except StorageError as error:
                    self._say_away(error)
                    await trio.sleep(self._options.retry_s)
            self._awaited = False

    def _cancel(self, ids: Iterable[int]) -> None:
        for id in ids:
            if id in self.running:
                self.running[id].cancel()

    # -- claiming -----------------------------------------------------------------------------------------------------

    async def _lead(self, worker: int, nursery: trio.Nursery) -> None:
        tended_s = -float("inf")
        while True:
            self._wake = trio.Event()
            began_s = trio.current_time()
            claimed: list[Held] = []
            try:
                if began_s - tended_s >= self._options.poll_s:
                    tended_s = began_s
                    tended = await self._queue.tend(worker)
                    self._cancel(tended.cancelled)
                if self._in_doubt:
                    await self._release_unknown(worker)
                claimed = await self._claim(worker)
            except StorageError as error:
                self._say_away(error)
                await trio.sleep(self._options.retry_s)
                continue
            for held in claimed:
                self._begin(worker, held, nursery)
            with trio.move_on_at(max(began_s, tended_s) + self._options.poll_s):
                await self._wake.wait()
            if claimed or self._hungry:
                await trio.sleep_until(began_s + self._options.pace_s)

    async def _claim(self, worker: int) -> list[Held]:
        free = self._options.at_once_max - len(self.running)
        room = {
            name: Room(min(free, kind.way.at_once_max - self._counts[name]), kind.attempts_max)
            for name, kind in self.kinds.items()
            if kind.way.at_once_max > self._counts[name]
        }
        if free <= 0 or not room:
            self._hungry = True
            return []
        self._in_doubt = True
        claimed = await self._queue.claim(worker, room, free)
        self._in_doubt = False
        taken = Counter(held.kind for held in claimed)
        # Where all the room was taken there may be more: whoever ends wakes us.
        self._hungry = len(claimed) == free or len(room) < len(self.kinds) or any(count == room[kind].free for kind, count in taken.items())
        return claimed

    async def _release_unknown(self, worker: int) -> None:
        """A claim whose answer was lost: what it took runs nowhere, and would be held for as long as our lease lives."""
        standing = await self._queue.renew(worker, self._options.lease_s)
        if standing is None:
            return
        for id, attempt in standing.attempts.items():
            if id not in self.running:
                await self._queue.fail(worker, id, attempt, "claimed, but the answer was lost")
        self._in_doubt = False

    # -- running ------------------------------------------------------------------------------------------------------

    def _begin(self, worker: int, held: Held, nursery: trio.Nursery) -> None:
        attempt = Attempt(worker, held, self.kinds[held.kind], self.endings, self._queue, self._random)
        self.running[held.id] = attempt
        self._counts[held.kind] += 1
        nursery.start_soon(self._run, attempt)

    async def _run(self, attempt: Attempt) -> None:
        held = attempt.held
        began_s = trio.current_time()
        try:
            fate, error = await attempt.run()
        finally:
            self.running.pop(held.id, None)
            self._counts[held.kind] -= 1
            if self._hungry:
                self._wake.set()
        self._note(held, fate, error, trio.current_time() - began_s)
        if schedule := name_of(held.key):
            await self._note_schedule(schedule, error if fate is not None else "")

    def _note(self, held: Held, fate: Fate | None, error: str, run_s: float) -> None:
        self.run_s[held.kind].observe(run_s)
        for tally in (self.sums.setdefault(held.kind, Tally()), self.totals[held.kind]):
            tally.run_ms += run_s * 1000
            tally.done += fate is None
            tally.failed += fate in ("retried", "dead")
            tally.dead += fate == "dead"
            tally.cancelled += fate == "cancelled"
        # The text stands in the row, for who may operate: it may name people and addresses.
        fault = error.partition(":")[0]
        if fate == "dead":
            log.error("job_buried", kind=held.kind, id=held.id, attempts=held.attempt, fault=fault)
        elif fate is not None:
            log.info("job_attempt_failed", kind=held.kind, id=held.id, attempt=held.attempt, fate=fate, fault=fault)

    async def _note_schedule(self, name: str, error: str) -> None:
        try:
            await self._bridge.run(lambda tx: note_ended(tx, [name], error), deadline_s=5.0)
        except StorageError as away:
            log.info("schedule_not_noted", error=str(away))

    async def _write_sums(self) -> None:
        while True:
            await trio.sleep(self._options.tally_s)
            if not self.sums:
                continue
            sums, self.sums = self.sums, {}
            try:
                await self._queue.tally(sums)
            except StorageError as error:
                log.info("job_sums_delayed", error=str(error))
                self._give_back(sums)

    def _give_back(self, sums: Mapping[str, Tally]) -> None:
        for kind, lost in sums.items():
            now = self.sums.setdefault(kind, Tally())
            now.done += lost.done
            now.failed += lost.failed
            now.dead += lost.dead
            now.cancelled += lost.cancelled
            now.run_ms += lost.run_ms

    def _say_away(self, error: StorageError) -> None:
        if not self._awaited:
            self._awaited = True
            log.warning("jobs_delayed", error=str(error))
