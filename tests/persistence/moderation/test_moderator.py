"""The moderator on a real Postgres: what is said is judged by one of the gateways, once, whoever dies; what is checked first waits."""

from __future__ import annotations

import math
from typing import Any

import asyncpg
import pytest
import trio

from actors.inference import Answer, Verdict, Why
from actors.moderation import Action
from actors.storage_port import OutcomeUnknown, Unavailable
from persistence.bridge import Bridge
from persistence.moderation import moderator as moderating
from persistence.moderation.moderator import ModeratorOptions
from persistence.moderation.rulings import Done, Ruling, rule, rule_first
from persistence.moderation.spoken import EVENTS_MAX
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
        await until(bridge, "select from moderation_cursors where stream_id = $1 and upto >= $2", channel, said)
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


class Rough(FakeModels):
    """Says of a text with "odd" in it what is no number."""

    async def ask(self, request: Any, within_s: float, *, key: int = 0) -> Answer:
        answer = await super().ask(request, within_s, key=key)
        return Answer(Verdict({Harm.TOXIC: math.nan}), "fake@1") if "odd" in request.text else answer


async def test_where_it_is_checked_first_what_cannot_be_judged_waits_for_a_person_and_holds_up_nobody(bridge: Bridge) -> None:
    async with moderated(bridge, Rough()) as (w, moderator):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space, check_first=True))
        for text in ("odd", "fine", "odd, too"):
            await w.ok(ben, Say(channel, text))
        await until(bridge, "select from held where stream_id = $1 and state <> 1", channel, count=3)
        assert await bodies(bridge, channel) == [Said("fine")]
        rows = await fetch(bridge, "select state, degraded from held where stream_id = $1 order by id", channel)
        assert [row["state"] for row in rows] == [HeldState.WAITING, HeldState.RELEASED, HeldState.WAITING]
        assert "ValueError" in rows[0]["degraded"]
        assert moderator.stats.failed == 2


async def test_what_stands_and_cannot_be_judged_is_shown_to_staff_and_the_rest_is_judged(bridge: Bridge) -> None:
    async with moderated(bridge, Rough(), NEVER_SWEEPS) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "odd"))
        await w.ok(ben, Say(channel, "bad"))
        rows = await until(bridge, "select state from held where stream_id = $1 order by event_seq", channel, count=2)
        assert [row["state"] for row in rows] == [HeldState.NOTED, HeldState.HIDDEN]
        assert (await bodies(bridge, channel))[:2] == [Said("odd"), Redacted()]


async def test_what_is_held_and_cannot_be_read_is_never_let_through(bridge: Bridge) -> None:
    models = FakeModels(Why.AWAY)
    async with moderated(bridge, models) as (w, moderator):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space, check_first=True))
        await w.ok(ben, Say(channel, "what nobody can judge"))
        await come(lambda: moderator.stats.put_off >= 1)
        await fetch(bridge, "update held set body = 'none' where stream_id = $1", channel)
        models.why = None
        [row] = await until(bridge, "select state, degraded from held where stream_id = $1 and state <> 1", channel)
        assert (row["state"], row["degraded"]) == (HeldState.WAITING, "what was said cannot be read")
        assert await bodies(bridge, channel) == []


async def test_a_policy_that_cannot_be_read_is_as_usual_and_costs_no_other_community_its_turn(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, broken = await w.community(ann, ben)
        _, _, other = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space))
        await fetch(bridge, "update moderation_policies set levels = 'what?' where space_id = $1", space)
        for channel in (broken, other):
            await w.ok(ben, Say(channel, "bad"))
    async with moderated(bridge, FakeModels()):
        await until(bridge, "select from held where stream_id = any($1) and state = 3", [broken, other], count=2)


async def test_what_was_decided_and_cannot_be_done_costs_itself_alone(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail_first(tx: asyncpg.Connection, ruling: Ruling) -> Done:
        if ruling.spoken.text == "fine 1":
            raise ValueError("as the test wants it")
        return await rule_first(tx, ruling)

    async def fail(tx: asyncpg.Connection, ruling: Ruling) -> Done:
        if ruling.spoken.text == "bad 1" and ruling.outcome.action is Action.HIDE:
            raise ValueError("as the test wants it")
        return await rule(tx, ruling)

    monkeypatch.setattr(moderating, "rule_first", fail_first)
    monkeypatch.setattr(moderating, "rule", fail)
    async with moderated(bridge, FakeModels(), NEVER_SWEEPS) as (w, moderator):
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        space, _, checked = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space, check_first=True))
        for turn in (1, 2):
            await w.ok(ben, Say(channel, f"bad {turn}"))
            await w.ok(ben, Say(checked, f"fine {turn}"))
            moderator.held()
        rows = await until(bridge, "select state from held where stream_id = $1 order by event_seq", channel, count=2)
        assert [row["state"] for row in rows] == [HeldState.NOTED, HeldState.HIDDEN]
        await until(bridge, "select from moderation_cursors where stream_id = $1 and upto >= 2", channel)
        rows = await until(bridge, "select state from held where stream_id = $1 and state <> 1 order by id", checked, count=2)
        assert [row["state"] for row in rows] == [HeldState.WAITING, HeldState.RELEASED]


async def test_what_another_stood_in_the_way_of_is_done_again_and_what_nobody_knows_of_is_told(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, faults = bridge.run, ["conflict", "unknown"]

    async def run_badly(work: Any, **named: Any) -> Any:
        if "_commit" not in getattr(work, "__qualname__", "") or not faults:
            return await run(work, **named)
        if faults.pop(0) == "conflict":
            raise Unavailable("conflict", "a deadlock")
        await run(work, **named)
        raise OutcomeUnknown("lost: after the commit")

    monkeypatch.setattr(bridge, "run", run_badly)
    async with moderated(bridge, FakeModels(), NEVER_SWEEPS) as (w, moderator):
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "bad"))
        await come(lambda: moderator.stats.outcomes == {"hide": 1})
        assert not faults
        last = len(await bodies(bridge, channel))
        assert (channel, last) in [(fact.stream, fact.seq) for facts in w.herald.transactions for fact in facts], (
            "followers hear of it, and look"
        )


def test_a_lease_is_longer_than_the_longest_turn_whatever_is_set() -> None:
    for options in (ModeratorOptions(), ModeratorOptions(first_s=60.0, answer_s=60.0, per_s=1.0)):
        calls_s = 2 * options.call_s
        assert options.first_lease_s > -(-options.first_batch // options.at_once) * options.first_s + calls_s
        texts = options.batch_streams * EVENTS_MAX
        assert options.lease_s > -(-texts // options.at_once) * options.answer_s + texts / options.per_s + calls_s
