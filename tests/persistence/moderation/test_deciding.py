"""What people decide about what is held, on a real Postgres: who may, once, what follows for trust and training, and what is forgotten."""

from __future__ import annotations

import asyncpg
import msgspec

from actors.inference import Why
from actors.model_book import Ruled
from actors.trust import FactKind
from persistence.bridge import Bridge
from persistence.moderation.keeping import page, sweep
from persistence.moderation.records import carry_out, changes
from persistence.outbox import Outbox
from protocol.codes import Code
from protocol.entities import COVER, TABLE, Entity, Fields, Several, Words, read_fields, write_fields
from protocol.events import Changed, Edited, ModerationSet, Posted, Redacted, Said
from protocol.operations import (
    Appeal,
    Change,
    ChangeSettings,
    CreateChannel,
    DecideAppeal,
    DecideHeld,
    Edit,
    Level,
    OpenConversation,
    Rename,
    Say,
    SetModeration,
    SetRole,
)
from protocol.values import Harm, HeldForm, HeldState, Role
from tests.persistence.moderation.scene import FakeModels, bodies, come, moderated, until
from tests.persistence.world import World, fetch

HELD = "select id, state, form, target, review_id from held where author = $1 order by id"


async def code(w: World, person: object, operation: object) -> Code:
    return (await w.ask(person, operation)).code  # type: ignore[arg-type]


async def trained_on(bridge: Bridge) -> list[Ruled]:
    """What a training would read."""

    async def work(connection: asyncpg.Connection) -> list[Ruled]:
        return [msgspec.msgpack.decode(row, type=Ruled) for row in (await page(connection, ())).rows]

    return await bridge.run(work, deadline_s=10, readonly=True)


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
        await w.ok(ann, SetModeration(space, True))
        await w.ok(ben, Edit(channel, said, "after"))
        await w.ok(ben, Edit(channel, said, "bad"))
        models.why = None
        await until(bridge, "select from held where state <> 1", count=2)
        assert await bodies(bridge, channel) == [Posted("after", edited=True), Edited(said, "after")]


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
