"""A sample of every command of the socket. What opens or ends a session has a socket of its own."""

from __future__ import annotations

import msgspec
import trio
from msgspec import Raw

from proofs.matrixing.operation_samples import AT, make_conflict
from proofs.matrixing.site import Ask, Run, Site, command
from proofs.matrixing.speaking import ANSWER_S, Caller, Ended, Judge, Request, Talker, by_id, converse, intrude, talk
from proofs.matrixing.standing import Manner
from protocol.codec import decode_frame, encode, join, split
from protocol.codes import Code
from protocol.entities import Entity, write_fields
from protocol.events import Said
from protocol.frames import (
    AnyFrame,
    Bye,
    Chunk,
    ConflictPage,
    Conflicts,
    Done,
    DoneRun,
    Event,
    Failed,
    Find,
    Follow,
    Followed,
    Found,
    Goodbye,
    Granted,
    Hello,
    History,
    Holding,
    Holdings,
    Inherit,
    Inherited,
    IsTyping,
    MemberPage,
    Members,
    Mutate,
    Overview,
    Page,
    Person,
    Ping,
    Pong,
    RecordPage,
    Refresh,
    Refused,
    ReportPage,
    Reports,
    Resume,
    Resumed,
    Search,
    Snapshot,
    Spaces,
    Sync,
    TakeTicket,
    Ticket,
    Typing,
    Unapplied,
    UnappliedPage,
    Unfollow,
    VersionPage,
    Versions,
    Watch,
    Welcome,
)
from protocol.frames import (
    Run as ChangeRun,
)
from protocol.operations import Rename, Say
from protocol.permissions import OWN, Permission, on_platform
from protocol.values import StreamKind


def _id(site: Site) -> int:
    return site.talker.next_id() if site.talker is not None else 1


@command(Hello)
async def hello(site: Site) -> Run:
    async def run() -> Code:
        login = await site.ground.fresh(site.actor)
        if not site.is_own:
            login = msgspec.structs.replace(login, device=site.other.device)
        try:
            async with talk(site.port, site.source, login):
                return Code.OK
        except Ended as ended:
            return Code(ended.code)

    return Run(run)


@command(Resume, foreign=False)
async def resume(site: Site) -> Run:
    """With a ticket that was taken while the session went on; of whom there is none, with one that nobody gave."""

    async def run() -> Code:
        login, ticket = site.ground.nobody, bytes(40)
        if site.actor.standing.manner is not Manner.NOBODY:
            login = await site.ground.log_in(site.user)
            taken: list[bytes] = []

            def keep(frame: AnyFrame) -> Code | None:
                if isinstance(frame, Ticket):
                    taken.append(frame.ticket)
                return Code.OK if taken else None

            async with talk(site.port, site.source, login) as talker:
                await talker.ask(TakeTicket(1), keep)
            [ticket] = taken
        if site.actor.standing.manner is Manner.REVOKED:
            await site.ground.revoke(login)
        async with converse(site.port, site.source) as conversation:
            await conversation.send(encode(Resume(ticket, 600_000)))
            frame = await conversation.frame()
            if isinstance(frame, Failed) and frame.code is Code.TICKET:
                await conversation.send(encode(Hello(1, login.token, login.device)))
                frame = await conversation.frame()
            if isinstance(frame, Goodbye):
                return Code(frame.code)
            return Code.OK if isinstance(frame, Resumed) else Code.FAULT

    return Run(run)


@command(Bye, foreign=False)
async def bye(site: Site) -> Run:
    async def run() -> Code:
        async with converse(site.port, site.source) as conversation:
            await conversation.send(encode(Bye()))
            with trio.fail_after(ANSWER_S):
                while await conversation.frame() is not None:
                    pass
            return Code.OK if conversation.closed == Code.BYE else Code(conversation.closed)

    return Run(run)


@command(Ping, foreign=False)
async def ping(site: Site) -> Ask:
    id = _id(site)
    return Ask(Ping(id), by_id(id, Pong))


