"""What people decide about what is held, on a real Postgres: who may, once, what follows for trust and training, and what is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import asyncpg
import msgspec
import pytest
import trio

from actors.inference import Answer, Span, Verdict, Why
from actors.model_book import Ruled
from actors.moderation import Action, Outcome, Reason
from actors.storage import ListHeld
from actors.trust import FactKind
from persistence.append import AUTHORITY_MOVED, append_events, event
from persistence.bridge import Bridge
from persistence.moderation import keeping
from persistence.moderation.held_queries import list_held
from persistence.moderation.keeping import page, sweep
from persistence.moderation.records import carry_out, changes
from persistence.moderation.rulings import Done, Ruling, rule, rule_first
from persistence.moderation.spoken import advance, claim, claim_held
from persistence.operations import rules
from persistence.operations.messages import rewrite
from persistence.outbox import Outbox
from persistence.records import write_record
from protocol.codes import Code
from protocol.entities import COVER, TABLE, Entity, Fields, Several, Words, read_fields, write_fields
from protocol.events import Changed, Deleted, Edited, ModerationSet, Posted, Redacted, Said
from protocol.operations import (
    Appeal,
    Change,
    ChangeSettings,
    CreateChannel,
    DecideAppeal,
    DecideHeld,
    Delete,
    Edit,
    Level,
    OpenConversation,
    Post,
    Rename,
    Say,
    SetModeration,
    SetRole,
)
from protocol.values import Harm, HeldForm, HeldState, Role, StreamKind
from tests.persistence.moderation.scene import NEVER_SWEEPS, FakeModels, bodies, come, moderated, reviewer, until
from tests.persistence.records import change, enrolled, own
from tests.persistence.world import World, fetch, world

HELD = "select id, state, form, target, review_id from held where author = $1 order by id"


async def code(w: World, person: object, operation: object) -> Code:
    return (await w.ask(person, operation)).code  # type: ignore[arg-type]


async def trained_on(bridge: Bridge) -> list[Ruled]:
    """What a training would read."""

    async def work(connection: asyncpg.Connection) -> list[Ruled]:
        return [msgspec.msgpack.decode(row, type=Ruled) for row in (await page(connection, ())).rows]

    return await bridge.run(work, deadline_s=10, readonly=True)


async def test_one_community_brings_its_newest_decisions_up_to_its_share(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "COMMUNITY_ROWS_MIN", 2)
    async with world(bridge):
        await fetch(
            bridge,
            "insert into moderation_labels (held_id, space_id, author, text, about, harm, harmful)"
            " select n, case when n <= 12 then 1 when n <= 15 then 2 else 0 end, 1, n::text, 1, 3, true from generate_series(1, 20) n",
        )
        kept = [int(one.text) for one in await trained_on(bridge)]
        assert kept == [*range(8, 13), *range(13, 16), *range(16, 21)], "a quarter of twenty, of the first; all of those of none"


async def test_what_a_person_upheld_counts_and_what_an_appeal_puts_right_counts_no_more(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben, moe, eve = [await w.person(name) for name in ("ann", "ben", "moe", "eve")]
        space, _, channel = await w.community(ann, ben, moe, eve)
        await w.ok(ann, SetRole(space, moe.user, Role.MODERATOR))
        await w.ok(ben, Say(channel, "hm"))
        [row] = await until(bridge, HELD, ben.user)
        held = row["id"]
        assert (row["state"], row["review_id"]) == (HeldState.WAITING, space)
        facts = "select subject from trust_events where user_id = $1 and kind = $2"
        assert await fetch(bridge, facts, ben.user, FactKind.REPORT_UPHELD) == [], "no model's verdict counts against anybody"
        for person in (ben, eve):
            assert await code(w, person, DecideHeld(held, True)) is Code.NOT_FOUND
        assert await code(w, ben, Appeal(held)) is Code.CONFLICT
        await w.ok(moe, DecideHeld(held, False))
        assert await code(w, moe, DecideHeld(held, True)) is Code.CONFLICT
        [fact] = await fetch(bridge, facts, ben.user, FactKind.REPORT_UPHELD)
        assert fact["subject"] == -held
        assert await trained_on(bridge) == [Ruled("hm", True, (Harm.INSULT,), "en")]
        assert await code(w, eve, Appeal(held)) is Code.NOT_FOUND
        await w.ok(ben, Appeal(held, "it was meant kindly"))
        assert await code(w, moe, DecideAppeal(held, True)) is Code.FORBIDDEN
        again = await w.ok(ann, DecideAppeal(held, True))
        assert (await bodies(bridge, channel))[again - 1] == Said("hm")
        assert await fetch(bridge, facts, ben.user, FactKind.REPORT_UPHELD) == []
        assert await trained_on(bridge) == [Ruled("hm", False, (), "en")]
        assert await code(w, ann, DecideAppeal(held, False)) is Code.CONFLICT
        deeds = [row["action"] for row in await fetch(bridge, "select action from audit_log where space_id = $1 order by id", space)]
        assert deeds[-2:] == ["held_decided", "appeal_decided"]
        await come(lambda: w.journal.stats.queued == 0)
        assert sum(isinstance(body, Said) for body in await bodies(bridge, channel)) == 1, "it is not judged again"


async def test_what_staff_wrote_and_what_is_said_in_private_is_the_platforms_to_decide(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben, rev = [await w.person(name) for name in ("ann", "ben", "rev")]
        await fetch(bridge, "update accounts set roles = 1 where id = $1", rev.user)
        _, _, channel = await w.community(ann, ben)
        pair = await w.ok(ann, OpenConversation((ben.user,)))
        await w.ok(ann, Say(channel, "bad"))
        await w.ok(ann, Say(pair, "bad, too"))
        rows = await until(bridge, HELD, ann.user, count=2)
        assert {row["review_id"] for row in rows} == {0}
        assert await code(w, ben, DecideHeld(rows[0]["id"], True)) is Code.NOT_FOUND
        assert await code(w, ann, DecideHeld(rows[0]["id"], True)) is Code.NOT_FOUND


async def test_nobody_decides_about_themselves_also_when_they_become_staff_later(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "hm"))
        [row] = await until(bridge, HELD, ben.user)
        await w.ok(ann, SetRole(space, ben.user, Role.MODERATOR))
        assert await code(w, ben, DecideHeld(row["id"], True)) is Code.NOT_FOUND
        await w.ok(ann, DecideHeld(row["id"], True))


async def test_a_message_of_who_has_left_lapses_when_it_is_released(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "bad"))
        [row] = await until(bridge, HELD, ben.user)
        await fetch(bridge, "delete from members where space_id = $1 and user_id = $2", space, ben.user)
        assert await w.ok(ann, DecideHeld(row["id"], True)) == 0
        [row] = await fetch(bridge, HELD, ben.user)
        assert row["state"] == HeldState.LAPSED
        assert (await bodies(bridge, channel))[0] == Redacted()


async def test_levels_and_checking_first_are_set_by_who_manages_the_community_and_hold_in_new_channels(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels(Why.AWAY)) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, own, channel = await w.community(ann, ben)
        levels = (Level(Harm.INSULT, 50, 101),)
        assert await code(w, ben, SetModeration(space, True)) is Code.FORBIDDEN
        assert await code(w, ann, SetModeration(space, True, (Level(Harm.INSULT, 10, 50),))) is Code.INVALID
        said = await w.ok(ben, Say(channel, "before"))
        await w.ok(ann, SetModeration(space, True, levels))
        assert (await bodies(bridge, own))[-1] == ModerationSet(True, levels, True)
        new = await w.ok(ann, CreateChannel(space, "new"))
        for stream in (channel, new):
            assert await w.ok(ben, Say(stream, "what nobody can judge")) == 0
        assert await w.ok(ben, Edit(channel, said, "what nobody can judge")) == 0
        assert await bodies(bridge, channel) == [Said("before")]
        again = await w.ask(ben, Say(new, "what nobody can judge"), number=ben.number - 1)
        assert (again.code, again.value, again.replayed) == (Code.OK, 0, True)
        assert len(await fetch(bridge, HELD, ben.user)) == 3
        await w.ok(ann, SetModeration(space, False))
        assert await w.ok(ben, Say(channel, "at once")) > said


async def test_an_edit_that_is_checked_first_reads_as_before_until_it_was_judged(bridge: Bridge) -> None:
    models = FakeModels(Why.AWAY)
    async with moderated(bridge, models) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "before"))
        other = await w.ok(ben, Say(channel, "as it was"))
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Edit(channel, said, "after"))
        await w.ok(ben, Edit(channel, other, "bad"))
        assert await bodies(bridge, channel) == [Said("before"), Said("as it was")]
        models.why = None
        await until(bridge, "select from held where state <> 1", count=2)
        assert await bodies(bridge, channel) == [Posted("after", edited=True), Said("as it was"), Edited(said, "after")]


async def test_an_older_edit_that_waited_longer_does_not_undo_a_newer_one(bridge: Bridge) -> None:
    models = FakeModels(Why.AWAY)
    async with moderated(bridge, models) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "before"))
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Edit(channel, said, "what nobody can judge"))
        await until(bridge, "select from held where told")  # staff have it before it lapses
        await w.ok(ben, Edit(channel, said, "thank you!"))
        await until(bridge, "select from held where state = 4")
        models.why = None
        rows = await until(bridge, HELD, ben.user, count=2)
        assert [row["state"] for row in rows] == [HeldState.LAPSED, HeldState.RELEASED]
        assert await code(w, ann, DecideHeld(rows[0]["id"], True)) is Code.CONFLICT
        assert (await bodies(bridge, channel))[0] == Posted("thank you!", edited=True)


async def test_edits_that_wait_count_for_how_often_a_message_is_edited(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "EDITS_PER_MESSAGE_MAX", 2)
    async with moderated(bridge, FakeModels(Why.AWAY)) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "before"))
        await w.ok(ann, SetModeration(space, True))
        for turn in range(2):
            await w.ok(ben, Edit(channel, said, f"what nobody can judge {turn}"))
        assert await code(w, ben, Edit(channel, said, "once more")) is Code.LIMIT


async def test_an_edit_that_a_person_turned_down_while_the_model_thought_stays_away(bridge: Bridge) -> None:
    models = FakeModels()
    models.gate = trio.Event()
    async with moderated(bridge, models, NEVER_SWEEPS) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "before"))
        models.gate.set()
        await come(lambda: "before" in models.asked)
        models.gate = trio.Event()
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Edit(channel, said, "a fine edit"))
        await come(lambda: "a fine edit" in models.asked)
        # As where it was put off before: staff have heard of it.
        [row] = await fetch(bridge, "update held set review_id = $1 returning id", space)
        await w.ok(ann, DecideHeld(row["id"], False))
        models.gate.set()
        await w.ok(ben, Edit(channel, said, "a later edit"))
        await until(bridge, "select from held where state = 4")
        assert await bodies(bridge, channel) == [Posted("a later edit", edited=True), Edited(said, "a later edit")]


async def first_ruling(bridge: Bridge) -> Ruling:
    """What a gateway would do that has judged what waits: it is allowed."""

    async def take(connection: asyncpg.Connection) -> Ruling:
        [spoken] = await claim_held(connection, 10, lease_s=0.0)
        return Ruling(spoken, Outcome(Action.ALLOW), "fake@1")

    return await bridge.run(take, deadline_s=10, isolation="none")


async def do(bridge: Bridge, rule_it: Callable[[asyncpg.Connection, Ruling], Awaitable[Done]], ruling: Ruling) -> Done:
    async def work(tx: asyncpg.Connection) -> Done:
        done = await rule_it(tx, ruling)
        if done.events:
            await append_events(tx, done.events)
        return done

    return await bridge.run(work, deadline_s=10)


async def test_of_two_gateways_that_have_judged_the_same_the_second_does_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        space, _, channel = await w.community(ann, ben, cid)
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Post(channel, "fine", mentions=(cid.user,)))
        one, other = await first_ruling(bridge), await first_ruling(bridge)
        assert (await do(bridge, rule_first, one)).became == 0
        assert await do(bridge, rule_first, other) == Done()
        assert await w.column("select became from held") == [1]
        assert len(await fetch(bridge, "select from outbox where kind = 22")) == 1


async def test_an_edit_of_a_message_that_was_deleted_meanwhile_lapses_and_its_words_go(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "before"))
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Edit(channel, said, "after"))
        ruling = await first_ruling(bridge)
        await w.ok(ben, Delete(channel, said))
        [row] = await fetch(bridge, "update held set review_id = $1 returning id, state, body", space)
        assert (row["state"], row["body"]) == (HeldState.LAPSED, None)
        assert await do(bridge, rule_first, ruling) == Done()
        assert await code(w, ann, DecideHeld(row["id"], True)) is Code.CONFLICT
        # Also where the row was not ended with it.
        await fetch(bridge, "update held set state = 1, body = $1", ruling.spoken.body)
        assert (await do(bridge, rule_first, ruling)).became is None
        assert await bodies(bridge, channel) == [Redacted(), Deleted(said)]


async def test_what_its_author_deleted_while_it_was_judged_is_not_kept(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "bad"))

        async def take(connection: asyncpg.Connection) -> Ruling:
            [part] = await claim(connection, [channel])
            return Ruling(part.spoken[0], Outcome(Action.HIDE, (Reason(Harm.INSULT, 97),)), "fake@1")

        ruling = await bridge.run(take, deadline_s=10, isolation="none")
        await w.ok(ben, Delete(channel, said))
        assert await do(bridge, rule, ruling) == Done()
        assert await fetch(bridge, "select from held") == []


async def test_what_is_covered_in_a_message_reads_as_it_did_when_it_is_released_and_only_if_it_is_still_there(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)

        async def cover(text: str, covered: str) -> tuple[int, int]:
            said = await w.ok(ben, Say(channel, text))

            async def take(connection: asyncpg.Connection) -> Ruling:
                [part] = await claim(connection, [channel])
                await advance(connection, part.claim, [(channel, part.upto)])
                return Ruling(part.spoken[-1], Outcome(Action.MASK, (Reason(Harm.PERSONAL, 90),), text=covered), "fake@1")

            await do(bridge, rule, await bridge.run(take, deadline_s=10, isolation="none"))
            assert (await bodies(bridge, channel))[said - 1] == Posted(covered, edited=True)
            [row] = await fetch(bridge, "select id from held where target = $1", said)
            return said, row["id"]

        said, held = await cover("call me on 123", "call me on ▒▒▒")
        await w.ok(ann, DecideHeld(held, True))
        assert (await bodies(bridge, channel))[said - 1] == Posted("call me on 123", edited=True)
        assert not [one for one in await bodies(bridge, channel) if isinstance(one, Said)], "it is not said twice"
        since, held = await cover("call me on 456", "call me on ▒▒▒")
        await w.ok(ben, Edit(channel, since, "write to me"))
        assert await w.ok(ann, DecideHeld(held, True)) == 0
        assert (await bodies(bridge, channel))[since - 1] == Posted("write to me", edited=True)
        gone, held = await cover("call me on 789", "call me on ▒▒▒")
        await w.ok(ben, Delete(channel, gone))
        assert await code(w, ann, DecideHeld(held, True)) is Code.CONFLICT
        assert (await bodies(bridge, channel))[-1] == Deleted(gone)


async def test_no_model_looks_at_answers_and_what_others_read_is_looked_at(bridge: Bridge) -> None:
    models = FakeModels()
    async with moderated(bridge, models) as (w, moderator):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        answers = await enrolled(w, space, ben, StreamKind.ANSWERS)
        await w.ok(ben, change(answers, Entity.ANSWER, 5, {3: "a bad answer"}))
        await w.ok(ben, change(await own(w, ben), Entity.MENTORING, 1, {1: True, 7: "a bad mentor"}))
        await w.ok(ben, Say(channel, "bad"))
        await until(bridge, HELD, ben.user, count=2)
        await come(lambda: moderator.streams_waiting == 0)
        assert "a bad answer" not in models.asked
        assert await fetch(bridge, "select from held where stream_id = $1", answers) == []
        assert await fetch(bridge, "select from moderation_cursors where stream_id = $1", answers) == [], "and nothing is written for it"


async def test_words_of_a_record_are_covered_when_it_is_hidden_and_come_back_when_it_is_released(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ben, ann)
        [library] = await w.column("select id from streams where space_id = $1 and kind = 12", space)
        await w.ok(ben, Change(library, Entity.CONTENT, 7, 1_760_000_000, write_fields({1: "a bad title"})))
        [row] = await until(bridge, HELD, ben.user)
        assert (row["form"], row["state"]) == (HeldForm.RECORD, HeldState.HIDDEN)

        async def title() -> object:
            last = (await bodies(bridge, library))[-1]
            assert isinstance(last, Changed)
            return read_fields(last.records[0].fields)[1]

        await carry_out(bridge, w.herald, row["id"])
        await carry_out(bridge, w.herald, row["id"])
        assert await title() == COVER
        await fetch(bridge, "update held set state = $2 where id = $1", row["id"], HeldState.RELEASED)
        await carry_out(bridge, w.herald, row["id"])
        assert await title() == "a bad title"


def test_what_somebody_has_written_since_is_left_alone() -> None:
    judged: Fields = {3: "bad", 7: "worse", 8: 5, 4: ("bad", "words")}
    question = TABLE[Entity.QUESTION]
    present: Fields = {3: "bad", 7: "better", 8: 5, 4: ("bad", "words")}
    assert changes(question, judged, present, cover=True) == {3: COVER, 4: (COVER, COVER)}
    assert changes(question, judged, {**present, 3: COVER, 4: (COVER, COVER)}, cover=False) == {3: "bad", 4: ("bad", "words")}


def test_accepted_answers_and_tags_are_never_covered() -> None:
    kept = set()
    for declaration in TABLE.values():
        words: Fields = {}
        for field in declaration.fields:
            if isinstance(field.kind, Words):
                words[field.number] = "bad"
            elif isinstance(field.kind, Several) and isinstance(field.kind.of, Words):
                words[field.number] = ("bad", "worse")
        covered = changes(declaration, words, words, cover=True)
        kept |= {(declaration.entity, field.name) for field in declaration.fields if field.number in words.keys() - covered.keys()}
    tagged = (Entity.PREFERENCES, Entity.SUBJECT, Entity.COURSE, Entity.LESSON, Entity.PATH)
    keys = (Entity.QUESTION, Entity.DRAFT_QUESTION, Entity.ANSWER_KEY)
    assert kept == {
        *((entity, "language") for entity in tagged),
        *((entity, "words") for entity in (*keys, Entity.INSIGHT, Entity.GRADE)),
        *((Entity.PROFILE, name) for name in ("languages_text", "languages", "time_zone")),
        (Entity.PREFERENCES, "quiet_text"),
        (Entity.DRAFT_QUESTION, "by"),
        (Entity.NEXT, "why"),
    }


async def test_what_somebody_writes_while_it_is_being_covered_stands(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ben, ann)
        [library] = await w.column("select id from streams where space_id = $1 and kind = 12", space)
        await w.ok(ben, Change(library, Entity.CONTENT, 7, 1_760_000_000, write_fields({1: "a bad title"})))
        [row] = await until(bridge, HELD, ben.user)

        async def edit(tx: asyncpg.Connection) -> None:
            await write_record(tx, library, Entity.CONTENT, 7, {1: "a mended title"})
            while not await tx.fetchval("select exists(select from pg_locks where not granted)"):  # noqa: ASYNC110 (it has no event)
                await asyncio.sleep(0.01)

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(bridge.run, edit, deadline_s=10))
                await until(bridge, "select from pg_locks where relation = 'records'::regclass and mode = 'RowExclusiveLock'")
                await carry_out(bridge, w.herald, row["id"])
        last = (await bodies(bridge, library))[-1]
        assert isinstance(last, Changed) and read_fields(last.records[0].fields)[1] == "a mended title"


async def test_a_hidden_name_of_a_person_is_replaced_and_that_of_a_community_waits(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        await w.ok(ann, ChangeSettings(space, "a foul place", True, "{}"))
        [row] = await until(bridge, HELD, ann.user)
        assert (row["form"], row["target"]) == (HeldForm.NAME, 0)
        await w.ok(ben, Rename("a foul name"))
        await Outbox(bridge, w.herald).drain()
        await until(bridge, HELD, ben.user)
        assert await w.value("select display_name from accounts where id = $1", ben.user) == f"member {ben.user}"
        assert await w.value("select name from spaces where id = $1", space) == "a foul place", "a person decides"


async def test_after_its_time_no_word_of_what_was_held_is_left(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        for word in ("bad", "hm"):
            await w.ok(ben, Say(channel, word))
        await until(bridge, HELD, ben.user, count=2)
        age = "update held set at = at - make_interval(days => $1), decided_at = decided_at - make_interval(days => $1)"
        await bridge.run(sweep, deadline_s=10)
        assert [row["body"] is None for row in await fetch(bridge, "select body from held order by id")] == [False, False]
        await fetch(bridge, age, 31)
        await bridge.run(sweep, deadline_s=10)
        assert [row["body"] is None for row in await fetch(bridge, "select body from held order by id")] == [True, False]
        [hidden, _] = await fetch(bridge, HELD, ben.user)
        assert await code(w, ben, Appeal(hidden["id"])) is Code.GONE
        await fetch(bridge, age, 150)
        await bridge.run(sweep, deadline_s=10)
        assert [row["state"] for row in await fetch(bridge, HELD, ben.user)] == [HeldState.LAPSED]


async def masked(bridge: Bridge, channel: int, at: int, covered: str) -> Done:
    """What a gateway does that found personal data in one of the things said there."""

    async def take(connection: asyncpg.Connection) -> Ruling:
        [part] = await claim(connection, [channel], lease_s=0.0)
        return Ruling(part.spoken[at], Outcome(Action.MASK, (Reason(Harm.PERSONAL, 90),), text=covered), "fake@1")

    return await do(bridge, rule, await bridge.run(take, deadline_s=10, isolation="none"))


async def test_what_is_covered_in_an_older_edit_does_not_undo_a_newer_one_and_its_words_are_gone(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "hello"))
        for text in ("call me on 123", "write to me"):
            await w.ok(ben, Edit(channel, said, text))
        assert await masked(bridge, channel, 1, "call me on ▒▒▒") == Done()
        assert await bodies(bridge, channel) == [Posted("write to me", edited=True), Redacted(), Edited(said, "write to me")]
        kept = await fetch(bridge, "select body from message_versions order by version")
        assert [b"123" in row["body"] for row in kept] == [False]
        assert await fetch(bridge, "select from held") == []


def personal(text: str) -> Verdict:
    """Numbers are covered."""
    begin = text.find("123")
    spans = (Span(Harm.PERSONAL, begin, begin + 3, "phone"),) if begin >= 0 else ()
    return Verdict({Harm.PERSONAL: 0.9 if spans else 0.0, Harm.SELF_HARM: 0.9 if "sad" in text else 0.0}, "en", 0.99, spans=spans)


class Covering(FakeModels):
    async def ask(self, request: Any, within_s: float, *, key: int = 0) -> Answer:
        answer = await super().ask(request, within_s, key=key)
        return Answer(personal(request.text), answer.by)


async def test_what_is_checked_first_and_covered_may_be_appealed_and_reads_as_it_was_said_then(bridge: Bridge) -> None:
    async with moderated(bridge, Covering()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        before = await w.ok(ben, Say(channel, "before"))
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Say(channel, "call me on 123"))
        await w.ok(ben, Edit(channel, before, "or on 1234"))
        rows = await until(bridge, "select id, target from held where author = $1 and state = 3 order by id", ben.user, count=2)
        assert rows[0]["target"] > 0 and rows[1]["target"] == before
        for row in rows:
            await w.ok(ben, Appeal(row["id"], "it is not mine"))
            assert await w.ok(ann, DecideAppeal(row["id"], True)) > 0
        texts = [body.text for body in await bodies(bridge, channel) if isinstance(body, (Said, Posted))]
        assert texts == ["or on 1234", "call me on 123"]
        gone = await w.ok(ben, Say(channel, "123, too"))
        [row] = await until(bridge, "select id, target from held where author = $1 and state = 3", ben.user)
        assert gone == 0
        await w.ok(ben, Delete(channel, row["target"]))
        assert await code(w, ben, Appeal(row["id"])) is Code.CONFLICT


async def test_who_may_be_in_need_is_in_the_open_queue_also_where_everything_is_checked_first(bridge: Bridge) -> None:
    async with moderated(bridge, Covering()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Say(channel, "so sad"))
        await until(bridge, "select from held where state = 7")

        async def ask(connection: asyncpg.Connection) -> Any:
            return await list_held(connection, [ListHeld(ann.user, space, False, 0, True, 20)])

        [page] = await bridge.run(ask, deadline_s=10, readonly=True)
        assert [(item.text, item.state) for item in page.items] == [("so sad", HeldState.NOTED)]
        assert await bodies(bridge, channel) == [Said("so sad")]


async def test_of_what_was_let_through_and_is_deleted_no_word_is_left(bridge: Bridge) -> None:
    async with moderated(bridge, Covering()) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Say(channel, "fine"))
        await until(bridge, "select from held where became > 0")
        await w.ok(ben, Edit(channel, 1, "finer"))
        await until(bridge, "select from held where became > 0", count=2)
        await w.ok(ben, Delete(channel, 1))
        assert [row["body"] for row in await fetch(bridge, "select body from held")] == [None, None]


async def test_an_appeal_where_nobody_else_could_decide_goes_to_the_platform(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels()) as (w, _):
        ann, ben, moe, rev = [await w.person(name) for name in ("ann", "ben", "moe", "rev")]
        await reviewer(bridge, rev.user)
        space, _, channel = await w.community(ann, ben, moe)
        for word in ("hm", "hm hm"):
            await w.ok(ben, Say(channel, word))
        rows = await until(bridge, HELD, ben.user, count=2)
        for row in rows:
            await w.ok(ann, DecideHeld(row["id"], False))
        await w.ok(ben, Appeal(rows[0]["id"]))
        assert await code(w, ann, DecideAppeal(rows[0]["id"], True)) is Code.NOT_FOUND
        assert await w.ok(rev, DecideAppeal(rows[0]["id"], True)) > 0
        await w.ok(ann, SetRole(space, moe.user, Role.MODERATOR))
        await w.ok(ben, Appeal(rows[1]["id"]))
        assert await w.value("select review_id from held where id = $1", rows[1]["id"]) == space, "there is somebody else now"
        await bridge.run(sweep, deadline_s=10)
        assert await w.value("select review_id from held where id = $1", rows[1]["id"]) == space
        await fetch(bridge, "update held set appealed_at = appealed_at - interval '15 days'")
        await bridge.run(sweep, deadline_s=10)
        assert await w.value("select review_id from held where id = $1", rows[1]["id"]) == 0, "who could have may be gone"
        assert await w.ok(rev, DecideAppeal(rows[1]["id"], True)) > 0


async def test_an_edit_by_a_program_that_knows_nothing_of_checking_first_is_not_taken(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels(Why.AWAY)) as (w, _):
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "before"))
        await w.ok(ann, SetModeration(space, True))

        async def edit_as_before(tx: asyncpg.Connection) -> None:
            await rewrite(tx, channel, said, "unreviewed", ben.user)
            await append_events(tx, [event(channel, ben.user, Edited(said, "unreviewed"), said)])

        with pytest.raises(asyncpg.PostgresError) as refused:
            await bridge.run(edit_as_before, deadline_s=10)
        assert refused.value.sqlstate == AUTHORITY_MOVED
        assert await bodies(bridge, channel) == [Said("before")]
