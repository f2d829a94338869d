"""The ledger against a model of the server: contiguous numbers, refusals, cuts; every mutation takes effect once and in order.

The model keeps no more outcomes than a window has mutations: no retry may find its outcome gone.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from client.errors import QueueFull
from client.ledger import Entry, Ledger

WINDOW = 4
WINDOW_BYTES = 50


class LedgerAndServer(RuleBasedStateMachine):
    """`wire` is what is on its way to the server, `answers` what is on its way back; a cut loses both."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.asked = 0
        self.effects: list[int] = []
        self.outcomes: dict[int, int] = {}
        self.last_number = 0
        self.wire: list[tuple[int, int]] = []
        self.answers: list[tuple[int, bool]] = []
        self.settled: list[int] = []
        self.ledger.welcomed(0)

    @rule()
    def ask(self) -> None:
        self.asked += 1
        self.ledger.append(Entry(self.asked, b"x" * (self.asked % 7)))

    @rule(bytes_max=st.integers(-1, 60), entries_max=st.integers(0, 5))
    def send(self, bytes_max: int, entries_max: int) -> None:
        self.wire += [(entry.number, entry.key) for entry in self.ledger.take(WINDOW, bytes_max, entries_max, WINDOW_BYTES)]

    @precondition(lambda self: self.wire)
    @rule(busy=st.booleans())
    def decide(self, busy: bool) -> None:
        number, key = self.wire.pop(0)
        if number > self.last_number + 1 or busy:  # whatever it is: nobody has looked yet whether it was decided
            self.answers.append((number, False))
        elif number <= self.last_number:
            assert number > self.last_number - WINDOW, "the outcome of a retry is gone"
            assert self.outcomes[number] == key, "one number, two mutations"
            self.answers.append((number, True))
        else:
            self.last_number = number
            self.outcomes[number] = key
            self.effects.append(key)
            self.answers.append((number, True))

    @precondition(lambda self: self.answers)
    @rule()
    def hear(self) -> None:
        number, consumed = self.answers.pop(0)
        if consumed:
            entry = self.ledger.settle(number)
            if entry is not None:
                self.settled.append(entry.key)
        else:
            self.ledger.bounce(number)
        if self.ledger.may_rewind:
            self.ledger.rewind()

    @rule(busy=st.lists(st.booleans(), min_size=WINDOW, max_size=WINDOW), lost=st.booleans())
    def exchange(self, busy: list[bool], lost: bool) -> None:
        """A whole window, and its answers or none of them."""
        self.send(1000, WINDOW)
        for one in busy:
            if self.wire:
                self.decide(one)
        while self.answers and not lost:
            self.hear()
        if lost:
            self.cut()

    @rule()
    def cut(self) -> None:
        self.wire.clear()
        self.answers.clear()
        self.ledger.cut()
        self.ledger.welcomed(self.last_number)

    @invariant()
    def effects_are_once_and_in_order(self) -> None:
        assert self.effects == list(range(1, len(self.effects) + 1))
        assert sorted(self.settled) == sorted(set(self.settled))
        assert set(self.settled) <= set(self.effects)
        assert self.ledger.in_flight <= WINDOW
        assert self.ledger.in_flight_bytes <= WINDOW_BYTES

    @rule()
    def restart(self) -> None:
        """The process is killed and begins anew with what the store has: numbers that were given, and the order of asking."""
        self.wire.clear()
        self.answers.clear()
        kept = sorted(self.ledger.entries(), key=lambda entry: entry.key)
        self.ledger = Ledger(Entry(entry.key, entry.operation, entry.number) for entry in kept)
        self.ledger.welcomed(self.last_number)

    @precondition(lambda self: self.last_number)
    @rule(lost=st.integers(1, 3))
    def restore(self, lost: int) -> None:
        """The server is put back to an earlier time: what it forgot is asked for again, before all that waits."""
        lost = min(lost, self.last_number)
        self.wire.clear()
        self.answers.clear()
        self.last_number -= lost
        forgotten = [self.outcomes.pop(number) for number in range(self.last_number + 1, self.last_number + lost + 1)]
        del self.effects[self.last_number :]
        self.ledger.cut()
        settled = [key for key in forgotten if key in self.settled]
        self.settled = [key for key in self.settled if key not in settled]
        self.ledger.put_back([Entry(key, b"x" * (key % 7)) for key in settled])
        self.ledger.welcomed(self.last_number)

    def teardown(self) -> None:
        """On a good network everything that was asked for takes effect and is settled."""
        self.cut()
        for _ in range(10 * (self.asked + 1)):
            self.send(1000, 100)
            while self.wire:
                self.decide(False)
            while self.answers:
                self.hear()
        assert self.effects == list(range(1, self.asked + 1))
        assert len(self.settled) == self.asked and len(self.ledger) == 0