@command(Refresh)
async def refresh(site: Site) -> Ask:
    id = _id(site)
    return Ask(Refresh(id, site.actor.login.token if site.is_own else site.other.token), by_id(id, Granted))


@command(Mutate, foreign=False)
async def mutate(site: Site) -> Ask:
    number = site.talker.take_number() if site.talker is not None else 1
    return Ask(Mutate(number, Raw(encode(Rename(site.ground.word())))), _by_number(number))


@command(Chunk)
async def chunk(site: Site) -> Ask:
    """Of what is one's own, or somebody else's."""
    owner = site.user if site.is_own and site.actor.standing.manner is not Manner.NOBODY else site.other.user
    stream = await site.ground.personal(owner, StreamKind.OWN)
    change = Raw(msgspec.msgpack.encode([1, 0, write_fields({1: "me"})]))
    number = site.talker.take_number() if site.talker is not None else 1
    return Ask(Chunk(number, AT, (ChangeRun(stream, Entity.PROFILE, (change,)),)), _by_number(number))


def _by_number(number: int) -> Judge:
    def judge(frame: AnyFrame) -> Code | None:
        match frame:
            case Done() if frame.number == number:
                return Code.OK
            case DoneRun() if frame.first <= number < frame.first + len(frame.values):
                return Code.OK
            case Refused() if frame.number == number:
                return frame.code
        return None

    return judge


@command(Follow)
async def follow(site: Site) -> Ask:
    id = _id(site)
    return Ask(Follow(id, site.place.board, 0), by_id(id, Followed))


@command(Unfollow, foreign=False)
async def unfollow(site: Site) -> Ask:
    id = _id(site)
    return Ask(Unfollow(id, site.place.board), by_id(id, Granted))


@command(Overview, foreign=False)
async def overview(site: Site) -> Ask:
    id = _id(site)
    return Ask(Overview(id), by_id(id, Spaces))


@command(History)
async def history(site: Site) -> Ask:
    id = _id(site)
    return Ask(History(id, site.place.channel, before=2), by_id(id, Page))


async def _follow_live(site: Site, talker: Talker) -> Code:
    """Follows the channel to its end, page by page: a follower is told and heard from then on."""
    upto, live = 0, False
    code = Code.OK
    while code is Code.OK and not live:
        asked = _id(site)
        judged = by_id(asked, Followed)

        def judge(frame: AnyFrame, asked: int = asked, judged: Judge = judged) -> Code | None:
            nonlocal upto, live
            if isinstance(frame, Followed) and frame.id == asked:
                upto, live = frame.upto, frame.live
            return judged(frame)

        code = await talker.ask(Follow(asked, site.place.channel, upto), judge)
    return code


@command(Typing)
async def typing(site: Site) -> Run:
    """Followed or not, one says that one types; whoever follows hears it before what is said after it, or never."""

    async def run() -> Code:
        if site.talker is None:
            return await intrude(site.port, site.source, site.actor.login, encode(Typing(site.place.channel)))
        code = await _follow_live(site, site.talker)
        await site.talker.send(encode(Typing(site.place.channel)))
        id = _id(site)
        await site.talker.ask(Ping(id), by_id(id, Pong))
        word = site.ground.word()
        heard: list[AnyFrame] = []
        site.watcher.kept = heard
        await site.writer.do(Say(site.place.channel, word))
        while not any(isinstance(frame, Event) and frame.body == Said(word) for frame in heard):
            await site.watcher.frame()
        site.watcher.kept = None
        id = _id(site)
        await site.talker.ask(Unfollow(id, site.place.channel), by_id(id, Granted))
        return Code.OK if IsTyping(site.place.channel, site.user) in heard else code or Code.FAULT

    return Run(run)


@command(Watch)
async def watch(site: Site) -> Ask:
    id = _id(site)
    return Ask(Watch(id, site.place.space, True), by_id(id, Granted))


