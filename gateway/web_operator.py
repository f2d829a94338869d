"""What an operator of the platform sees and does over HTTP: jobs, their failures and schedules; models, as this gateway asks them.

    GET  /operator                               the page (without data; it asks the others)
    GET  /api/v1/operator/jobs                   ?kind&state&before&limit     200 {kinds, schedules, jobs, unserved, models}
    GET  /api/v1/operator/jobs/<id>                                           200 JobView
    POST /api/v1/operator/jobs/<id>/retry                                     200 {count}
    POST /api/v1/operator/jobs/<id>/cancel                                    200 {cancelled}
    POST /api/v1/operator/jobs/retry             {kind}                       200 {count}

All but the page need the permission `operate`; what is done is written into the audit under whoever did it.

Invariant: no answer holds a payload.
"""

from __future__ import annotations

from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta
from quart import Blueprint, Response, request

from actors.accounts import Claims
from actors.job_desk import PAGE_MAX, Cancelled, Desk, JobsWanted, JobView, KindFigures, RegionFigures, ScheduleView, State
from actors.jobs import KIND_LENGTH_MAX
from gateway.models import ModelFigures
from gateway.openapi_answers import Media, answers
from gateway.operator_page import PAGE, POLICY
from gateway.problems import Problem
from gateway.web_entry import enter
from gateway.web_input import Input, caller, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import ANYONE, Permission, on_platform
from protocol.values import ID_MAX

OPERATE: Final = on_platform(Permission.OPERATE)
NO_JOB: Final = "there is no such job: it is done, or never was"


class RetryKind(Input, frozen=True):
    """Asks for the oldest dead letters of a kind to be jobs again."""

    kind: Annotated[str, Meta(min_length=1, max_length=KIND_LENGTH_MAX)]


class JobsPage(msgspec.Struct, frozen=True):
    """Queues, schedules, a page of jobs and dead letters, newest first, regions whose jobs nobody takes, and models, as the gateway that
    answers asks them."""

    kinds: list[KindFigures]
    schedules: list[ScheduleView]
    jobs: list[JobView]
    unserved: list[RegionFigures]
    models: list[ModelFigures]


class Retried(msgspec.Struct, frozen=True):
    """How many dead letters are jobs again."""

    count: int


class CancelledAnswer(msgspec.Struct, frozen=True):
    """`gone`: it waited. `told`: it runs, and ends within a second. `forgotten`: it was a dead letter."""

    cancelled: Cancelled


def create_operator(services: Services, desk: Desk) -> Blueprint:
    """The routes above."""
    routes = Blueprint("operator", __name__)
    operator = Operator(services, desk)
    routes.get("/operator")(operator.page)
    routes.get("/api/v1/operator/jobs")(operator.jobs)
    routes.get("/api/v1/operator/jobs/<int:id>")(operator.show)
    routes.post("/api/v1/operator/jobs/<int:id>/retry")(operator.retry)
    routes.post("/api/v1/operator/jobs/<int:id>/cancel")(operator.cancel)
    routes.post("/api/v1/operator/jobs/retry")(operator.retry_kind)
    return routes


class Operator:
    """One method per route."""

    def __init__(self, services: Services, desk: Desk) -> None:
        self._services = services
        self._desk = desk

    @needs(ANYONE)
    @answers("The operator's page; it asks the others.", {200: Media("text/html", text=True)})
    async def page(self) -> Response:
        return Response(PAGE, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": POLICY})

    @needs(OPERATE)
    @answers("Queues, schedules, jobs and models.", {200: JobsPage}, query=JobsWanted, compress=True)
    async def jobs(self) -> Response:
        await self._admit()
        wanted = _wanted()
        desk = self._desk
        kinds, schedules, jobs, unserved = await desk.overview(), await desk.schedules(), await desk.find(wanted), await desk.unserved()
        return _json(JobsPage(kinds, schedules, jobs, unserved, self._services.models()))

    @needs(OPERATE)
    @answers("One job.", {200: JobView})
    async def show(self, id: int) -> Response:
        await self._admit()
        view = await self._desk.show(_known(id))
        if view is None:
            raise Problem(Code.NOT_FOUND, NO_JOB)
        return _json(view)

    @needs(OPERATE)
    @answers("Makes a dead letter a job again.", {200: Retried})
    async def retry(self, id: int) -> Response:
        claims = await self._admit()
        count = await self._desk.retry([_known(id)], actor=claims.user, address=caller().address)
        if not count:
            raise Problem(Code.NOT_FOUND, "there is no such dead letter")
        return _json(Retried(count))

    @needs(OPERATE)
    @answers("Makes the oldest dead letters of a kind jobs again.", {200: Retried}, takes=RetryKind)
    async def retry_kind(self) -> Response:
        claims = await self._admit()
        wanted = await read_json(RetryKind)
        return _json(Retried(await self._desk.retry_kind(wanted.kind, actor=claims.user, address=caller().address)))

    @needs(OPERATE)
    @answers("Cancels a job.", {200: CancelledAnswer})
    async def cancel(self, id: int) -> Response:
        claims = await self._admit()
        cancelled = await self._desk.cancel(_known(id), actor=claims.user, address=caller().address)
        if cancelled == "unknown":
            raise Problem(Code.NOT_FOUND, NO_JOB)
        return _json(CancelledAnswer(cancelled))

    async def _admit(self) -> Claims:
        services = self._services
        claims = await enter(services, OPERATE)
        await take(services.rates, "session", claims.user, services.limits.session_user)
        return claims


def _wanted() -> JobsWanted:
    """The query, read strictly. Raises `Problem`."""
    fields = {"kind": str, "state": str, "before": int, "limit": int}
    if unknown := sorted(set(request.args) - set(fields)):
        raise Problem(Code.INVALID, f"{len(unknown)} unknown fields in the query; allowed: {', '.join(fields)}")
    try:
        found = {name: kind(request.args[name]) for name, kind in fields.items() if name in request.args}
        return msgspec.convert(found, JobsWanted)
    except (ValueError, msgspec.ValidationError):
        states = ", ".join(get_args(State))
        raise Problem(Code.INVALID, f"the query takes kind, state ({states}), before and limit (1 to {PAGE_MAX})") from None


def _known(id: int) -> int:
    if not 0 < id <= ID_MAX:
        raise Problem(Code.NOT_FOUND, NO_JOB)
    return id


def _json(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), content_type="application/json")
