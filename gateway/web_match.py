"""The search for a mentor over HTTP, and one's own mentorships, where sockets are blocked.

    POST /api/v1/match             Bearer {subjects, level, …}   200 MentorsFound, or 202 {ticket} where it takes long
    GET  /api/v1/match/<ticket>    Bearer                        200 MentorsFound · 202 not yet · 404 none of yours
    GET  /api/v1/mentorships       Bearer ?after ?all=1          200 Mentorships

Proposing, answering and ending are operations: by the socket, or `POST /api/v1/sync`.

Invariant: a ticket is answered to whoever it was promised to, and to others as if there were none.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from quart import Blueprint, Response

from actors.accounts import Claims
from actors.limits import Quota
from actors.requests import found
from actors.storage import Denied, FindMatches, ListMentorships, MatchLater, MatchList, MentorshipList
from gateway.mailbox import ask
from gateway.matchmaker import Matchmaker
from gateway.openapi_answers import answers, read_query
from gateway.problems import RETRY_S, STATUS, Problem
from gateway.rates import Limit
from gateway.web_input import Input, admit, network, read_json, take
from gateway.web_needs import needs
from gateway.web_queries import Id
from gateway.web_services import Services
from protocol.codes import Code
from protocol.frames import MENTORS_MAX, MentorFound, MentorshipItem
from protocol.permissions import OWN
from protocol.values import ID_MAX, MaybeSpaceId, MentorshipSubject

ASKED: Final = Limit(burst=60, per_s=1.0)
LISTED_MAX: Final = 100


class Search(Input, frozen=True, forbid_unknown_fields=True):
    """As `protocol.frames.FindMentors`. What is left empty is taken from one's LEARNING and PROFILE records."""

    subjects: Annotated[tuple[MentorshipSubject, ...], Meta(max_length=20)] = ()
    level: Annotated[int, Meta(ge=0, le=10)] = 0
    styles: Annotated[int, Meta(ge=0, le=255)] = 0
    languages: Annotated[tuple[Annotated[str, Meta(min_length=2, max_length=35)], ...], Meta(max_length=10)] = ()
    hours: Annotated[tuple[Annotated[int, Meta(ge=0, le=2**24 - 1)], ...], Meta(max_length=7)] = ()
    space: MaybeSpaceId = 0
    limit: Annotated[int, Meta(ge=1, le=MENTORS_MAX)] = 10


class Mentor(Struct, frozen=True):
    """One of those found, by names: `protocol.frames.MentorFound`."""

    user: int
    name: str
    display_name: str
    percent: int
    factors: tuple[int, ...]
    why: str
    about: str
    free: int
    space: int


class Found(Struct, frozen=True):
    """As `protocol.frames.MentorsFound`."""

    mentors: tuple[Mentor, ...]
    considered: int
    fitting: int
    by: str
    degraded: str
    ticket: int


class OwnQuery(Struct, frozen=True):
    """Goes on behind the mentorship `after`. `all` 1: those that are over, too."""

    after: Id = 0
    all: Annotated[int, Meta(ge=0, le=1)] = 0


class Later(Struct, frozen=True):
    """It takes longer: ask for the ticket."""

    ticket: int


class OwnMentorships(Struct, frozen=True):
    """One's own mentorships, by ascending number."""

    mentorships: tuple[dict[str, object], ...]
    more: bool


def create_match(services: Services, matchmaker: Matchmaker) -> Blueprint:
    """The routes above."""
    routes = Blueprint("match", __name__, url_prefix="/api/v1")
    matching = Matching(services, matchmaker)
    routes.post("/match")(matching.find)
    routes.get(f"/match/<int(min=1, max={ID_MAX}):ticket>")(matching.result)
    routes.get("/mentorships")(matching.own)
    return routes


class Matching:
    """One method per route."""

    def __init__(self, services: Services, matchmaker: Matchmaker) -> None:
        self._services = services
        self._matchmaker = matchmaker

    @needs(OWN)
    @answers("Looks for mentors who fit.", {200: Found, 202: Later}, takes=Search, refuses=(Code.FORBIDDEN, Code.NOT_FOUND), compress=True)
    async def find(self) -> Response:
        claims = await self._admit()
        wanted = await read_json(Search)
        if any("\0" in words for words in (*wanted.subjects, *wanted.languages)):
            raise Problem(Code.INVALID, "no subject or language contains U+0000")
        wait_s = self._services.quotas.take(Quota.MATCHES, claims.user, network())
        if wait_s > 0.0:
            raise Problem(Code.RATE, f"too many searches; come back in {int(wait_s) + 1} s", retry_after_s=wait_s)
        query = FindMatches(
            claims.user, wanted.subjects, wanted.level, wanted.styles, wanted.languages, wanted.hours, wanted.space, wanted.limit
        )
        result = await ask(self._matchmaker, query)
        if isinstance(result, MatchLater):
            return _json(Later(result.ticket), 202)
        if isinstance(result, MatchList):
            return _json(_found(result))
        assert isinstance(result, Denied), result
        raise _refusal(result)

    @needs(OWN)
    @answers("What a search came to.", {200: Found, 202: Later}, compress=True)
    async def result(self, ticket: int) -> Response:
        claims = await self._admit()
        kept = await self._matchmaker.result(ticket, claims.user)
        if isinstance(kept, MatchList):
            return _json(_found(kept))
        if not kept:
            raise Problem(Code.NOT_FOUND, "there is no such search of yours, or it is more than ten minutes old")
        response = _json(Later(ticket), 202)
        response.headers["Retry-After"] = "1"
        return response

    @needs(OWN)
    @answers("One's own mentorships.", {200: OwnMentorships}, query=OwnQuery, refuses=(Code.FORBIDDEN, Code.NOT_FOUND), compress=True)
    async def own(self) -> Response:
        claims = await self._admit()
        wanted = read_query(OwnQuery)
        result = await ask(self._services.store, ListMentorships(claims.user, wanted.after, not wanted.all, LISTED_MAX))
        if isinstance(result, MentorshipList):
            return _json(OwnMentorships(tuple(_named(item) for item in result.mentorships), result.more))
        assert isinstance(result, Denied), result
        raise _refusal(result)

    async def _admit(self) -> Claims:
        services = self._services
        claims = await admit(services.tokens, services.sessions, services.wall())
        await take(services.rates, "match", claims.user, ASKED)
        return claims


def _found(result: MatchList) -> Found:
    frame = found(0, result)
    mentors = tuple(Mentor(**{name: getattr(one, name) for name in MentorFound.__struct_fields__}) for one in frame.mentors)
    return Found(mentors, frame.considered, frame.fitting, frame.by, frame.degraded, frame.ticket)


def _named(item: MentorshipItem) -> dict[str, object]:
    return {name: getattr(item, name) for name in MentorshipItem.__struct_fields__}


def _refusal(denied: Denied) -> Problem:
    if denied.code in (Code.BUSY, Code.UNAVAILABLE) or denied.code not in STATUS:
        return Problem(Code.UNAVAILABLE, denied.detail or "this cannot be looked for at the moment", retry_after_s=RETRY_S)
    return Problem(denied.code, denied.detail or "there is no such community, or you are not a member of it")


def _json(answer: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status=status, content_type="application/json")
