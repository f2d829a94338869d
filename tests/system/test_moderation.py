"""Moderation over two gateways of a running system: what is taken back, what waits, and how one appeals."""

from __future__ import annotations

import pytest
import trio

from client import MutationRefused, Session, connect
from protocol.codes import Code
from protocol.events import AnyBody, Noticed, TakenBack
from protocol.frames import Event
from protocol.operations import Appeal, DecideAppeal, DecideHeld, Say, SetModeration
from protocol.values import Harm, HeldState, NoticeKind, Role
from tests.system.running import Dev, community, register, texts

pytestmark = pytest.mark.xdist_group("system")

INSULT = "you are a worthless idiot"


async def heard(session: Session, stream: int, kind: type[AnyBody]) -> Event:
    """The next event of this kind."""
    with trio.fail_after(20):
        async for event in session.events(stream):
            if isinstance(event, Event) and isinstance(event.body, kind):
                return event
    raise AssertionError("the stream ended")


async def test_an_insult_is_taken_back_on_both_gateways_and_its_author_is_told_and_appeals(dev: Dev) -> None:
    here, there = dev.urls
    async with (
        connect(there, await register(there)) as author,
        connect(here, await register(here)) as reader,
        connect(there, await register(there)) as moderator,
        community(here, (author, Role.LEARNER), (reader, Role.LEARNER), (moderator, Role.MODERATOR)) as (owner, space, general),
    ):
        reader.follow(general)
        author.follow(author.inbox)
        said = await author.do(Say(general, INSULT))
        taken = await heard(reader, general, TakenBack)
        assert isinstance(taken.body, TakenBack)
        assert taken.body.target == said
        assert taken.body.why in (Harm.INSULT, Harm.TOXIC, Harm.HATE)
        page = await owner.history(general, after=0)
        assert INSULT.encode() not in b"".join(bytes(event.body) for event in page.events)
        notice = (await heard(author, author.inbox, Noticed)).body
        assert isinstance(notice, Noticed)
        assert notice.kind is NoticeKind.MODERATION
        (mine,) = (await author.held()).items
        assert (mine.held, mine.text) == (notice.subject, INSULT)
        assert (mine.by == "lexicon") == ("lexicon" in mine.degraded), "a model, or the lexicon, and then it says so"
        (item,) = (await owner.held(space=space)).items
        assert (item.user, item.text, item.seq) == (author.user, INSULT, said)
        assert (await reader.held()).items == ()
        for operation in (DecideHeld(mine.held, True), Appeal(mine.held, "not mine")):
            with pytest.raises(MutationRefused) as refused:
                await reader.do(operation)
            assert refused.value.code == Code.NOT_FOUND
        with pytest.raises(MutationRefused):
            await author.do(DecideHeld(mine.held, True))
        await owner.do(DecideHeld(mine.held, False))
        await author.do(Appeal(mine.held, "it is from the play that we read"))
        with pytest.raises(MutationRefused) as refused:
            await author.do(Appeal(mine.held, "again"))
        assert refused.value.code == Code.CONFLICT
        with pytest.raises(MutationRefused) as refused:
            await owner.do(DecideAppeal(mine.held, True))
        assert refused.value.code == Code.FORBIDDEN, "another person than who decided first"
        again = await moderator.do(DecideAppeal(mine.held, True))
        assert again > said
        (back,) = [event for event in (await reader.history(general, after=0)).events if INSULT.encode() in bytes(event.body)]
        assert (back.seq, back.author) == (again, author.user)
        (mine,) = (await author.held(open_only=False)).items
        assert mine.state is HeldState.RELEASED


async def test_a_community_that_checks_first_shows_nothing_that_no_model_has_judged(dev: Dev) -> None:
    here, there = dev.urls
    async with (
        connect(there, await register(there)) as author,
        community(here, (author, Role.LEARNER)) as (owner, space, general),
    ):
        with pytest.raises(MutationRefused) as refused:
            await author.do(SetModeration(space, check_first=True))
        assert refused.value.code == Code.FORBIDDEN
        await owner.do(SetModeration(space, check_first=True))
        owner.follow(general)
        assert await author.do(Say(general, INSULT)) == 0
        assert await author.do(Say(general, "photosynthesis needs light")) == 0
        assert await author.do(Say(general, "Thank you!")) == 0
        assert INSULT not in await texts(owner, general, "Thank you!")
        stands = b""
        with trio.fail_after(20):
            while b"photosynthesis" not in stands:  # by the model, or, where none answers, by the owner
                for item in (await owner.held(space=space)).items:
                    if item.state is HeldState.CHECKING and item.text.startswith("photo"):
                        await owner.do(DecideHeld(item.held, True))
                stands = b"".join(bytes(event.body) for event in (await owner.history(general, after=0)).events)
                await trio.sleep(0.1)
        assert INSULT.encode() not in stands
        assert (await owner.held(space=space)).items[0].text == INSULT
