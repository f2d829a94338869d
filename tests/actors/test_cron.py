"""A schedule's next moment is the first that it names, as a slower search finds it; what is no schedule is refused with what is one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cron import describe, next_after, parse

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis adds the zone)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, high).map(lambda by: f"*/{by}")
    return st.one_of(st.just("*"), st.lists(st.one_of(number.map(str), span), min_size=1, max_size=3).map(",".join), step)


def names(at: str, moment: datetime) -> bool:
    """Whether the expression names this minute: the definition, without any search."""
    fields = parse(at)
    return moment.minute in fields.minutes and moment.hour in fields.hours and moment.month in fields.months and fields.on(moment.date())


@given(minute=field(0, 59), hour=field(0, 23), moment=MOMENTS)
def test_the_next_moment_is_the_first_that_is_named(minute: str, hour: str, moment: datetime) -> None:
    at = f"{minute} {hour} * * *"
    found = next_after(at, moment)
    step = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while not names(at, step):
        step += timedelta(minutes=1)
    assert found == step > moment


@given(day=field(1, 28), month=field(1, 12), weekday=field(0, 7), moment=MOMENTS)
def test_the_next_day_is_the_first_that_is_named(day: str, month: str, weekday: str, moment: datetime) -> None:
    at = f"30 4 {day} {month} {weekday}"
    try:
        found = next_after(at, moment)
    except ValueError:
        return  # a weekday that a day of one month meets in no year of the search; the claim below is of those that come
    step = moment.replace(hour=4, minute=30, second=0, microsecond=0)
    if step <= moment:
        step += timedelta(days=1)
    while not names(at, step):
        step += timedelta(days=1)
    assert found == step


@given(st.floats(1, 10**7), MOMENTS)
def test_an_interval_comes_at_moments_that_do_not_depend_on_who_asks_when(every_s: float, moment: datetime) -> None:
    timing = describe("", every_s)
    found = next_after(timing, moment)
    assert found > moment
    assert found - moment <= timedelta(seconds=float(timing.split()[1]) * 1.001)
    assert next_after(timing, moment + (found - moment) / 2) == found


@pytest.mark.parametrize(
    ("at", "after", "due"),
    [
        ("17 3 * * *", "2026-11-22 03:17", "2026-11-23 03:17"),
        ("*/15 8-17 * * 1-5", "2026-11-20 17:45", "2026-11-23 08:00"),
        ("0 0 29 2 *", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("0 0 1 * 1", "2026-11-22 12:00", "2026-11-23 00:00"),
        ("0 0 * * 0", "2026-11-23 00:00", "2026-11-29 00:00"),
        ("0 0 * * 7", "2026-11-23 00:00", "2026-11-29 00:00"),
        ("5/20 * * * *", "2026-11-22 10:26", "2026-11-22 10:45"),
        ("59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59"),
    ],
)
def test_expressions_mean_what_cron_means(at: str, after: str, due: str) -> None:
    assert next_after(at, datetime.fromisoformat(after).replace(tzinfo=UTC)) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "at",
    [
        "",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "a * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "0 0 31 2 *",
        "² * * * *",
    ],
)
def test_what_is_no_expression_is_refused(at: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        next_after(at, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_schedule_has_one_timing() -> None:
    assert describe("17 3 * * *", 0) == "17 3 * * *"
    assert describe("", 3600.0) == "every 3600 s"
    for at, every_s in (("17 3 * * *", 60.0), ("", 0.0), ("", 0.5), ("", -1.0)):
        with pytest.raises(ValueError, match=r"schedule|second"):
            describe(at, every_s)