TestLedgerAndServer = LedgerAndServer.TestCase


def test_no_number_is_sent_a_window_beyond_the_lowest_unanswered_one() -> None:
    """Numbers that were decided are sent again, one of them comes back for want of room, and the others are answered: the outcome of the
    one that is left would be gone with the next whole window."""
    ledger = Ledger(Entry(key, b"x", key if key <= WINDOW else 0) for key in range(1, 3 * WINDOW))
    ledger.welcomed(WINDOW)
    assert [entry.number for entry in ledger.take(WINDOW, 1000, 10)] == [1, 2, 3, 4]
    ledger.bounce(2)
    for number in (1, 3, 4):
        ledger.settle(number)
    ledger.rewind()
    assert [entry.number for entry in ledger.take(WINDOW, 1000, 10)] == [2, 5]
    ledger.settle(5)
    assert ledger.take(WINDOW, 1000, 10) == []
    ledger.settle(2)
    assert [entry.number for entry in ledger.take(WINDOW, 1000, 10)] == [6, 7, 8, 9]


def test_a_mutation_longer_than_the_window_is_sent_alone() -> None:
    ledger = Ledger(Entry(key, b"x" * size) for key, size in ((1, 5), (2, 500), (3, 5)))
    ledger.welcomed(0)
    assert [entry.key for entry in ledger.take(WINDOW, 1000, 10, WINDOW_BYTES)] == [1]
    ledger.settle(1)
    assert [entry.key for entry in ledger.take(WINDOW, 1000, 10, WINDOW_BYTES)] == [2]
    assert ledger.take(WINDOW, 1000, 10, WINDOW_BYTES) == []


def test_numbers_behind_one_that_lost_its_own_are_given_anew() -> None:
    """After a restore: a change frozen again has no number, and what was numbered behind it must not be taken for decided later."""
    ledger = Ledger([Entry(1, b"", 2), Entry(2, b""), Entry(3, b"", 9)])
    ledger.welcomed(2)
    assert [(entry.key, entry.number) for entry in ledger.take(10, 1000, 10)] == [(1, 2), (2, 3), (3, 4)]


def test_what_a_restored_database_forgot_is_asked_for_where_it_stood() -> None:
    """The one that has no outcome was decided before all of them: it is not left behind, and what follows it stays behind it."""
    ledger = Ledger([Entry(2, b"", 2), Entry(8, b"")])
    ledger.put_back([Entry(key, b"") for key in (3, 4, 5)])
    ledger.welcomed(2)
    assert [(entry.key, entry.number) for entry in ledger.take(10, 1000, 10)] == [(2, 2), (3, 3), (4, 4), (5, 5), (8, 6)]


def test_a_full_ledger_says_so_before_anything_is_stored() -> None:
    ledger = Ledger(unanswered_max=1)
    ledger.append(Entry(1, b""))
    with pytest.raises(QueueFull):
        ledger.check_room()


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 20))
def test_numbers_above_what_was_decided_are_given_anew_without_a_gap(numbered: int, fresh: int, last_number: int) -> None:
    """A restored server has forgotten some numbers, a store that lost its newest lines has never known others."""
    entries = [Entry(key, b"", 10 + key) for key in range(1, numbered + 1)] + [Entry(100 + key, b"") for key in range(fresh)]
    ledger = Ledger(entries)
    ledger.welcomed(last_number)
    sent = [entry.number for entry in ledger.take(100, 10_000, 100)]
    above = [number for number in sent if number > last_number]
    assert above == list(range(last_number + 1, last_number + 1 + len(above)))
    assert [number for number in sent if number <= last_number] == [number for number in range(11, 11 + numbered) if number <= last_number]
