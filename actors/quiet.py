"""Quiet hours and digests: what a person's own clock says.

    now (Unix s) ─zone─▶ wall clock ─▶ quiet? until when? · the next digest

Quiet is what the wall clock shows, so on the day on which clocks change, quiet hours are an hour shorter or longer, as the night is.
Minutes are counted from midnight of the wall clock, 0 to 1439. Time comes in as an argument.

Invariant: at `quiet_until` it is not quiet, and from `now` to then it is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from enum import IntEnum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY_MINUTES: Final = 1440
MINUTE_S: Final = 60
ZONE_LENGTH_MAX: Final = 64
BLOCK_S: Final = 900.0
STEPS_MAX: Final = 3 * 96


class Digest(IntEnum):
    """How often somebody wants one."""

    NONE = 0
    DAILY = 1
    WEEKLY = 2


def zone_of(name: str) -> tzinfo:
    """The zone of this IANA name; UTC for what is none: a person wrote it, or a device whose list is newer than ours."""
    if not name or len(name) > ZONE_LENGTH_MAX:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def is_quiet(at: float, zone: tzinfo, begin: int, end: int) -> bool:
    """Whether the wall clock at this moment is from `begin` to before `end`, over midnight where `end` is the smaller; never if equal."""
    minute = _minute(at, zone)
    return begin <= minute < end if begin <= end else minute >= begin or minute < end


def quiet_until(now: float, zone: tzinfo, begin: int, end: int) -> float:
    """The first full minute after `now` at which it is no longer quiet; 0 where it is not quiet now.

    Walked minute by minute, with one look at the zone a quarter of an hour, on which all clocks of today are changed: what is not quiet may
    be a single minute a day, and be passed over by a change.
    """
    if not is_quiet(now, zone, begin, end):
        return 0.0
    at = now - now % MINUTE_S
    for _ in range(STEPS_MAX):
        minute = _minute(at, zone)
        for _ in range(int((BLOCK_S - at % BLOCK_S) // MINUTE_S)):
            if not (begin <= minute < end if begin <= end else minute >= begin or minute < end):
                return at
            at += MINUTE_S
            minute = (minute + 1) % DAY_MINUTES
    raise AssertionError("there is a minute that is not quiet in any three days")


def next_digest(now: float, zone: tzinfo, cadence: Digest, minute: int, weekday: int) -> float:
    """When the next digest is due, after `now`: each day at `minute`, or on `weekday` (0 is Monday). 0 for none.

    A time that clocks pass over on the day they are put forward is an hour later there; one that comes twice is the first.
    """
    if cadence is Digest.NONE:
        return 0.0
    today = datetime.fromtimestamp(now, zone).date()
    for days in range(9):
        day = today + timedelta(days=days)
        if cadence is Digest.WEEKLY and day.weekday() != weekday:
            continue
        due = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone).timestamp()
        if due > now:
            return due
    raise AssertionError("a week has every weekday")


def _minute(at: float, zone: tzinfo) -> int:
    local = datetime.fromtimestamp(at, zone)
    return local.hour * 60 + local.minute
