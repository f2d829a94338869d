"""The moderator on a real Postgres: what is said is judged by one of the gateways, once, whoever dies; what is checked first waits."""

from __future__ import annotations

import trio

from actors.inference import Why
from persistence.bridge import Bridge
from protocol.events import Deleted, HeldForReview, Posted, Redacted, Said, TakenBack
from protocol.operations import Edit, Post, Say, SetModeration
from protocol.values import Harm, HeldForm, HeldState
from tests.persistence.moderation.scene import NEVER_SWEEPS, FakeModels, bodies, come, moderated, until
from tests.persistence.world import fetch, world


async def review_of(bridge: Bridge, space: int) -> list[object]:
    rows = await fetch(bridge, "select id from streams where space_id = $1 and kind = 6", space)
    return await bodies(bridge, rows[0]["id"]) if rows else []


async def test_what_does_harm_is_taken_back_with_a_reason_and_the_rest_stands(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels(), NEVER_SWEEPS) as (w, moderator):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "fine"))
        said = await w.ok(ben, Say(channel, "a bad word"))
        [row] = await until(bridge, "select * from held where stream_id = $1", channel)
        assert (row["form"], row["state"], row["author"], row["reasons"]) == (HeldForm.MESSAGE, HeldState.HIDDEN, ben.user, "3:97")
        assert (row["judged_by"], row["degraded"]) == ("fake@1", "")
        assert await bodies(bridge, channel) == [Said("fine"), Redacted(), Deleted(said), TakenBack(said, Harm.INSULT)]
        assert await review_of(bridge, space) == [
            HeldForReview(row["id"], HeldForm.MESSAGE, HeldState.HIDDEN, ben.user, Harm.INSULT, channel, said)
        ]
        [told] = await fetch(bridge, "select user_id, payload from outbox where kind = 26")
        assert told["user_id"] == ben.user
        assert b"it can hurt somebody" in told["payload"]
        assert moderator.stats.outcomes == {"hide": 1}


async def test_without_a_model_the_lexicon_finds_a_plain_insult_and_says_that_it_was_the_lexicon(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels(Why.AWAY), NEVER_SWEEPS) as (w, moderator):
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "you are an idiot"))
        [row] = await until(bridge, "select * from held where stream_id = $1", channel)
        assert (row["judged_by"], "lexicon" in row["degraded"], row["target"]) == ("lexicon", True, said)
        assert moderator.stats.unanswered["away"] >= 1


async def test_of_two_gateways_each_message_is_taken_back_once(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (one, _), moderated(bridge, FakeModels()) as (other, _):
        ann, ben = await one.person("ann"), await one.person("ben")
        _, _, channel = await one.community(ann, ben)
        for turn in range(6):
            await (one if turn % 2 else other).ok(ben if turn % 3 else ann, Say(channel, f"bad {turn}"))
        await until(bridge, "select * from held where stream_id = $1", channel, count=6)
        await until(
            bridge, "select from moderation_cursors c join streams s on s.id = c.stream_id where c.upto >= 6 and s.id = $1", channel
        )
        stands = await bodies(bridge, channel)
        assert sum(isinstance(body, Deleted) for body in stands) == 6
        assert not [body for body in stands if isinstance(body, (Said, Posted))]


async def test_what_a_killed_gateway_left_unjudged_the_sweep_of_another_finds(bridge: Bridge) -> None:
    async with world(bridge) as w:  # whose moderator never came to it
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "bad"))
    async with moderated(bridge, FakeModels()) as (_, moderator):
        await until(bridge, "select * from held where stream_id = $1", channel)
        assert moderator.stats.swept >= 1


async def test_a_claim_that_its_gateway_died_with_is_taken_over_when_its_time_is_over(bridge: Bridge) -> None:
    models = FakeModels()
    models.gate = trio.Event()
    async with moderated(bridge, models, NEVER_SWEEPS) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "bad"))
        await come(lambda: "bad" in models.asked)
        # Killed while the model thinks.
    async with moderated(bridge, FakeModels()) as (_, _):
        await fetch(bridge, "update moderation_cursors set claimed_until = now() where stream_id = $1", channel)
        await until(bridge, "select * from held where stream_id = $1", channel)


async def test_an_edit_that_does_harm_takes_the_message_with_it(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "fine"))
        await w.ok(ben, Edit(channel, said, "bad after all"))
        [row] = await until(bridge, "select * from held where stream_id = $1", channel)
        assert (row["form"], row["target"]) == (HeldForm.EDIT, said)
        assert await fetch(bridge, "select from message_versions where stream_id = $1", channel) == []
        assert (await bodies(bridge, channel))[:2] == [Redacted(), Redacted()]


