"""The pace: a quiet journal never waits, a busy one waits for company, and it is one or the other within a moment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from persistence.pace import BUSY_PER_S, COMPANY, INTERVAL_MAX_S, INTERVAL_MIN_S, Pace


def run(pace: Pace, at_s: float, seconds: float, rate_per_s: float, every_s: float) -> float:
    """Starts batches at a steady pace; returns the time after it."""
    end_s = at_s + seconds
    while at_s < end_s:
        at_s += every_s
        pace.started(at_s, round(rate_per_s * every_s))
    return at_s


def test_the_first_batch_never_waits() -> None:
    assert Pace().next_start_s() < 0


def test_a_quiet_journal_never_waits() -> None:
    pace = Pace()
    now_s = run(pace, 100.0, 5.0, 100, 0.01)
    assert pace.next_start_s() <= now_s


def test_a_busy_journal_gathers_and_forgets_it_when_the_load_is_gone() -> None:
    pace = Pace()
    now_s = run(pace, 100.0, 2.0, 5_000, 0.01)
    assert now_s + INTERVAL_MIN_S <= pace.next_start_s() <= now_s + INTERVAL_MAX_S
    pace.started(now_s + 2.0, 1)
    assert pace.next_start_s() <= now_s + 2.0


def batches_per_s(rate_per_s: float) -> float:
    """How many batches a journal starts under a steady load, with commits that take no time."""
    pace, now_s, seconds = Pace(), 100.0, 3.0
    begun_s, due, starts = now_s, 0.0, 0
    while now_s < begun_s + seconds:
        now_s = max(now_s + 1.0 / rate_per_s, pace.next_start_s())
        entries = int((now_s - begun_s) * rate_per_s - due)
        due += entries
        pace.started(now_s, entries)
        starts += now_s > begun_s + 1.0
    return starts / (seconds - 1.0)


@given(st.floats(2 * BUSY_PER_S, COMPANY / INTERVAL_MIN_S))
def test_two_journals_that_share_a_load_start_hardly_more_batches_than_one(rate_per_s: float) -> None:
    assert 2 * batches_per_s(rate_per_s / 2) <= 1.3 * batches_per_s(rate_per_s)


def test_a_busier_journal_waits_shorter_for_as_much_company() -> None:
    assert batches_per_s(4_000) > 1.2 * batches_per_s(3_000)


def test_the_estimate_follows_the_load() -> None:
    pace = Pace()
    run(pace, 0.0, 3.0, 1_000, 0.005)
    assert 900 < pace.rate_per_s < 1_100


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10_000)), max_size=50))
def test_the_wait_is_bounded_whatever_happens(batches: list[tuple[float, int]]) -> None:
    pace, now_s = Pace(), 0.0
    for elapsed_s, entries in batches:
        now_s += elapsed_s
        pace.started(now_s, entries)
        assert now_s <= pace.next_start_s() <= now_s + INTERVAL_MAX_S
