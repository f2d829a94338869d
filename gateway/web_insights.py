"""Insights over HTTP: one's own; a learner's, to who mentors them; a community's lessons, in sums.

    GET /api/v1/insights                                  Bearer          200 OwnInsights
    GET /api/v1/insights/<space>/learners/<user>          Bearer          200 LearnerInsights · 404 nobody whom one mentors there
    GET /api/v1/insights/<space>/lessons                  Bearer ?month ?after   200 LessonPage

A learner has the same as records (NEXT, INSIGHT), also offline. Writing none of it is anybody's: it follows from what people do.

Invariant: what is said about a person is said to them and to their mentors alone; a community's sums say nothing of fewer than a group, and
are cut in no way but by month.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from quart import Blueprint, Response

from actors.accounts import Claims
from actors.insight_book import InsightBook, LearnerInsights, LessonPage, OwnInsights
from gateway.openapi_answers import answers, read_query
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import admit, take
from gateway.web_needs import needs
from gateway.web_queries import Id
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import OWN, Needs, Permission, in_space
from protocol.values import ID_MAX

MENTORING: Final = in_space(Permission.MENTOR)
WRITING: Final = in_space(Permission.WRITE_CONTENT)
ASKED: Final = Limit(burst=30, per_s=0.5)
SPACE: Final = f"<int(min=1, max={ID_MAX}):space>"
PERSON: Final = f"<int(min=1, max={ID_MAX}):user>"


class OfMonth(msgspec.Struct, frozen=True):
    """A month, as in 2026-11; `after`: the lesson to go on behind."""

    month: Annotated[str, Meta(pattern="^20[0-9]{2}-(0[1-9]|1[0-2])$", max_length=7)]
    after: Id = 0


def create_insights(services: Services, book: InsightBook) -> Blueprint:
    """The routes above."""
    routes = Blueprint("insights", __name__, url_prefix="/api/v1/insights")
    insights = _Insights(services, book)
    routes.get("")(insights.own)
    routes.get(f"/{SPACE}/learners/{PERSON}")(insights.learner)
    routes.get(f"/{SPACE}/lessons")(insights.lessons)
    return routes


class _Insights:
    """One method per route."""

    def __init__(self, services: Services, book: InsightBook) -> None:
        self._services = services
        self._book = book

    @needs(OWN)
    @answers("What is reckoned about oneself.", {200: OwnInsights}, compress=True)
    async def own(self) -> Response:
        services = self._services
        claims = await admit(services.tokens, services.sessions, services.wall())
        await take(services.rates, "insights", claims.user, ASKED)
        return _json(await self._book.own(claims.user))

    @needs(MENTORING)
    @answers("What is reckoned about a learner whom one mentors.", {200: LearnerInsights}, compress=True)
    async def learner(self, space: int, user: int) -> Response:
        claims = await self._enter(MENTORING, space)
        found = await self._book.learner(space, user, claims.user)
        if found is None:
            raise Problem(Code.NOT_FOUND, "there is nobody of that number whom you mentor in this community, or nothing is reckoned there")
        return _json(found)

    @needs(WRITING)
    @answers("A month of a community's lessons, in sums.", {200: LessonPage}, query=OfMonth, compress=True)
    async def lessons(self, space: int) -> Response:
        await self._enter(WRITING, space)
        wanted = read_query(OfMonth)
        page = await self._book.lessons(space, wanted.month, wanted.after)
        if page is None:
            raise Problem(Code.NOT_FOUND, "this community keeps no analytics")
        return _json(page)

    async def _enter(self, wanted: Needs, space: int) -> Claims:
        claims = await enter(self._services, wanted, space)
        await take(self._services.rates, "insights", claims.user, ASKED)
        return claims


def _json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), content_type="application/json")
