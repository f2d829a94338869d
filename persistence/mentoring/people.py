"""What people say of themselves as mentors and learners, read from their own records and brought to what the model understands.

    PROFILE ─ languages, time zone ─╮
    MENTORING ──────────────────────┴▶ Mentor ─ trust, communities, mentorships, exposure ─▶ Candidate (or gone)
    LEARNING, PROFILE, what was asked ─▶ Seeker

Records are as people's devices wrote them; of whatever is missing there the most open value is taken.

Invariant: nothing of a name, an age or a sex gets into a `Candidate` or a `Seeker`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import asyncpg
from msgspec import Struct

from actors.inference import Candidate, Seeker
from actors.quiet import zone_of
from actors.storage import FindMatches
from actors.weeks import offset_min, signature, to_utc
from protocol.entities import Entity, Value
from protocol.merge import unpack_record

Told = Mapping[int, Value]
"""A record's fields; empty where there is none."""

_ABOUT_LANGUAGES: Final = 3
_ABOUT_ZONE: Final = 4
_OPEN, _SUBJECTS, _LEVELS, _STYLES, _HOURS, _CAPACITY, _ABOUT, _COMMUNITIES = range(1, 9)
_L_SUBJECTS, _L_LEVEL, _L_STYLES, _L_HOURS = range(1, 5)

_RECORDS: Final = "select user_id, entity, cells from own_singles($1, $2)"


class Mentor(Struct, frozen=True):
    """A MENTORING record. `communities`: where they mentor; (): everywhere."""

    open: bool
    subjects: tuple[str, ...]
    levels: int
    styles: int
    hours: tuple[int, ...]
    capacity: int
    about: str
    communities: tuple[int, ...]

    @property
    def everywhere(self) -> bool:
        return not self.communities


async def read_told(tx: asyncpg.Connection, users: Sequence[int], entities: Sequence[Entity]) -> dict[int, dict[int, Told]]:
    """By user and entity: their single records of these kinds. In one statement."""
    found: dict[int, dict[int, Told]] = {}
    for user, entity, cells in await tx.fetch(_RECORDS, list(users), list(entities)):
        found.setdefault(user, {})[entity] = told_of(cells, entity)
    return found


def told_of(cells: bytes, entity: int) -> Told:
    """A stored record's fields; none of one that is deleted."""
    record = unpack_record(cells, entity)
    return {} if record.is_gone else record.fields


def mentor_of(told: Told) -> Mentor:
    """A MENTORING record; of none, somebody who is closed."""
    return Mentor(
        told.get(_OPEN) is True,
        _words(told.get(_SUBJECTS)),
        _number(told.get(_LEVELS)),
        _number(told.get(_STYLES)),
        _numbers(told.get(_HOURS)),
        _number(told.get(_CAPACITY)),
        str(told.get(_ABOUT, "")),
        _numbers(told.get(_COMMUNITIES)),
    )


def languages_of(profile: Told) -> tuple[str, ...]:
    """A PROFILE's language tags, best first."""
    return _words(profile.get(_ABOUT_LANGUAGES))


def zone_name_of(profile: Told) -> str:
    return str(profile.get(_ABOUT_ZONE, ""))


def candidate(
    user: int,
    mentor: Mentor,
    profile: Told,
    *,
    spaces: Sequence[int],
    free: int,
    held: int,
    good: float,
    shown: float,
    today: date,
) -> tuple[Candidate, str]:
    """What the model is fed of a mentor, and the signature of the week that it was made for."""
    zone = zone_of(zone_name_of(profile))
    return (
        Candidate(
            user,
            mentor.subjects,
            mentor.levels,
            mentor.styles,
            languages_of(profile),
            to_utc(mentor.hours, zone, today),
            offset_min(zone, today),
            tuple(spaces),
            free,
            held,
            good,
            shown,
        ),
        signature(zone, today),
    )


def seeker(asked: FindMatches, profile: Told, learning: Told, today: date) -> Seeker:
    """Who looks, from what they asked; what they left empty from their records."""
    zone = zone_of(zone_name_of(profile))
    return Seeker(
        asked.user,
        asked.subjects or _words(learning.get(_L_SUBJECTS)),
        asked.level or _number(learning.get(_L_LEVEL)),
        asked.styles or _number(learning.get(_L_STYLES)),
        asked.languages or languages_of(profile),
        to_utc(asked.hours or _numbers(learning.get(_L_HOURS)), zone, today),
        offset_min(zone, today),
        asked.space,
    )


def key_of(subject: str) -> str:
    """By what subjects are compared where no model compares them."""
    return " ".join(subject.casefold().split())


def _words(value: Value | None) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, tuple) else ()


def _numbers(value: Value | None) -> tuple[int, ...]:
    return tuple(one for one in value if isinstance(one, int)) if isinstance(value, tuple) else ()


def _number(value: Value | None) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
