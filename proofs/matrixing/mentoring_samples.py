"""A sample of every command of mentoring. As `operation_samples`: what a sample names exists and is fresh."""

from __future__ import annotations

from typing import Final

from proofs.matrixing.command_samples import _id
from proofs.matrixing.operation_samples import NO_ACCOUNT
from proofs.matrixing.site import Ask, Site, command, operation, route
from proofs.matrixing.speaking import Request, by_id
from protocol.entities import Fields
from protocol.frames import FindMentors, MentorsFound, MentorshipPage, Mentorships
from protocol.merge import Cell, Record, Stamp, pack_record
from protocol.operations import AnswerMentorship, AnyOperation, EndMentorship, ProposeMentorship, WithdrawProposal
from protocol.values import MentorshipState, SpaceKind, StreamKind

V1: Final = "/api/v1"
_MENTORING: Final = (
    "insert into records (stream_id, entity, key, version, cells)"
    " select t.id, 21, 1, 1, $2 from accounts a join streams t on t.space_id = a.personal_space and t.kind = 8 where a.id = $1"
    " returning key"
)
_ASKED: Final = "insert into mentorships (mentor, learner, subject, state) values ($1, $2, 'algebra', $3) returning id"
_BEGUN: Final = (
    "with made as (insert into spaces (kind, name, members, created_by) values ($2, 'algebra', 2, 0) returning id),"
    " streams as (insert into streams (space_id, kind, write_roles, placement)"
    " select m.id, k, w, m.id from made m, unnest(array[$3::smallint, $4::smallint], array[12, 0]::smallint[]) as q (k, w)"
    " returning id, space_id, kind)"
    " update mentorships set space_id = (select id from made), conversation = (select id from streams where kind = $3::smallint),"
    " records = (select id from streams where kind = $4::smallint), answered_at = now() where id = $1 returning id"
)


async def mentor(site: Site) -> int:
    """Somebody who mentors everywhere, and whom nobody has asked."""
    login = await site.ground.account()
    fields: Fields = {1: True, 2: ("algebra",), 6: 3}
    cells = {number: Cell(value, 1, Stamp(1, 0, 1)) for number, value in fields.items()}
    await site.ground.value(_MENTORING, login.user, pack_record(Record(1, cells)))
    return login.user


async def asked(site: Site, mentor: int, learner: int, state: MentorshipState = MentorshipState.PROPOSED) -> int:
    """A proposal, or a mentorship that has begun."""
    mentorship = await site.ground.value(_ASKED, mentor, learner, int(state))
    if state is MentorshipState.ACTIVE:
        await site.ground.value(_BEGUN, mentorship, int(SpaceKind.MENTORSHIP), int(StreamKind.CONVERSATION), int(StreamKind.MENTORSHIP))
    return mentorship


async def somebody(site: Site) -> int:
    return (await site.ground.account()).user


@operation(ProposeMentorship, foreign=False)
async def propose(site: Site) -> AnyOperation:
    return ProposeMentorship(await mentor(site), 0, "algebra", "please")


@operation(AnswerMentorship, mine=True, foreign=False, without=NO_ACCOUNT)
async def answer(site: Site) -> AnyOperation:
    return AnswerMentorship(await asked(site, site.user, await somebody(site)), False)


@operation(EndMentorship, mine=True, foreign=False, without=NO_ACCOUNT)
async def end(site: Site) -> AnyOperation:
    return EndMentorship(await asked(site, await somebody(site), site.user, MentorshipState.ACTIVE), True, 5)


@operation(WithdrawProposal, mine=True, foreign=False, without=NO_ACCOUNT)
async def withdraw(site: Site) -> AnyOperation:
    return WithdrawProposal(await asked(site, await somebody(site), site.user))


@command(FindMentors, foreign=False)
async def find_mentors(site: Site) -> Ask:
    id = _id(site)
    return Ask(FindMentors(id, ("algebra",)), by_id(id, MentorsFound))


@command(Mentorships, foreign=False)
async def mentorships(site: Site) -> Ask:
    id = _id(site)
    return Ask(Mentorships(id), by_id(id, MentorshipPage))


@route("match.find")
async def find(site: Site) -> Request:
    return Request("POST", f"{V1}/match", b'{"subjects": ["algebra"]}')


@route("match.result")
async def result(site: Site) -> Request:
    ticket = await site.ground.next_key()
    await site.ground.rows("insert into match_tickets (ticket, user_id) values ($1, $2)", ticket, site.user)
    return Request("GET", f"{V1}/match/{ticket}")


@route("match.own")
async def own(site: Site) -> Request:
    return Request("GET", f"{V1}/mentorships")
