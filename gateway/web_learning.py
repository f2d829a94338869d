"""Learning over HTTP, for what stands beside the apps: a school's own pages, a report for mentors. Everything else is sync's.

    GET /api/v1/learning/<space>/courses    Bearer ?after    200 CoursePage     members, and API keys that may read
    GET /api/v1/learning/<space>/grades     Bearer ?after    200 GradePage      one's own
    GET /api/v1/learning/<space>/learners   Bearer ?after    200 LearnerPage    who mentors there

Invariant: nobody's grades are told to anybody but themselves; mentors hear how somebody comes along, not what they answered.
"""

from __future__ import annotations

from typing import Final

import msgspec
from quart import Blueprint, Response

from actors.accounts import Claims
from actors.learning_book import CoursePage, GradePage, LearnerPage, LearningBook
from gateway.openapi_answers import answers, read_query
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import take
from gateway.web_needs import needs
from gateway.web_queries import After
from gateway.web_services import Services
from protocol.permissions import Needs, Permission, in_space
from protocol.values import ID_MAX

READING: Final = in_space(Permission.READ)
MENTORING: Final = in_space(Permission.MENTOR)
ASKED: Final = Limit(burst=30, per_s=0.5)
SPACE: Final = f"<int(min=1, max={ID_MAX}):space>"


def create_learning(services: Services, book: LearningBook) -> Blueprint:
    """The routes above."""
    routes = Blueprint("learning", __name__, url_prefix="/api/v1/learning")
    learning = _Learning(services, book)
    routes.get(f"/{SPACE}/courses")(learning.courses)
    routes.get(f"/{SPACE}/grades")(learning.grades)
    routes.get(f"/{SPACE}/learners")(learning.learners)
    return routes


class _Learning:
    """One method per route."""

    def __init__(self, services: Services, book: LearningBook) -> None:
        self._services = services
        self._book = book

    @needs(READING)
    @answers("A community's courses.", {200: CoursePage}, query=After, compress=True)
    async def courses(self, space: int) -> Response:
        await self._enter(READING, space)
        return _json(await self._book.courses(space, read_query(After).after))

    @needs(READING)
    @answers("One's own grades in a community.", {200: GradePage}, query=After, compress=True)
    async def grades(self, space: int) -> Response:
        claims = await self._enter(READING, space)
        return _json(await self._book.grades(space, claims.user, read_query(After).after))

    @needs(MENTORING)
    @answers("How the learners of a community come along.", {200: LearnerPage}, query=After, compress=True)
    async def learners(self, space: int) -> Response:
        claims = await self._enter(MENTORING, space)
        return _json(await self._book.learners(space, claims.user, read_query(After).after))

    async def _enter(self, wanted: Needs, space: int) -> Claims:
        claims = await enter(self._services, wanted, space)
        await take(self._services.rates, "learning", claims.user, ASKED)
        return claims


def _json(page: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(page), content_type="application/json")
