"""Insights over HTTP: one's own, those of whom one mentors, and sums; to nobody else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.insight_book import LearnerInsights, LessonPage, OwnInsights
from gateway.web import create_app
from protocol.permissions import Permission
from tests.gateway.web_world import World

SPACE, PUPIL = 50, 7


class Book:
    """Insights in memory: of one learner, who has one mentor."""

    def __init__(self) -> None:
        self.mentor = 0
        self.off = False
        self.asked: list[tuple[int, int, int]] = []

    async def own(self, user: int) -> OwnInsights:
        return OwnInsights((LearnerInsights(SPACE, user, (), 0, (), 3, ""),))

    async def learner(self, space: int, user: int, mentor: int) -> LearnerInsights | None:
        self.asked.append((space, user, mentor))
        known = (space, user, mentor) == (SPACE, PUPIL, self.mentor)
        return LearnerInsights(space, user, (), 0, (), 3, "") if known else None

    async def lessons(self, space: int, month: str, after: int) -> LessonPage | None:
        return None if self.off else LessonPage(month, 5, (), 0)


async def begin(*held: Permission) -> tuple[World, Book, dict[str, Any]]:
    book, world = Book(), World()
    world.services = msgspec.structs.replace(world.services, insights=book)
    world.app = create_app(world.services)
    session = await world.register()
    world.authority.held |= {(session["user"], permission, SPACE) for permission in held}
    return world, book, session


async def test_everybody_reads_their_own_and_a_stranger_nothing() -> None:
    world, _, session = await begin()
    answer = await world.ask("GET", "/api/v1/insights", token=session["access_token"])
    assert answer.status == 200 and msgspec.json.decode(answer.body)["communities"][0]["user"] == session["user"]
    assert (await world.ask("GET", "/api/v1/insights")).status == 401


async def test_a_learner_is_told_of_to_their_mentor_and_others_cannot_tell_them_from_nobody() -> None:
    world, book, session = await begin(Permission.READ, Permission.MENTOR)
    token = session["access_token"]
    other = await world.ask("GET", f"/api/v1/insights/{SPACE}/learners/{PUPIL}", token=token)
    nobody = await world.ask("GET", f"/api/v1/insights/{SPACE}/learners/999", token=token)
    assert (other.status, other.body) == (nobody.status, nobody.body) and other.status == 404
    book.mentor = session["user"]
    assert (await world.ask("GET", f"/api/v1/insights/{SPACE}/learners/{PUPIL}", token=token)).status == 200


@pytest.mark.parametrize(("held", "status"), [((), 404), ((Permission.READ,), 403), ((Permission.READ, Permission.WRITE_CONTENT), 403)])
async def test_without_the_permission_to_mentor_nothing_is_asked_about_a_learner(held: tuple[Permission, ...], status: int) -> None:
    world, book, session = await begin(*held)
    book.mentor = session["user"]
    answer = await world.ask("GET", f"/api/v1/insights/{SPACE}/learners/{PUPIL}", token=session["access_token"])
    assert answer.status == status and not book.asked


async def test_sums_are_for_who_writes_lessons_by_month_and_nowhere_without_analytics() -> None:
    world, book, session = await begin(Permission.READ)
    token, path = session["access_token"], f"/api/v1/insights/{SPACE}/lessons"
    assert (await world.ask("GET", f"{path}?month=2026-11", token=token)).status == 403
    world.authority.held.add((session["user"], Permission.WRITE_CONTENT, SPACE))
    assert (await world.ask("GET", f"{path}?month=2026-11", token=token)).status == 200
    for wrong in ("", "?month=2026-13", "?month=2026-11-01", "?month=2026-11&after=-1", "?month=2026-11&after=%C2%B2", "?month=2026-11%0A"):
        assert (await world.ask("GET", path + wrong, token=token)).status == 400, wrong
    book.off = True
    assert (await world.ask("GET", f"{path}?month=2026-11", token=token)).status == 404
