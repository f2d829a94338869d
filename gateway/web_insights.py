"""Insights over HTTP: one's own; a learner's, to who mentors them; a community's lessons, in sums.

    GET /api/v1/insights                                  Bearer          200 OwnInsights
    GET /api/v1/insights/<space>/learners/<user>          Bearer          200 LearnerInsights · 404 nobody whom one mentors there
    GET /api/v1/insights/<space>/lessons                  Bearer ?month ?after   200 LessonPage

A learner has the same as records (NEXT, INSIGHT), also offline. Writing none of it is anybody's: it follows from what people do.

Invariant: what is said about a person is said to them and to their mentors alone; a community's sums say nothing of fewer than a group, and
are cut in no way but by month.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from quart import Blueprint, Response, request

from actors.accounts import Claims
from actors.insight_book import InsightBook
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import admit, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import OWN, Needs, Permission, in_space
from protocol.values import ID_MAX

MENTORING: Final = in_space(Permission.MENTOR)
WRITING: Final = in_space(Permission.WRITE_CONTENT)
ASKED: Final = Limit(burst=30, per_s=0.5)
MONTH: Final = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
SPACE: Final = f"<int(min=1, max={ID_MAX}):space>"
PERSON: Final = f"<int(min=1, max={ID_MAX}):user>"


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
    async def own(self) -> Response:
        services = self._services
        claims = await admit(services.tokens, services.sessions, services.wall())
        await take(services.rates, "insights", claims.user, ASKED)
        return _json(await self._book.own(claims.user))

    @needs(MENTORING)
    async def learner(self, space: int, user: int) -> Response:
        claims = await self._enter(MENTORING, space)
        found = await self._book.learner(space, user, claims.user)
        if found is None:
            raise Problem(Code.NOT_FOUND, "there is nobody of that number whom you mentor in this community, or nothing is reckoned there")
        return _json(found)

    @needs(WRITING)
    async def lessons(self, space: int) -> Response:
        await self._enter(WRITING, space)
        month = request.args.get("month", "")
        if not MONTH.fullmatch(month):
            raise Problem(Code.INVALID, "month: a year and a month, as in 2026-11")
        text = request.args.get("after", "0")
        after = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if not 0 <= after <= ID_MAX:
            raise Problem(Code.INVALID, f"after: a number from 0 to {ID_MAX}")
        page = await self._book.lessons(space, month, after)
        if page is None:
            raise Problem(Code.NOT_FOUND, "this community keeps no analytics")
        return _json(page)

    async def _enter(self, wanted: Needs, space: int) -> Claims:
        claims = await enter(self._services, wanted, space)
        await take(self._services.rates, "insights", claims.user, ASKED)
        return claims


def _json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), content_type="application/json")
