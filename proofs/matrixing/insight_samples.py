"""A sample of every route of insights. Whoever asks about a learner mentors them: what is tried here is the permission, and that alone."""

from __future__ import annotations

from typing import Final

from proofs.matrixing.site import Site, route
from proofs.matrixing.speaking import Request

V1 = "/api/v1"
_LEARNER: Final = (
    "insert into learners (stream_id, progress_id, space_id, user_id) values (-($1::bigint * 1000000 + $2::bigint), 0, $1, $2)"
    " on conflict (user_id, space_id) do update set risk = 0 returning user_id"
)
_MENTORED: Final = (
    "insert into mentorships (mentor, learner, community, subject, state) values ($1, $2, $3, 'algebra', 2)"
    " on conflict (mentor, learner) where state in (1, 2) do update set state = 2, community = $3 returning id"
)


@route("insights.own")
async def own_insights(site: Site) -> Request:
    return Request("GET", f"{V1}/insights")


@route("insights.learner", foreign=True)
async def learner_insights(site: Site) -> Request:
    place, pupil = site.place, site.place.pupil.user
    learner = pupil if pupil != site.user else place.writer.user
    await site.ground.value(_LEARNER, place.space, learner)
    if site.user:
        await site.ground.value(_MENTORED, site.user, learner, place.space)
    return Request("GET", f"{V1}/insights/{place.space}/learners/{learner}")


@route("insights.lessons", foreign=True)
async def lesson_insights(site: Site) -> Request:
    return Request("GET", f"{V1}/insights/{site.place.space}/lessons?month=2026-11")