@command(Members)
async def members(site: Site) -> Ask:
    id = _id(site)
    return Ask(Members(id, site.place.space, limit=3), by_id(id, MemberPage))


@command(Search, foreign=False)
async def search(site: Site) -> Ask:
    id = _id(site)
    return Ask(Search(id, site.place.name), by_id(id, Person))


@command(Find)
async def find(site: Site) -> Ask:
    id = _id(site)
    return Ask(Find(id, site.ground.word(), site.place.space), by_id(id, Found))


@command(Find, "everywhere", foreign=False, needs=OWN)
async def find_everywhere(site: Site) -> Ask:
    id = _id(site)
    return Ask(Find(id, site.ground.word()), by_id(id, Found))


@command(Snapshot)
async def snapshot(site: Site) -> Ask:
    id = _id(site)
    return Ask(Snapshot(id, site.place.library), by_id(id, RecordPage))


@command(Conflicts)
async def conflicts(site: Site) -> Ask:
    """An empty page is how whoever has no say is answered."""
    id, conflict = _id(site), await make_conflict(site)

    def judge(frame: AnyFrame) -> Code | None:
        if isinstance(frame, ConflictPage) and frame.id == id:
            return Code.OK if any(one.conflict == conflict for one in frame.conflicts) else Code.NOT_FOUND
        return frame.code if isinstance(frame, Failed) and frame.id == id else None

    return Ask(Conflicts(id, conflict=conflict), judge)


@command(Unapplied)
async def unapplied(site: Site) -> Ask:
    id = _id(site)
    return Ask(Unapplied(id, space=site.place.space), by_id(id, UnappliedPage))


@command(Versions)
async def versions(site: Site) -> Ask:
    id = _id(site)
    return Ask(Versions(id, site.place.library, Entity.CONTENT, 1), by_id(id, VersionPage))


@command(Inherit)
async def inherit(site: Site) -> Ask:
    id = _id(site)
    device = site.other.device
    if site.is_own and site.actor.standing.manner is not Manner.NOBODY:
        device = (await site.ground.fresh(site.actor)).device
    elif not site.is_own:
        device = (await site.ground.log_in(site.other.user)).device
    return Ask(Inherit(id, device, ()), by_id(id, Inherited))


@command(Holding, foreign=False)
async def holding(site: Site) -> Ask:
    id = _id(site)
    return Ask(Holding(id), by_id(id, Holdings))


@command(Sync, foreign=False)
async def sync(site: Site) -> Run:
    async def run() -> Code:
        caller = Caller(site.port)
        login = await site.ground.fresh(site.actor)
        body = join([encode(Sync())])
        try:
            answer = await caller.call(Request("POST", "/api/v1/sync", body, "application/msgpack"), login.token, site.source)
        finally:
            await caller.close()
        if answer.status != 200:
            return answer.code
        first = decode_frame(split(answer.body)[0])
        return Code.OK if isinstance(first, Welcome) else Code.FAULT

    return Run(run)


@command(TakeTicket, foreign=False)
async def take_ticket(site: Site) -> Ask:
    id = _id(site)
    return Ask(TakeTicket(id), by_id(id, Ticket))


@command(Reports)
async def reports(site: Site) -> Ask:
    id = _id(site)
    return Ask(Reports(id, space=site.place.space), by_id(id, ReportPage))


@command(Reports, "of the platform's", foreign=False, needs=on_platform(Permission.REVIEW_PLATFORM))
async def platform_reports(site: Site) -> Ask:
    id = _id(site)
    return Ask(Reports(id, platform=True), by_id(id, ReportPage))


@command(Reports, "of one's own", foreign=False, needs=OWN)
async def own_reports(site: Site) -> Ask:
    id = _id(site)
    return Ask(Reports(id), by_id(id, ReportPage))


@command(Unapplied, "of one's own", foreign=False, needs=OWN)
async def own_unapplied(site: Site) -> Ask:
    id = _id(site)
    return Ask(Unapplied(id), by_id(id, UnappliedPage))
