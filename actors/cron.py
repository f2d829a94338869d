"""When a schedule is due next: five fields as cron has them, in UTC, or every so many seconds.

    "17 3 * * *"     minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-7 (0 and 7: Sunday)
    "*/15 8-17 * * 1-5"      lists, ranges and steps; where both day and weekday are given, either is enough, as cron has it
    "every 3600 s"   at multiples since 1970, so that every node means the same moments

Pure: the moment is an argument. Invariant: `next_after(timing, t)` > t.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import Struct

YEARS_MAX: Final = 8
"""29 February comes after at most eight years (around 2100)."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RANGES: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))


class Fields(Struct, frozen=True):
    """A parsed expression; weekdays from 0 (Monday), as Python has them."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    """Day and weekday are both limited: one of them is enough."""

    def on(self, day: date) -> bool:
        by_day, by_weekday = day.day in self.days, day.weekday() in self.weekdays
        return (by_day or by_weekday) if self.either else (by_day and by_weekday)


def parse(at: str) -> Fields:
    """Raises `ValueError`, which says what is allowed."""
    words = at.split()
    if len(words) != len(_RANGES):
        raise ValueError(f"{at!r}: five fields are needed (minute hour day month weekday), like '17 3 * * *'")
    minutes, hours, days, months, weekdays = (
        frozenset(_values(at, word, name, low, high)) for word, (name, low, high) in zip(words, _RANGES, strict=True)
    )
    return Fields(
        minutes,
        hours,
        days,
        months,
        frozenset((weekday - 1) % 7 for weekday in weekdays),
        either=not words[2].startswith("*") and not words[4].startswith("*"),
    )


def _values(at: str, word: str, name: str, low: int, high: int) -> Iterator[int]:
    for part in word.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            first, last = str(low), str(high)
        elif not dash:
            # As cron has it: 5/15 goes on to the end.
            last = str(high) if slash else first
        if not all(number.isascii() and number.isdecimal() for number in (first, last, step if slash else "1")):
            raise ValueError(f"{at!r}: {part!r} is not a {name}; allowed: {low}-{high}, lists, ranges, and steps like */5")
        begin, end, by = int(first), int(last), int(step) if slash else 1
        if not (low <= begin <= end <= high and by >= 1):
            raise ValueError(f"{at!r}: {part!r} is not within the {name}s {low}-{high}")
        yield from range(begin, end + 1, by)


def next_after(timing: str, moment: datetime) -> datetime:
    """The first moment after `moment` (aware) that `timing` names, in UTC; `timing` as `describe` gives it. Raises `ValueError` where it is
    neither an expression nor `every N s`, or names no day that ever comes."""
    moment = moment.astimezone(UTC)
    if timing.startswith("every "):
        every_s = float(timing.removeprefix("every ").removesuffix(" s"))
        if not every_s >= 1:
            raise ValueError(f"{timing!r}: a second or more is needed")
        passed = (moment - _EPOCH).total_seconds() // every_s
        following = _EPOCH + timedelta(seconds=(passed + 1) * every_s)
        # A float's rounding may land on `moment` itself.
        return following if following > moment else _EPOCH + timedelta(seconds=(passed + 2) * every_s)
    fields = parse(timing)
    start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    day = start.date()
    for _ in range(YEARS_MAX * 366):
        if day.month not in fields.months:
            day = day.replace(day=calendar.monthrange(day.year, day.month)[1]) + timedelta(days=1)
            continue
        if fields.on(day):
            for hour in sorted(fields.hours):
                for minute in sorted(fields.minutes):
                    found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if found >= start:
                        return found
        day += timedelta(days=1)
    raise ValueError(f"{timing!r} names a day that never comes")


def describe(at: str, every_s: float) -> str:
    """The one form of a timing that is kept: the expression, or `every N s`. Raises `ValueError` where it is none, or both are given."""
    if bool(at) == bool(every_s):
        raise ValueError(f"a schedule is given by `at` or by `every_s`, not by both or neither: {at!r}, {every_s!r}")
    timing = at or f"every {every_s:g} s"
    next_after(timing, _EPOCH)
    return timing
