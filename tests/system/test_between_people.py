"""What passes between people, over two gateways of a running system: blocks, reports, slow mode, and how much one may ask for."""

from __future__ import annotations

import pytest
import trio

from client import Account, MutationRefused, RequestFailed, Session, connect
from protocol.codes import Code
from protocol.events import AnyBody, Noticed, PersonBlocked, Reported, Said
from protocol.frames import Event, IsTyping, Slow
from protocol.operations import Block, DecideReport, OpenConversation, Rename, ReportMessage, Say, SetSlowMode, Unblock
from protocol.values import NoticeKind, ReportReason, Role, StreamKind
from tests.system.running import PASSWORD, Dev, community, register, texts

pytestmark = pytest.mark.xdist_group("system")


async def heard(session: Session, stream: int, kind: type[AnyBody]) -> object:
    """The next event of this kind."""
    with trio.fail_after(20):
        async for event in session.events(stream):
            body = getattr(event, "body", None)
            if isinstance(body, kind):
                return body
    raise AssertionError("the stream ended")


async def test_a_block_holds_on_the_other_gateway_at_once_and_ends_with_its_unblocking(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(here, await register(here)) as ann, connect(there, await register(there)) as ben:
        pair = await ann.do(OpenConversation((ben.user,)))
        ann.follow(pair)
        await ben.say(pair, "before")
        assert await texts(ann, pair, "before") == ["before"]
        await ann.do(Block(ben.user))
        for person in (ann, ben):
            with pytest.raises(MutationRefused) as refused:
                await person.say(pair, "x")
            assert refused.value.code == Code.BLOCKED
        ben.follow(pair)
        with trio.move_on_after(1.5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_type, ben, pair)
                async for event in ann.events():
                    assert not isinstance(event, IsTyping), "nobody types where nobody speaks"
        assert (await ann.overview()).blocked == (ben.user,)
        assert (await ben.overview()).blocked == ()
        with ann.events(pair) as heard:  # listening before it is said
            await ann.do(Unblock(ben.user))
            await ben.say(pair, "after")
            with trio.fail_after(20):
                async for event in heard:
                    if isinstance(event, Event) and isinstance(event.body, Said) and event.body.text == "after":
                        break


async def _type(session: Session, stream: int) -> None:
    while True:
        session.typing(stream)
        await trio.sleep(0.2)


async def test_ones_other_device_hears_of_a_block(dev: Dev) -> None:
    here, there = dev.urls
    login = await register(here)
    async with Account(there) as account:
        other = await account.login(login.login.name, PASSWORD)
    async with connect(here, login) as phone, connect(there, other) as tablet, connect(here, await register(here)) as ben:
        await ben.online()
        await tablet.online()
        tablet.follow(tablet.inbox)
        await phone.do(Block(ben.user))
        assert await heard(tablet, tablet.inbox, PersonBlocked) == PersonBlocked(ben.user, True)


async def test_a_report_reaches_staff_and_its_decision_everybody_concerned(dev: Dev) -> None:
    here, there = dev.urls
    async with (
        connect(there, await register(there)) as author,
        connect(here, await register(here)) as reporter,
        community(here, (author, Role.LEARNER), (reporter, Role.LEARNER)) as (owner, space, general),
    ):
        said = await author.do(Say(general, "you are worth nothing"))
        report = await reporter.do(ReportMessage(general, said, ReportReason.HARASSMENT, "look"))
        (item,) = (await owner.reports(space=space)).reports
        assert (item.report, item.user, item.words, item.text) == (report, author.user, "look", "you are worth nothing")
        with pytest.raises(RequestFailed) as refused:
            await author.reports(space=space)
        assert refused.value.code == Code.FORBIDDEN
        overview = await owner.overview()
        (review,) = [s.stream for at in overview.spaces if at.space == space for s in at.streams if s.kind is StreamKind.REVIEW]
        owner.follow(review, 0)
        told = await heard(owner, review, Reported)
        assert isinstance(told, Reported)
        assert (told.report, told.user, told.seq) == (report, author.user, said)
        with pytest.raises(RequestFailed):
            await author.history(review, after=0)
        author.follow(author.inbox)
        reporter.follow(reporter.inbox)
        await owner.do(DecideReport(report, True))
        for person in (author, reporter):
            notice = await heard(person, person.inbox, Noticed)
            assert isinstance(notice, Noticed)
            assert (notice.kind, notice.actor) == (NoticeKind.MODERATION, 0)
        assert b"worth nothing" not in b"".join(bytes(event.body) for event in (await owner.history(general, after=0)).events)
        assert (await reporter.reports()).reports == ()


async def test_slow_mode_holds_over_both_gateways_and_says_how_long_to_wait(dev: Dev) -> None:
    here, there = dev.urls
    login = await register(there)
    async with Account(there) as account:
        other = await account.login(login.login.name, PASSWORD)
    async with connect(there, login) as phone, connect(here, other) as tablet:
        async with community(here, (phone, Role.LEARNER)) as (owner, _, general):
            await owner.do(SetSlowMode(general, 3600))
            await phone.say(general, "once")
            for device in (phone, tablet):
                with pytest.raises(MutationRefused) as refused:
                    await device.say(general, "twice")
                assert refused.value.code == Code.SLOWED
                assert "wait" in refused.value.detail
            await owner.say(general, "staff")
            await owner.say(general, "as often as they like")
            assert (await phone.overview()).slow == (Slow(general, 3600),)


async def test_an_account_has_one_quota_on_two_gateways(dev: Dev) -> None:
    here, there = dev.urls
    login = await register(here)
    async with Account(there) as account:
        other = await account.login(login.login.name, PASSWORD)
    async with connect(here, login) as phone, connect(there, other) as tablet:
        renamed = 0
        with pytest.raises(MutationRefused) as refused:
            for turn in range(40):
                await (phone if turn % 2 else tablet).do(Rename(f"Name {turn}"))
                renamed += 1
        assert refused.value.code == Code.SLOWED
        assert "minutes" in refused.value.detail
        assert 10 <= renamed <= 13, "one bucket of ten; and what came in before the gateways had heard of each other"
        await phone.ping()
