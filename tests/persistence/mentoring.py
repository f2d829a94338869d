"""Mentors and learners in tests of persistence: people with records, trust, and mentorships between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persistence.mentoring.meetings import settle_meetings
from persistence.mentoring.settling import settle_some
from protocol.entities import Entity, Fields
from protocol.operations import AnswerMentorship, ProposeMentorship
from tests.persistence.records import change, own
from tests.persistence.world import Person, World

OPEN, SUBJECTS, LEVELS, STYLES, HOURS, CAPACITY, ABOUT, COMMUNITIES = range(1, 9)
GATE = 0.45
MENTORING: Fields = {OPEN: True, SUBJECTS: ("Algebra", "Physics"), CAPACITY: 3, ABOUT: "I like to explain."}


async def mentor(w: World, name: str, fields: Mapping[int, Any] | None = None, *, trust: float = 0.6) -> Person:
    """Somebody who mentors everywhere, and is trusted."""
    person = await w.person(name)
    await trusted(w, person, trust)
    await says(w, person, Entity.MENTORING, {**MENTORING, **(fields or {})})
    return person


async def trusted(w: World, person: Person, trust: float) -> None:
    await w.rows("update accounts set trust = $2 where id = $1", person.user, trust)


async def says(w: World, person: Person, entity: Entity, fields: Mapping[int, Any]) -> None:
    """Writes one of their single records."""
    await w.ok(person, change(await own(w, person), entity, 1, dict(fields)))


async def matched(w: World, one: Person, learner: Person, space: int = 0) -> tuple[int, int]:
    """A mentorship that has begun, and its space."""
    mentorship = await w.ok(learner, ProposeMentorship(one.user, space, "algebra", "please"))
    return mentorship, await w.ok(one, AnswerMentorship(mentorship, True, "gladly"))


async def settled(w: World, gate: float | None = GATE) -> int:
    async def work(tx: Any) -> int:
        return await settle_some(tx, gate)

    await settle_meetings(w.bridge)
    return await w.bridge.run(work, deadline_s=30)
