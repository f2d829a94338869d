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
STEPS_MAX: Final = 8
"""Each step ends behind at most one change of the clocks; two a day do not happen."""


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
    """The first full minute after `now` at which it is no longer quiet; 0 where it is not quiet now."""
    if not is_quiet(now, zone, begin, end):
        return 0.0
    quiet = now - now % MINUTE_S
    loud = quiet
    for _ in range(STEPS_MAX):
        loud = quiet + (end - _minute(quiet, zone)) % DAY_MINUTES * MINUTE_S
        if not is_quiet(loud, zone, begin, end):
            break
        before = loud - max(0.0, _offset_s(loud, zone) - _offset_s(quiet, zone))
        if quiet < before and not is_quiet(before, zone, begin, end):
            loud = before  # clocks were put forward meanwhile, and what is not quiet is shorter than that
            break
        quiet = loud  # clocks were put back meanwhile
    # Where clocks were put forward the quiet ended before `loud`: between them there is one change, from quiet to not.
    while loud - quiet > MINUTE_S:
        middle = quiet + (loud - quiet) // MINUTE_S // 2 * MINUTE_S
        if is_quiet(middle, zone, begin, end):
            quiet = middle
        else:
            loud = middle
    return loud


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


def _offset_s(at: float, zone: tzinfo) -> float:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0
