"""The breaker: its table row by row, and what it admits whatever happens."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.breaker import TABLE, Breaker, BreakerLimits, Event, IllegalEvent, Leave, State, step

LIMITS = BreakerLimits(window=6, failures_min=3, share=0.5, open_s=1.0, open_max_s=4.0, probes=2)


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)), ids=lambda value: value.name)
def test_every_pair_of_state_and_event_has_a_row_or_is_illegal_and_says_what_is_not(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert step(state, event) is TABLE[state, event]
    else:
        with pytest.raises(IllegalEvent, match=f"{event.name} in {state.name}; legal here: "):
            step(state, event)


def test_the_machine_goes_over_every_row_of_its_table() -> None:
    seen: set[tuple[State, Event]] = set()
    ways = {
        (State.CLOSED, Event.PASSED): [ask_ok],
        (State.CLOSED, Event.FAILED): [ask_failed],
        (State.CLOSED, Event.TRIPPED): [trip],
        (State.OPEN, Event.RESTED): [trip, rest],
        (State.HALF_OPEN, Event.PASSED): [trip, rest, probe_ok],
        (State.HALF_OPEN, Event.FAILED): [trip, rest, probe_failed],
        (State.HALF_OPEN, Event.PROVEN): [trip, rest, probe_ok, probe_ok],
    }
    for row, steps in ways.items():
        watched = Watched(LIMITS)
        for one in steps:
            one(watched)
        if steps[-1] is rest:
            watched.unasked(watched.leave())
        assert row in watched.seen
        seen |= watched.seen
    assert seen == set(TABLE)


class Watched(Breaker):
    """A breaker that notes which rows it went over."""

    def __init__(self, limits: BreakerLimits) -> None:
        super().__init__(limits)
        self.now = 0.0
        self.seen: set[tuple[State, Event]] = set()

    def _go(self, event: Event) -> None:
        self.seen.add((self.state, event))
        super()._go(event)

    def leave(self) -> Leave:
        leave = self.admit(self.now)
        assert leave is not None
        return leave


def ask_ok(w: Watched) -> None:
    w.passed(w.leave())


def ask_failed(w: Watched) -> None:
    w.failed(w.leave(), w.now)


def trip(w: Watched) -> None:
    for _ in range(LIMITS.failures_min):
        ask_failed(w)
    assert w.state is State.OPEN


def rest(w: Watched) -> None:
    assert w.admit(w.now) is None, "it is left alone"
    w.now += LIMITS.open_s


def probe_ok(w: Watched) -> None:
    leave = w.leave()
    assert w.admit(w.now) is None, "one at a time"
    w.passed(leave)


def probe_failed(w: Watched) -> None:
    w.failed(w.leave(), w.now)
    assert w.rests_s(w.now) == 2 * LIMITS.open_s, "and longer than before"


def test_what_says_nothing_about_the_model_frees_the_place_of_the_one_that_is_tried() -> None:
    w = Watched(LIMITS)
    trip(w)
    rest(w)
    w.unasked(w.leave())
    probe_ok(w)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(("ask", "pass", "fail", "drop", "wait")), max_size=60), st.data())
def test_whatever_happens_an_open_one_admits_nobody_and_a_half_open_one_admits_one(acts: list[str], data: st.DataObject) -> None:
    breaker, now, held = Breaker(LIMITS), 0.0, list[Leave]()
    opened_at = None
    for act in acts:
        match act:
            case "ask":
                resting = breaker.rests_s(now) > 0
                leave = breaker.admit(now)
                if resting:
                    assert leave is None
                if leave is not None:
                    if breaker.state is State.HALF_OPEN:
                        assert not [one for one in held if one.probe and one.life == leave.life]
                    held.append(leave)
            case "wait":
                now += 0.5
            case _ if held:
                leave = held.pop(data.draw(st.integers(0, len(held) - 1)))
                before = breaker.state
                if act == "pass":
                    breaker.passed(leave)
                    assert breaker.state is before or breaker.state is State.CLOSED
                elif act == "fail":
                    breaker.failed(leave, now)
                    if breaker.state is State.OPEN and before is not State.OPEN:
                        opened_at = now
                        assert LIMITS.open_s <= breaker.rests_s(now) <= LIMITS.open_max_s
                else:
                    breaker.unasked(leave)
                    assert breaker.state is before
    if opened_at is None:
        assert breaker.state is State.CLOSED
