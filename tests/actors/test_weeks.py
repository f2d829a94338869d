"""Weeks of hours: what comes out in UTC is what the wall clock would show, hour by hour, whatever clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.weeks import DAYS, HOURS, offset_min, signature, to_utc

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Nairobi",
]
weeks = st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=7).map(tuple)
days = st.dates(date(2024, 1, 1), date(2028, 1, 1))


@given(weeks, st.sampled_from(ZONES), days)
def test_an_hour_is_free_exactly_if_the_wall_clock_in_the_middle_of_it_shows_one_that_is(
    hours: tuple[int, ...], zone_name: str, today: date
) -> None:
    zone = ZoneInfo(zone_name)
    found = to_utc(hours, zone, today)
    for n in range(DAYS * HOURS):
        at = datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(hours=n)
        there = (at + timedelta(minutes=30)).astimezone(zone)
        free = there.weekday() < len(hours) and bool(hours[there.weekday()] >> there.hour & 1)
        assert bool(found[at.weekday()] >> at.hour & 1) is free, at


@given(weeks, st.sampled_from(ZONES), days)
def test_as_many_hours_come_out_as_went_in_while_the_clocks_stand_still(hours: tuple[int, ...], zone_name: str, today: date) -> None:
    zone = ZoneInfo(zone_name)
    if ">" not in signature(zone, today) and ">" not in signature(zone, today + timedelta(days=1)):
        assert sum(day.bit_count() for day in to_utc(hours, zone, today)) == sum(day.bit_count() for day in hours)


def test_monday_morning_moves_by_an_hour_in_the_week_in_which_clocks_are_put_forward() -> None:
    berlin, nine = ZoneInfo("Europe/Berlin"), (1 << 9, 0, 0, 0, 0, 0, 0)
    # On Sunday, 2026-03-29, at two. Before that Monday's nine is eight in UTC, and after it seven.
    assert to_utc(nine, berlin, date(2026, 3, 23))[0] == 1 << 8
    assert to_utc(nine, berlin, date(2026, 3, 24))[0] == 1 << 7, "the next Monday is after the change"
    two = (0, 0, 0, 0, 0, 0, 1 << 2)
    assert to_utc(two, berlin, date(2026, 3, 24)) == (0,) * 7, "that Sunday has no hour from two on"
    assert sum(day.bit_count() for day in to_utc(two, berlin, date(2026, 10, 20))) == 2, "and the one in autumn has it twice"


@given(weeks, st.sampled_from(ZONES), days, st.integers(1, 400))
def test_where_the_signature_is_the_same_the_hours_are(hours: tuple[int, ...], zone_name: str, today: date, later: int) -> None:
    zone, other = ZoneInfo(zone_name), today + timedelta(days=later)
    if signature(zone, today) == signature(zone, other):
        assert to_utc(hours, zone, today) == to_utc(hours, zone, other)


@pytest.mark.parametrize("zone_name", ["America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe"])
def test_from_one_day_to_the_next_hours_change_only_with_the_signature(zone_name: str) -> None:
    """Every day of a year, so also the Sundays on which clocks change, in the hours before."""
    zone, week = ZoneInfo(zone_name), (0xAAAAAA,) * DAYS
    made = [(signature(zone, day), to_utc(week, zone, day)) for day in (date(2026, 1, 1) + timedelta(days=n) for n in range(365))]
    assert len({sign for sign, _ in made}) == len(dict.fromkeys(made)), "one week of hours for each signature"
    assert len({sign for sign, _ in made}) > 10


def test_any_time_stays_any_time_and_an_offset_is_in_minutes() -> None:
    assert to_utc((), ZoneInfo("Asia/Kolkata"), date(2026, 1, 1)) == ()
    assert offset_min(ZoneInfo("Asia/Kathmandu"), date(2026, 1, 1)) == 345
