"""The audit over HTTP: who did what to whom, for staff.

    GET /api/v1/communities/<id>/audit           ?actor &subject &action &since &until &cursor &limit      200 AuditPage, newest first
    GET /api/v1/communities/<id>/audit/export    the same, without cursor and limit                        200 NDJSON, oldest first
    GET /api/v1/audit, /api/v1/audit/export      the whole platform's; ?space bounds it                    200

A community's staff see what was done in it, with the network that it was done from; the platform's auditors see addresses whole.

Invariant: what a community's staff ask is bounded by their community before anything else of the question is looked at.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
import trio
from msgspec import Meta
from quart import Blueprint, Response, request

from actors.audit import ACTIONS, PAGE_MAX, AuditLog, Cursor, Line, Wanted
from gateway.openapi_answers import Media, answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import caller, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import Permission, in_space, on_platform
from protocol.values import ID_MAX

READ: Final = in_space(Permission.READ_AUDIT)
READ_ALL: Final = on_platform(Permission.AUDIT_PLATFORM)
READS: Final = Limit(burst=60, per_s=2.0)
EXPORTS: Final = Limit(burst=3, per_s=1 / 60)
EXPORT_S: Final = 600.0
"""The most that one export may take: 1,000 rows a page, a few milliseconds each, and a client that reads slowly."""
EXPORT_TYPE: Final = "application/x-ndjson"
COMMUNITY: Final = f"<int(min=1, max={ID_MAX}):space>"

Id = Annotated[int, Meta(ge=0, le=ID_MAX)]
Time = Annotated[int, Meta(ge=0, le=2**40)]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may stand behind the question mark. Times are Unix seconds; `cursor` is the `next` of the page before."""

    actor: Id | None = None
    subject: Id | None = None
    action: Annotated[str, Meta(max_length=60)] | None = None
    since: Time | None = None
    until: Time | None = None
    space: Id | None = None
    cursor: Annotated[str, Meta(max_length=40, pattern=r"^\d{1,18}-\d{1,16}$")] | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 50


class AuditPage(msgspec.Struct, frozen=True):
    """Rows, newest first. `next`: ask for the page behind this one with it as `cursor`; empty: there is none."""

    lines: tuple[Line, ...]
    next: str = ""


def create_audit(services: Services, audit: AuditLog) -> Blueprint:
    """The routes above."""
    routes = Blueprint("audit", __name__, url_prefix="/api/v1")
    reading = Reading(services, audit)
    routes.get(f"/communities/{COMMUNITY}/audit")(reading.of_community)
    routes.get(f"/communities/{COMMUNITY}/audit/export")(reading.export_of_community)
    routes.get("/audit")(reading.of_platform)
    routes.get("/audit/export")(reading.export_of_platform)
    return routes


class Reading:
    """One method per route."""

    def __init__(self, services: Services, audit: AuditLog) -> None:
        self._services = services
        self._audit = audit

    @needs(READ)
    @answers("What was done in a community, newest first.", {200: AuditPage}, query=Query, compress=True)
    async def of_community(self, space: int) -> Response:
        claims = await enter(self._services, READ, space)
        await take(self._services.rates, "audit", claims.user, READS)
        return await self._page(_query(), space, whole=False)

    @needs(READ_ALL)
    @answers("What was done anywhere, newest first.", {200: AuditPage}, query=Query, compress=True)
    async def of_platform(self) -> Response:
        claims = await enter(self._services, READ_ALL)
        await take(self._services.rates, "audit", claims.user, READS)
        query = _query()
        return await self._page(query, query.space, whole=True)

    @needs(READ)
    @answers("All of a community's audit, oldest first.", {200: Media(EXPORT_TYPE)}, query=Query)
    async def export_of_community(self, space: int) -> Response:
        claims = await enter(self._services, READ, space)
        await take(self._services.rates, "audit-export", claims.user, EXPORTS)
        wanted = _wanted(_query(), space)
        return _stream(_lines(self._audit, wanted, await self._audit.begin_export(wanted, claims, caller()), whole=False))

    @needs(READ_ALL)
    @answers("All of the audit, oldest first.", {200: Media(EXPORT_TYPE)}, query=Query)
    async def export_of_platform(self) -> Response:
        claims = await enter(self._services, READ_ALL)
        await take(self._services.rates, "audit-export", claims.user, EXPORTS)
        query = _query()
        wanted = _wanted(query, query.space)
        return _stream(_lines(self._audit, wanted, await self._audit.begin_export(wanted, claims, caller()), whole=True))

    async def _page(self, query: Query, space: int | None, *, whole: bool) -> Response:
        page = await self._audit.find(_wanted(query, space), _cursor(query.cursor), query.limit)
        following = "" if page.next is None else f"{page.next.at_us}-{page.next.id}"
        lines = page.lines if whole else tuple(_without_host(line) for line in page.lines)
        return Response(msgspec.json.encode(AuditPage(lines, following)), content_type="application/json")


async def _lines(audit: AuditLog, wanted: Wanted, until: int, *, whole: bool) -> AsyncIterator[bytes]:
    async for lines in audit.export(wanted, until):
        shown = lines if whole else tuple(_without_host(line) for line in lines)
        yield b"".join(msgspec.json.encode(line) + b"\n" for line in shown)


def _stream(lines: AsyncIterator[bytes]) -> Response:
    async def bounded() -> AsyncIterator[bytes]:
        ends_s = trio.current_time() + EXPORT_S
        async for page in lines:
            if trio.current_time() > ends_s:
                # A client sees that the answer broke off, rather than taking a part for the whole.
                raise trio.TooSlowError
            yield page

    response = Response(bounded(), content_type=EXPORT_TYPE)
    response.timeout = EXPORT_S
    response.headers["Content-Disposition"] = 'attachment; filename="audit.ndjson"'
    return response


def _query() -> Query:
    given = request.args.to_dict()
    try:
        query = msgspec.convert(given, Query, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(Code.INVALID, f"{error}; allowed: {', '.join(Query.__struct_fields__)}") from None
    if query.action is not None and query.action not in ACTIONS:
        raise Problem(Code.INVALID, "action: there is none of this name")
    return query


def _wanted(query: Query, space: int | None) -> Wanted:
    return Wanted(space, query.actor, query.subject, query.action, query.since, query.until)


def _cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    at_us, _, number = text.partition("-")
    return Cursor(int(at_us), int(number))


def _without_host(line: Line) -> Line:
    """The row with the network in place of the address: enough to tell one school from another, too little to follow a person by."""
    return msgspec.structs.replace(line, address=network_of(line.address))


def network_of(address: str | None) -> str | None:
    """The /24 of an IPv4 address, the /48 of an IPv6 one; nothing of what is neither."""
    if not address:
        return address
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))
