"""A week of hours, from somebody's clock to everybody's: what two people have free together is compared in UTC.

    7 x 24 bits by the wall clock ─zone, the week from `today` on─▶ 7 x 24 bits in UTC

The week is the seven days that begin with `today`, a day in UTC, so that what is compared is what comes next: in the week in which clocks
are put forward in Berlin, an hour of Monday morning is already where it will be. An hour of UTC is free if the wall clock, at the middle of
it, shows an hour that is: zones that are half an hour off lose nothing and gain nothing. An hour that is skipped is in no week, one that
comes twice is there twice.

Days are those of the week, from Monday on, in both; bit 0 is the hour from midnight on. Pure: the day comes in as an argument.

Invariant: with an offset that does not change, as many hours come out as went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

DAYS: Final = 7
HOURS: Final = 24
_HALF: Final = timedelta(minutes=30)

Hours = tuple[int, ...]
"""For each day from Monday on, a bit an hour. () is any time; days that are left out at the end have none."""


@lru_cache(maxsize=2048)
def _wall(zone: tzinfo, today: date) -> tuple[tuple[int, int, int, int], ...]:
    """For each hour of the week from `today` on: its day and hour in UTC, and the wall clock's."""
    begin = datetime(today.year, today.month, today.day, tzinfo=UTC)
    places = []
    for n in range(DAYS * HOURS):
        at = begin + timedelta(hours=n)
        there = (at + _HALF).astimezone(zone)
        places.append((at.weekday(), at.hour, there.weekday(), there.hour))
    return tuple(places)


def to_utc(hours: Sequence[int], zone: tzinfo, today: date) -> Hours:
    """The same hours in UTC, in the week that begins with `today`."""
    if not hours:
        return ()
    found = [0] * DAYS
    for day, hour, wall_day, wall_hour in _wall(zone, today):
        if wall_day < len(hours) and hours[wall_day] >> wall_hour & 1:
            found[day] |= 1 << hour
    return tuple(found)


def offset_min(zone: tzinfo, today: date) -> int:
    """How far the zone's clock is ahead of UTC at noon of the day, in minutes."""
    return _minutes(datetime(today.year, today.month, today.day, 12, tzinfo=UTC), zone)


def _minutes(at: datetime, zone: tzinfo) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)


def signature(zone: tzinfo, today: date) -> str:
    """What hours of this zone depend on in the week from `today` on: where it is another one, `to_utc` may say something else.

    The offsets of its first hour and of its last, and where they differ also the first day, since it matters then which days have which.
    Not of noon: clocks change in the morning, and a week that begins on that day has hours from before it.
    """
    begin = datetime(today.year, today.month, today.day, tzinfo=UTC) + _HALF
    first, last = _minutes(begin, zone), _minutes(begin + timedelta(hours=DAYS * HOURS - 1), zone)
    return str(first) if first == last else f"{first}>{last}@{today.isoformat()}"