async def test_who_may_be_in_need_is_told_to_staff_and_what_they_said_stands(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "so sad"))
        [row] = await until(bridge, "select * from held where stream_id = $1", channel)
        assert row["state"] == HeldState.NOTED
        assert await bodies(bridge, channel) == [Said("so sad")]
        assert len(await review_of(bridge, space)) == 1
        assert await fetch(bridge, "select from outbox where kind = 26") == []


async def test_where_it_is_checked_first_nothing_is_there_before_it_was_judged(bridge: Bridge) -> None:
    models = FakeModels()
    models.gate = trio.Event()
    async with moderated(bridge, models) as (w, moderator):
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        _, _, channel = await w.community(ann, ben, cid)
        await w.ok(ann, SetModeration((await w.column("select space_id from streams where id = $1", channel))[0], check_first=True))
        assert await w.ok(ben, Say(channel, "fine")) == 0
        assert await w.ok(ben, Post(channel, "fine, too", mentions=(cid.user,))) == 0
        assert await w.ok(ben, Say(channel, "bad")) == 0
        await come(lambda: len(models.asked) >= 3)
        assert await bodies(bridge, channel) == []
        assert await fetch(bridge, "select from outbox where kind = 22") == []
        models.gate.set()
        await until(bridge, "select from held where stream_id = $1 and state <> 1", channel, count=3)
        assert await bodies(bridge, channel) == [Said("fine"), Posted("fine, too", 0, (cid.user,))]
        rows = await fetch(bridge, "select author from log where stream_id = $1", channel)
        assert {row["author"] for row in rows} == {ben.user}
        states = [row["state"] for row in await fetch(bridge, "select state from held where stream_id = $1 order by id", channel)]
        assert states == [HeldState.RELEASED, HeldState.RELEASED, HeldState.HIDDEN]
        [mention] = await fetch(bridge, "select user_id, seq from outbox where kind = 22")
        assert (mention["user_id"], mention["seq"]) == (cid.user, 2)
        assert moderator.stats.released == 2


async def test_where_it_is_checked_first_nothing_slips_through_while_the_models_are_away(bridge: Bridge) -> None:
    models = FakeModels(Why.AWAY)
    async with moderated(bridge, models) as (w, moderator):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space, check_first=True))
        assert await w.ok(ben, Say(channel, "what nobody can judge")) == 0
        assert await w.ok(ben, Say(channel, "thank you!")) == 0
        await come(lambda: moderator.stats.put_off >= 3)
        assert await bodies(bridge, channel) == [Said("thank you!")], "courtesy that the lexicon knows, and nothing else"
        assert next(event for event in await review_of(bridge, space) if isinstance(event, HeldForReview)).state is HeldState.CHECKING
        assert len(await review_of(bridge, space)) == 1, "however often it is tried"
        models.why = None
        await until(bridge, "select from held where stream_id = $1 and state = 4", channel, count=2)
        assert await bodies(bridge, channel) == [Said("thank you!"), Said("what nobody can judge")]


async def test_what_is_checked_first_is_judged_by_another_gateway_when_the_first_is_killed(bridge: Bridge) -> None:
    models = FakeModels()
    models.gate = trio.Event()
    async with moderated(bridge, models) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space, check_first=True))
        await w.ok(ben, Say(channel, "fine"))
        await w.ok(ben, Say(channel, "bad"))
        await come(lambda: "bad" in models.asked)
    assert await bodies(bridge, channel) == []
    async with moderated(bridge, FakeModels()) as (_, _):
        await fetch(bridge, "update held set not_before = now() where state = 1")
        await until(bridge, "select from held where stream_id = $1 and state <> 1", channel, count=2)
        assert await bodies(bridge, channel) == [Said("fine")]


async def test_who_may_not_write_there_any_more_says_nothing_by_a_release(bridge: Bridge) -> None:
    models = FakeModels(Why.AWAY)
    async with moderated(bridge, models) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space, check_first=True))
        await w.ok(ben, Say(channel, "what nobody can judge"))
        await fetch(bridge, "delete from members where space_id = $1 and user_id = $2", space, ben.user)
        models.why = None
        [row] = await until(bridge, "select state from held where stream_id = $1 and state <> 1", channel)
        assert row["state"] == HeldState.LAPSED
        assert await bodies(bridge, channel) == []
