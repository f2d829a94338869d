"""Faults put into the product on purpose, to see that the simulator finds each: a checker that finds nothing has to be able to.

    Mutant: a name, what it breaks, a patch of one method ─▶ seeds until a promise is broken ─▶ table

Each patch is the smallest change that somebody might really make. Invariant: after a mutant the product is as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

import actors.channel
from actors.answers import Answers
from actors.channel import Channel, Follower
from actors.device import Device
from actors.exchange import Exchange
from actors.messages import HeadIs, Heard, Submit
from actors.session import Session
from actors.storage import Audience, CheckAudience, Decided, Entry, Fact
from actors.tail import Tail
from actors.watch import Watch
from client.ledger import Entry as Asked
from client.ledger import Ledger
from proofs.simulation.database import Database
from proofs.simulation.run import Run
from proofs.simulation.storage import SimulatedJournal
from protocol.codec import encode
from protocol.codes import Code
from protocol.frames import Chunk, IsTyping, Lagged, Mutate

SEEDS_MAX = 250
"""A mutant that so many seeds in a row do not find has not been found."""

ANY_NUMBER = 10**6
Patch = tuple[Any, str, Any]
"""Whose attribute becomes what."""


class Mutant(Struct, frozen=True):
    """One. `patches` makes them anew for every use."""

    name: str
    breaks: str
    patches: Callable[[], list[Patch]]
    first: int = 1
    """The seed to look from, where it shows late from the first one on."""


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """The product is broken meanwhile."""
    patches = mutant.patches()
    before = [(whose, name, getattr(whose, name)) for whose, name, _ in patches]
    for whose, name, value in patches:
        setattr(whose, name, value)
    try:
        yield
    finally:
        for whose, name, value in before:
            setattr(whose, name, value)


def seeds_to_find(mutant: Mutant, first: int = 1, most: int = SEEDS_MAX) -> tuple[int, str]:
    """How many seeds it takes (0: more than `most`), and what was found."""
    with applied(mutant):
        for count in range(1, most + 1):
            try:
                Run(first + count - 1).play()
            except Exception as found:  # noqa: BLE001 - whichever way it shows, it was found
                return count, f"{type(found).__name__}: {found}".splitlines()[0]
    return 0, "not found"


def find_all(first: int) -> int:
    """Prints a line for each; exit status 1 if one was not found."""
    lost = 0
    for mutant in MUTANTS:
        count, what = seeds_to_find(mutant, first)
        lost += not count
        print(f"{count or 'never':>5}  {mutant.name:<44} {what[:88]}", flush=True)
    print(f"mutants {len(MUTANTS)}, not found {lost}; the number says how many seeds it took", file=sys.stderr)
    return 1 if lost else 0


# Delivery


def _out_of_order() -> list[Patch]:
    def hear(self: Tail, seq: int, frame: bytes) -> list[bytes]:
        self.head = max(self.head or 0, seq)
        return [frame]

    return [(Tail, "hear", hear)]


def _gaps_ignored() -> list[Patch]:
    def head_is(self: Channel, head: int, version: int) -> None:
        if self.tail.head is None:
            self._ready(self.tail.start(head))

    return [(Channel, "_mind_the_gap", lambda self: None), (Channel, "_head_is", head_is)]


def _last_events_ignored() -> list[Patch]:
    head_is = Channel._head_is

    def only_at_first(self: Channel, head: int, version: int) -> None:
        if self.tail.head is None:
            head_is(self, head, version)

    return [(Channel, "_head_is", only_at_first)]


def _flushed_twice() -> list[Patch]:
    flush = Channel._flush_events

    def twice(self: Channel) -> None:
        self.outgoing = [frame for frame in self.outgoing for _ in range(2)]
        flush(self)

    return [(Channel, "_flush_events", twice)]


def _lagged_unsaid() -> list[Patch]:
    def mumble(frame: Any) -> bytes:
        return encode(IsTyping(frame.stream, 1) if isinstance(frame, Lagged) else frame)

    return [(actors.channel, "encode", mumble)]


def _cursor_off_by_one() -> list[Patch]:
    read_for = Channel._read_for

    def beyond(self: Channel, follower: Follower) -> None:
        follower.after += 1
        read_for(self, follower)

    return [(Channel, "_read_for", beyond)]


def _tail_started_early() -> list[Patch]:
    start = Tail.start
    return [(Tail, "start", lambda self, head: start(self, max(0, head - 1)))]


def _tail_started_late() -> list[Patch]:
    start = Tail.start
    return [(Tail, "start", lambda self, head: start(self, head + 1))]


def _held_events_dropped() -> list[Patch]:
    def drop(self: Channel, frames: Any) -> None:
        del self.outgoing[-len(frames) :]

    return [(Channel, "_hold", drop)]


# Audience


def _audience_unchecked() -> list[Patch]:
    def heard(self: Channel, event: Heard) -> None:
        self._ready(self.tail.hear(event.seq, event.frame))
        self._mind_the_gap()

    return [(Channel, "_heard", heard), (Channel, "_learn_version", lambda self, version: None)]


def _everybody_may_read() -> list[Patch]:
    query = Database.query

    def permit(self: Database, asked: Any, now: float) -> Any:
        if isinstance(asked, CheckAudience):
            version = self.streams[asked.stream].audience_version
            return Audience(version, frozenset(asked.users))
        return query(self, asked, now)

    return [(Database, "query", permit)]


# Durability


def _acknowledged_before_commit() -> list[Patch]:
    submit = Device._submit

    def early(self: Device, message: Submit) -> None:
        submit(self, message)
        if self.in_flight and message.number in self.in_flight:
            self._decided(Decided(message.number, Code.OK, 1, generation=self.generation))

    return [(Device, "_submit", early)]


def _published_before_commit() -> list[Patch]:
    commit = SimulatedJournal._commit

    def early(self: SimulatedJournal, batch: Any, began: float, epoch: int) -> None:
        if not self.dead:
            before = self._database.tables
            self._database.tables = self._database.back_up()
            _, facts = self._database.append([entry for entry, _ in batch], int(self._world.wall()))
            self._database.tables = before
            self._herald.committed(facts)
        commit(self, batch, began, epoch)

    return [(SimulatedJournal, "_commit", early)]


def _outcomes_forgotten() -> list[Patch]:
    decide = Database._decide

    def forgetful(self: Database, entry: Entry, now: int, facts: list[Fact]) -> Decided:
        device = self.devices[entry.device]
        if entry.number == device.last_number and device.generation == entry.generation:
            device.last_number -= 1
        return decide(self, entry, now, facts)

    return [(Database, "_decide", forgetful)]


def _numbers_taken_out_of_turn() -> list[Patch]:
    decide = Database._decide

    def leap(self: Database, entry: Entry, now: int, facts: list[Fact]) -> Decided:
        device = self.devices[entry.device]
        if entry.number > device.last_number + 1 and device.generation == entry.generation:
            device.last_number = entry.number - 1
        return decide(self, entry, now, facts)

    return [(Database, "_decide", leap)]


def _window_counts_what_is_unanswered() -> list[Patch]:
    take = Ledger.take

    def count(self: Ledger, window: int, bytes_max: int, entries_max: int, **more: Any) -> list[Asked]:
        return take(self, ANY_NUMBER, bytes_max, min(entries_max, window - self.in_flight), **more)

    return [(Ledger, "take", count)]


def _runs_of_answers_unbroken() -> list[Patch]:
    def done(self: Answers, number: int, value: int) -> None:
        if not self._values:
            self._first = number
        self._values.append(value)

    return [(Answers, "done", done)]


# Sessions and devices


def _generation_unchecked() -> list[Patch]:
    decide = Database._decide

    def believe(self: Database, entry: Entry, now: int, facts: list[Fact]) -> Decided:
        device = self.devices[entry.device]
        revoked, generation = device.revoked, device.generation
        device.revoked, device.generation = False, entry.generation
        try:
            return decide(self, entry, now, facts)
        finally:
            device.revoked, device.generation = revoked, generation

    return [(Database, "_decide", believe)]


def _revocations_unheard() -> list[Patch]:
    return [(Exchange, "controlled", lambda self, facts: None)]


def _revocations_and_generations_unheard() -> list[Patch]:
    return [(Exchange, "controlled", lambda self, facts: None), (Exchange, "generations_are", lambda self, result: None)]


def _device_silent_when_it_crashes() -> list[Patch]:
    return [(Device, "stopped", lambda self: None)]


def _held_commands_lost() -> list[Patch]:
    welcome = Session._welcome

    def lose(self: Session, attached: Any) -> None:
        self.held = None
        welcome(self, attached)

    return [(Session, "_welcome", lose)]


def _epochs_mixed() -> list[Patch]:
    refuse = Session._refuse

    def take(self: Session, command: Mutate | Chunk, code: Code, *rest: Any) -> None:
        if code is Code.GAP:
            self._work(command)
        else:
            refuse(self, command, code, *rest)

    return [(Session, "_refuse", take)]


def _takeover_kept_secret() -> list[Patch]:
    answered = Device._answered

    def alone(self: Device, message: Any) -> None:
        self.holder = None
        answered(self, message)

    return [(Device, "_answered", alone)]


def _heads_never_compared() -> list[Patch]:
    receive = Channel.receive

    def deaf(self: Channel, message: Any) -> None:
        if not isinstance(message, HeadIs):
            receive(self, message)

    return [(Channel, "receive", deaf)]


def _watch_stops_when_postgres_is_away() -> list[Patch]:
    receive = Watch.receive

    def give_up(self: Watch, message: Any) -> None:
        if type(getattr(message, "result", None)).__name__ != "Denied":
            receive(self, message)

    return [(Watch, "receive", give_up)]


MUTANTS = (
    Mutant("events in the order in which they are heard", "order", _out_of_order),
    Mutant("a gap is not repaired", "completeness", _gaps_ignored, first=40),
    Mutant("the loss of a last event is not looked for", "completeness", _last_events_ignored),
    Mutant("heads of followed streams are not compared", "completeness", _heads_never_compared, first=66),
    Mutant("the watch of heads ends with one refusal", "completeness", _watch_stops_when_postgres_is_away),
    Mutant("a batch is flushed twice", "each once", _flushed_twice),
    Mutant("Lagged is not said", "completeness", _lagged_unsaid),
    Mutant("a cursor is read one too far", "completeness", _cursor_off_by_one),
    Mutant("a tail starts one too early", "each once", _tail_started_early),
    Mutant("a tail starts one too late", "completeness", _tail_started_late),
    Mutant("what is held while the audience is unknown goes", "completeness", _held_events_dropped),
    Mutant("a change of audience is not minded", "audience", _audience_unchecked),
    Mutant("everybody may read", "audience", _everybody_may_read),
    Mutant("acknowledged before the commit", "durability", _acknowledged_before_commit),
    Mutant("published before the commit", "durability", _published_before_commit),
    Mutant("the last outcome is forgotten", "once", _outcomes_forgotten),
    Mutant("a device counts what is unanswered", "outcomes", _window_counts_what_is_unanswered, first=183),
    Mutant("numbers may leave gaps", "nothing lost", _numbers_taken_out_of_turn),
    Mutant("a run of answers is not broken by a number", "outcomes", _runs_of_answers_unbroken),
    Mutant("the append does not check the generation", "authority", _generation_unchecked),
    Mutant("the control stream is not minded", "a revocation in time", _revocations_unheard),
    Mutant("neither control stream nor generations", "revocation", _revocations_and_generations_unheard),
    Mutant("a device that crashes tells nobody", "nothing lost", _device_silent_when_it_crashes, first=62),
    Mutant("what came before Welcome is lost", "answered once", _held_commands_lost),
    Mutant("numbers of another epoch are taken", "once", _epochs_mixed, first=2_131),
    Mutant("a socket is not told that it was taken over", "takeover", _takeover_kept_secret, first=71),
)
