"""The ML process: every model that it serves, in the versions that the book says, each in a process of its own.

    line ─ Asked ─▶ Serving ─ choose ─▶ Runner moderation@3 ═ process        the book, every 2 s ─▶ which versions
                       │           ╰──▶ Runner moderation@4 ═ process (canary of 10 % of the keys)
                       ╰─ a copy ─────▶ Runner moderation@5 ═ process (shadow: compared, counted, dropped)

A version that shall answer from now on is loaded and warmed beside the one that answers, and takes over when it is ready: nobody waits
for a promotion or for a rollback. One that cannot be loaded leaves the one before it where it is, and the answers say so.

Invariant: whatever a model does is between its runner and its process; here are only routes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import structlog
import trio

from actors.histogram import Histogram
from actors.inference import AnyResult, Why
from actors.model_book import Entry, Feeds
from actors.model_line import Asked
from actors.storage_port import StorageError
from ml_actors.kinds import KINDS, Kind, Options
from ml_actors.library import Library
from ml_actors.runner import Phase, Runner
from ml_actors.versions import Plan, apart, choose, plans
from ml_actors.workers import ProcessWorker, Spawn, Worker, WorkerGone

log = structlog.get_logger("models")

POLL_S: Final = 2.0
APART: Final = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
CLOSE_S: Final = 5.0
"""How long a version that is put away may take to answer what it has."""
_RESULT: Final[msgspec.msgpack.Decoder[AnyResult]] = msgspec.msgpack.Decoder(AnyResult)


class ShadowCounts:
    """What a shadow said beside what was answered. See `versions.apart`."""

    __slots__ = ("apart", "compared", "failed")

    def __init__(self) -> None:
        self.compared = 0
        self.failed = 0
        self.apart = Histogram(APART)


class Place(msgspec.Struct):
    """One version in this process."""

    runner: Runner
    scope: trio.CancelScope
    entry: Entry


class ServingOptions(msgspec.Struct, frozen=True):
    """What a process serves, and how."""

    models: tuple[str, ...]
    options: Mapping[str, Options] = {}
    """By name; embedded on the CPU where there are none."""
    memory_mib_max: Mapping[str, int] = {}
    """By name; the kind's where there is none."""
    kinds: Mapping[str, Kind] = msgspec.field(default_factory=lambda: KINDS)


