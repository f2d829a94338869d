"""`educonnect mentors` on a device: whom a name means, and how goals and meetings of a mentorship are shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.mentors import mentors
from client.mentors_view import found_lines, together_lines
from client.session import Session
from client.sqlite_store import MemoryStore
from client.sync import offline_desk
from protocol.entities import Entity, Fields, write_fields
from protocol.events import Changed, RecordItem
from protocol.frames import MentorsFound, Spaces, SpaceState, StreamState
from protocol.values import Role, SpaceKind, StreamKind

SHARED = 40


@pytest.fixture
def session() -> Iterator[Session]:
    with MemoryStore() as store:
        made = offline_desk(store, lambda line: None).session
        stream = StreamState(SHARED, StreamKind.MENTORSHIP, "", 0, 0, True)
        made.sync_streams.learn(Spaces(1, 0, (SpaceState(30, SpaceKind.MENTORSHIP, "", Role.LEARNER, (stream,)),)))
        yield made


def test_goals_and_meetings_are_shown_by_the_numbers_that_change_them_and_the_next_meeting_first(session: Session) -> None:
    written: tuple[tuple[Entity, int, Fields], ...] = (
        (Entity.GOAL, 5, {1: "fractions\x1b[2J", 4: True}),
        (Entity.GOAL, 6, {1: "proofs"}),
        (Entity.MEETING, 7, {1: 1_800_000_000, 3: "the library", 5: 1}),
        (Entity.MEETING, 8, {1: 1_700_000_000, 5: 9}),
    )
    items = tuple(RecordItem(entity, key, 1, write_fields(fields), False) for entity, key, fields in written)
    session.records.hear(SHARED, 1, Changed(items))
    goals, meetings = (session.records.list(SHARED, entity) for entity in (Entity.GOAL, Entity.MEETING))
    assert together_lines(goals, meetings) == [
        "     goal 5: fractions [2J – reached",
        "     goal 6: proofs",
        "     meeting 8: 2023-11-14 22:13 UTC – unknown",
        "     meeting 7: 2027-01-15 08:00 UTC, the library – agreed",
    ]


async def test_without_a_connection_a_mentor_is_a_number(tmp_path: Path) -> None:
    said: list[str] = []
    store = ["--store", str(tmp_path / "me.db"), "--offline"]
    assert await mentors([*store, "ask", "amina", "algebra"], said.append) == 2
    assert "named by number" in said[-1]
    assert await mentors([*store, "ask", "17", "algebra"], said.append) == 3


def test_where_nobody_mentors_yet_it_is_said_why() -> None:
    lines = found_lines(MentorsFound(1, (), 0, 0, ""))
    assert lines[0].startswith("Nobody mentors here yet") and lines[-1] == "0 mentors were looked at, 0 of them fit."
