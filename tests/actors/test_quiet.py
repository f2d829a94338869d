"""Quiet hours and digests follow the wall clock of the person's zone, also on the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.quiet import Digest, is_quiet, next_digest, quiet_until, zone_of

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Nairobi",
    "America/St_Johns",
    "Asia/Gaza",
)
minutes = st.integers(0, 1439)
CHANGES = (
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # Berlin, forward
    datetime(2026, 10, 25, 1, 0, tzinfo=UTC),  # Berlin, back
    datetime(2026, 3, 8, 7, 0, tzinfo=UTC),  # New York, forward
    datetime(2026, 11, 1, 6, 0, tzinfo=UTC),  # New York, back
    datetime(2026, 4, 4, 15, 0, tzinfo=UTC),  # Lord Howe, half an hour back
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),  # Lord Howe, half an hour forward
)
moments = st.one_of(
    st.integers(1_700_000_000, 1_900_000_000),
    st.builds(lambda change, off: int(change.timestamp()) + off, st.sampled_from(CHANGES), st.integers(-86_400, 86_400)),
)


@example(1_772_946_060, "America/New_York", 1, 0)  # quiet but for one minute a day, on a day that is an hour shorter
@given(moments, st.sampled_from(ZONES), minutes, minutes)
def test_quiet_ends_at_the_first_minute_of_the_wall_clock_that_is_not_quiet(now: int, name: str, begin: int, end: int) -> None:
    zone = zone_of(name)
    until = quiet_until(now, zone, begin, end)
    walked = now - now % 60
    if not is_quiet(now, zone, begin, end):
        assert until == 0
        return
    while is_quiet(walked, zone, begin, end):
        walked += 60
    assert until == walked


def local(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("zone", "now", "begin", "end", "until"),
    [
        ("Europe/Berlin", "2026-06-01T23:10", 22 * 60, 7 * 60, "2026-06-02T07:00"),
        ("Europe/Berlin", "2026-06-01T21:59", 22 * 60, 7 * 60, None),
        ("Africa/Nairobi", "2026-06-01T12:30", 12 * 60, 13 * 60, "2026-06-01T13:00"),
        # Clocks jump from 02:00 to 03:00: quiet until 02:30 ends at 03:00.
        ("Europe/Berlin", "2026-03-29T01:30", 22 * 60, 2 * 60 + 30, "2026-03-29T03:00"),
        # They go back from 03:00 to 02:00: the night is an hour longer.
        ("Europe/Berlin", "2026-10-25T01:30", 22 * 60, 7 * 60, "2026-10-25T07:00"),
        ("Asia/Kolkata", "2026-06-01T10:00", 600, 600, None),
    ],
)
def test_quiet_hours_are_those_of_the_persons_zone(zone: str, now: str, begin: int, end: int, until: str | None) -> None:
    expected = 0.0 if until is None else local(until, zone)
    assert quiet_until(local(now, zone), zone_of(zone), begin, end) == expected


@given(moments, st.sampled_from(ZONES), minutes, st.integers(0, 6))
def test_digests_come_once_a_day_or_once_a_week_by_the_wall_clock(now: int, name: str, minute: int, weekday: int) -> None:
    zone = zone_of(name)
    due = float(now)
    days = []
    for _ in range(3):
        due = next_digest(due, zone, Digest.DAILY, minute, weekday)
        days.append(datetime.fromtimestamp(due, zone).date().toordinal())
    assert now < due and days == list(range(days[0], days[0] + 3))
    weekly = next_digest(now, zone, Digest.WEEKLY, minute, weekday)
    assert datetime.fromtimestamp(weekly, zone).weekday() == weekday and 0 < weekly - now <= 7 * 86_400 + 7200
    shown = datetime.fromtimestamp(weekly, zone)
    assert (
        shown.hour * 60 + shown.minute == minute
        or any(abs(weekly - change.timestamp()) <= 7200 for change in CHANGES)
        or name == "Asia/Gaza"
    )
    assert next_digest(now, zone, Digest.NONE, minute, weekday) == 0


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "x" * 65, "a\0b"])
def test_a_zone_that_is_none_is_utc(name: str) -> None:
    assert zone_of(name) is UTC