class Serving:
    """`actors.model_line.ModelDesk`. Run `serve` under a supervisor; the rest never waits."""

    def __init__(
        self,
        library: Library,
        options: ServingOptions,
        *,
        spawn: Spawn,
        random: Callable[[], float],
        feeds: Feeds | None = None,
        poll_s: float = POLL_S,
        make_worker: Callable[[Kind, Path, Options, int], Worker] | None = None,
    ) -> None:
        """`make_worker`: in the place of processes, for tests."""
        self.options = options
        self.places: dict[str, Place] = {}
        self.plans: dict[str, Plan] = {}
        self.answering: dict[str, str] = {}
        """By name, the version that answers all but a canary's share: the plan's active one, or the one before it while that is loaded."""
        self.shadows: dict[str, ShadowCounts] = {}
        self.unserved = dict.fromkeys(options.models, 0)
        """Questions that came while no version was ready."""
        self._library = library
        self._make_worker = make_worker or partial(ProcessWorker, spawn)
        self._random = random
        self._feeds = feeds
        self._poll_s = poll_s
        self._nursery: trio.Nursery | None = None
        self._looked = False
        self._changed = trio.Event()
        self._look = trio.Event()

    # What lines ask

    @property
    def models(self) -> Sequence[str]:
        return self.options.models

    def serves(self, model: str) -> bool:
        place = self.places.get(self.answering.get(model, ""))
        return place is not None and place.runner.ready

    def room(self, model: str) -> int:
        place = self.places.get(self.answering.get(model, ""))
        return 0 if place is None else place.runner.room

    async def wait_room(self, model: str) -> None:
        while not self.room(model):
            await self._changed.wait()

    def ask(self, asked: Asked) -> None:
        name = asked.model
        plan = self.plans.get(name)
        title = self.answering.get(name, "")
        if plan is not None:
            ready = {
                title for title in (plan.canary, self.answering.get(name, "")) if title in self.places and self.places[title].runner.ready
            }
            title = choose(msgspec.structs.replace(plan, active=title), name, asked.key, ready)
        place = self.places.get(title)
        if place is None:
            self.unserved[name] = self.unserved.get(name, 0) + 1
            asked.reply(Why.AWAY, "", self._why_not(name), b"")
            return
        assert plan is not None
        words = f"{title} stands in for {plan.active}, which cannot be loaded" if title not in plan.titles else ""
        if words:
            asked = msgspec.structs.replace(asked, reply=partial(_say_less, asked.reply, words))
        shadows = [self.places[shadow] for shadow in plan.shadows if shadow in self.places and self.places[shadow].runner.ready]
        if not shadows:
            place.runner.ask(asked)
            return
        comparison = _Comparison()
        place.runner.ask(msgspec.structs.replace(asked, reply=partial(comparison.answered, asked.reply)))
        for shadow in shadows:
            counts = self.shadows[shadow.runner.title]
            shadow.runner.ask(msgspec.structs.replace(asked, reply=partial(comparison.shadowed, counts)))

    def _why_not(self, name: str) -> str:
        known = [place.runner for place in self.places.values() if place.entry.card.name == name]
        return "; ".join(f"{runner.title} is {runner.phase.value}" for runner in known) or "there is no version of it"

    # What versions there are

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs versions as the book says, for ever. Started when each model that has a version has one that is ready, or has shown that it
        cannot be: a process that has started can answer."""
        self.places.clear()
        self.answering.clear()
        self._looked = False
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._follow_book)
                nursery.start_soon(self._take_over)
                # The first look at the book decides what is waited for.
                while not self._looked or any(not self._settled(name) for name in self.plans):
                    await self._changed.wait()
                task_status.started()
        finally:
            self._nursery = None

    def look(self) -> None:
        """Looks at the book now."""
        self._look.set()

    def _settled(self, name: str) -> bool:
        place = self.places.get(self.plans[name].active)
        return place is not None and (place.runner.ready or place.runner.counts.crashes > 0 or place.runner.phase is Phase.UNUSABLE)

    async def _follow_book(self) -> NoReturn:
        known = False
        while True:
            self._look = trio.Event()
            try:
                entries = await self._library.entries(self.models)
            except StorageError as error:
                log.warning("model_book_awaited", error=str(error))
                entries = [] if known else self._library.as_shipped(self.models)
            if entries:
                known = True
                self._follow(entries)
            self._looked = True
            self._note_change()
            with trio.move_on_after(self._poll_s):
                await self._look.wait()

    def _follow(self, entries: Sequence[Entry]) -> None:
        served = [entry for entry in entries if entry.card.name in self.models]
        self.plans = plans(served)
        wanted = {title for plan in self.plans.values() for title in plan.titles}
        by_title = {entry.card.title: entry for entry in served}
        for title in sorted(wanted - self.places.keys()):
            self._begin(by_title[title])
        for plan in self.plans.values():
            for shadow in plan.shadows:
                self.shadows.setdefault(shadow, ShadowCounts())

    def _begin(self, entry: Entry) -> None:
        assert self._nursery is not None
        card = entry.card
        kind = self.options.kinds.get(card.kind)
        if kind is None:
            log.warning("model_refused", version=card.title, kind=card.kind)
            return
        options = self.options.options.get(card.name, Options())
        memory_mib_max = self.options.memory_mib_max.get(card.name, 0) or kind.memory_mib_max

        async def make() -> Worker:
            try:
                return self._make_worker(kind, await self._library.folder(entry), options, memory_mib_max)
            except OSError as error:
                # A full disk, no descriptor left: of this version alone, which is tried again, and not of those that answer.
                raise WorkerGone(f"its folder could not be made: {error}") from error

        runner = Runner(card.title, kind, make, random=self._random, feeds=self._feeds, on_change=self._note_change)
        place = self.places[card.title] = Place(runner, trio.CancelScope(), entry)
        self._nursery.start_soon(self._run, place)

    async def _run(self, place: Place) -> None:
        with place.scope:
            await place.runner.run()
        if self.places.get(place.runner.title) is place:
            del self.places[place.runner.title]
        self._note_change()

    async def _take_over(self) -> NoReturn:
        """Whenever something changed: who is ready answers, and who is wanted no more is put away."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            for name, plan in self.plans.items():
                before = self.answering.get(name, "")
                place = self.places.get(plan.active)
                # It stays with the one before until the new one is ready; from then on it is the new one's, also while that rests.
                if place is not None and (place.runner.ready or before not in self.places or before == plan.active):
                    self.answering[name] = plan.active
                    if before not in ("", plan.active):
                        log.info("model_replaced", version=plan.active, before=before)
            wanted = {title for plan in self.plans.values() for title in plan.titles} | set(self.answering.values())
            for title, place in self.places.items():
                if title not in wanted:
                    place.runner.close()
                    place.scope.deadline = min(place.scope.deadline, trio.current_time() + CLOSE_S)

    def _note_change(self) -> None:
        self._changed.set()


class _Comparison:
    """One question's answer and its shadows', until both are there. Let go of with the questions that hold it."""

    __slots__ = ("_answer", "_shadows")

    def __init__(self) -> None:
        self._answer: AnyResult | None = None
        self._shadows: list[tuple[ShadowCounts, AnyResult]] = []

    def answered(self, reply: Callable[[Why | None, str, str, bytes], None], why: Why | None, by: str, words: str, result: bytes) -> None:
        reply(why, by, words, result)
        if why is None:
            self._answer = _RESULT.decode(result)
            for counts, shadow in self._shadows:
                self._compare(counts, shadow)
            self._shadows.clear()

    def shadowed(self, counts: ShadowCounts, why: Why | None, by: str, words: str, result: bytes) -> None:
        if why is not None:
            counts.failed += 1
            return
        shadow = _RESULT.decode(result)
        if self._answer is None:
            self._shadows.append((counts, shadow))
        else:
            self._compare(counts, shadow)

    def _compare(self, counts: ShadowCounts, shadow: AnyResult) -> None:
        assert self._answer is not None
        counts.compared += 1
        counts.apart.observe(apart(self._answer, shadow))


def _say_less(reply: Callable[[Why | None, str, str, bytes], None], less: str, why: Why | None, by: str, words: str, result: bytes) -> None:
    reply(why, by, words if why is not None else less, result)
