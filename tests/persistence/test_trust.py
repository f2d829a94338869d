"""Trust in Postgres: words given and taken back, facts noted once, and what is worked out at once being what a pass finds."""

from __future__ import annotations

import random
from functools import partial

import asyncpg
import msgspec
import pytest

from actors.device import make_entry
from actors.messages import Submit
from actors.storage import CONTROL_STREAM, Attach, Attached, Decided
from actors.trust import ADDRESS, START, FactKind, TrustEvent
from actors.trust_flow import LEVELS, WORD_MAX
from actors.trust_gates import Thresholds
from actors.trust_words import Explained
from persistence.bridge import Bridge
from persistence.device_queries import attach
from persistence.operations.trust import PER_WEEK_MAX
from persistence.trust import note
from persistence.trust_book import PostgresTrust, name_seed, unname_seed
from persistence.trust_settling import Counted, TrustPass, settle_until_done
from protocol import codec
from protocol.codes import Code
from protocol.entities import Entity, write_fields
from protocol.events import Noticed, TrustChanged
from protocol.operations import Change, Endorse, Join, Leave, Release, WithdrawEndorsement
from protocol.values import StreamKind
from tests.persistence.world import Person, World, ask, world


async def crowd(w: World, *names: str) -> tuple[int, list[Person]]:
    """A community of these people, whose first founded it."""
    people = [await w.person(name) for name in names]
    space, _, _ = await w.community(people[0], *people[1:])
    return space, people


async def today(w: World) -> int:
    day = await w.value("select day from trust_clock")
    assert isinstance(day, int)
    return day


async def named(bridge: Bridge, person: Person) -> None:
    assert await bridge.run(partial(name_seed, by=0, user=person.user), deadline_s=10)


async def noted(bridge: Bridge, *events: TrustEvent) -> None:
    async def work(tx: asyncpg.Connection) -> None:
        await note(tx, *events)

    await bridge.run(work, deadline_s=10)


async def trust_of(w: World, person: Person) -> object:
    return await w.value("select trust from accounts where id = $1", person.user)


async def pass_again(w: World) -> Counted:
    return await TrustPass(w.bridge).run(await today(w))


async def test_the_word_of_a_seed_raises_trust_and_that_of_a_stranger_does_not(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (teacher, ann, ben, cleo) = await crowd(w, "teacher", "ann", "ben", "cleo")
        await named(bridge, teacher)
        await w.ok(teacher, Endorse(space, ann.user))
        await w.ok(ben, Endorse(space, cleo.user))
        await settle_until_done(bridge)
        assert await w.rows("select levels from trust_standings where user_id = $1", ann.user) == [([WORD_MAX] * LEVELS,)]
        assert await trust_of(w, ann) == pytest.approx(START + 0.08)
        assert await trust_of(w, cleo) == START


async def test_a_word_taken_back_counts_no_more_also_after_leaving(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (_, ann, ben) = await crowd(w, "owner", "ann", "ben")
        await named(bridge, ben)
        await w.ok(ben, Endorse(space, ann.user))
        await settle_until_done(bridge)
        assert await trust_of(w, ann) > START  # type: ignore[operator]
        await w.ok(ben, Leave(space))
        await w.ok(ben, WithdrawEndorsement(space, ann.user))
        await settle_until_done(bridge)
        assert await trust_of(w, ann) == START
        assert await w.column("select kind from trust_events where user_id = $1 order by id", ann.user) == [
            FactKind.ENDORSED,
            FactKind.WITHDRAWN,
        ]
        assert not await w.rows("select from trust_standings")


async def test_who_may_vouch_for_whom(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (owner, ann) = await crowd(w, "owner", "ann")
        stranger = await w.person("stranger")

        async def code(person: Person, operation: Endorse) -> Code:
            return (await w.ask(person, operation)).code

        assert await code(ann, Endorse(space, ann.user)) is Code.INVALID
        assert await code(ann, Endorse(space, stranger.user)) is Code.NOT_FOUND
        assert await code(stranger, Endorse(space, ann.user)) is Code.NOT_FOUND
        assert await code(ann, Endorse(space + 1000, owner.user)) is Code.NOT_FOUND
        own_space = await w.value("select personal_space from accounts where id = $1", ann.user)
        assert isinstance(own_space, int)
        assert await code(ann, Endorse(own_space, owner.user)) is Code.FORBIDDEN
        await w.rows("insert into blocks (user_id, blocked) values ($1, $2)", owner.user, ann.user)
        assert await code(ann, Endorse(space, owner.user)) is Code.BLOCKED
        assert not await w.rows("select from trust_relationships")


async def test_nobody_vouches_for_more_people_in_a_week_than_they_can_know(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (owner, *others) = await crowd(w, "owner", *(f"p{n}" for n in range(PER_WEEK_MAX + 1)))
        for person in others[:-1]:
            await w.ok(owner, Endorse(space, person.user))
        refused = await w.ask(owner, Endorse(space, others[-1].user))
        assert refused.code is Code.LIMIT and str(PER_WEEK_MAX) in refused.detail
        await w.ok(owner, WithdrawEndorsement(space, others[0].user))
        assert (await w.ask(owner, Endorse(space, others[-1].user))).code is Code.LIMIT


async def test_a_fact_about_the_same_thing_is_noted_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        for _ in range(2):
            await noted(bridge, TrustEvent(ann.user, FactKind.REPORT_UPHELD, subject=7))
        await settle_until_done(bridge)
        assert await trust_of(w, ann) == START / 2


async def test_facts_stand_as_they_were_noted(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        await noted(bridge, TrustEvent(ann.user, FactKind.REPORT_UPHELD, subject=7))
        with pytest.raises(asyncpg.RestrictViolationError):
            await w.rows("update trust_events set weight = 0")


async def test_the_staff_of_a_community_that_nobody_vouches_for_cannot_ruin_anybody(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (owner, ann) = await crowd(w, "owner", "ann")
        await noted(bridge, *(TrustEvent(ann.user, FactKind.REPORT_UPHELD, owner.user, space, report) for report in range(1, 20)))
        await settle_until_done(bridge)
        assert await trust_of(w, ann) == START
        await named(bridge, owner)
        await noted(bridge, *(TrustEvent(ann.user, FactKind.REPORT_UPHELD, owner.user, space, report) for report in range(20, 40)))
        await settle_until_done(bridge)
        assert await trust_of(w, ann) == START / 2


async def test_a_score_is_told_to_every_gateway_and_to_whoever_attaches(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        await w.rows("update accounts set email = 'a@b.example', email_verified_at = now() where id = $1", ann.user)
        assert await w.column("select kind from trust_events where user_id = $1", ann.user) == [FactKind.EMAIL_VERIFIED]
        await settle_until_done(bridge)
        bodies = [codec.decode_body(row[0]) for row in await w.rows("select body from log where stream_id = $1", CONTROL_STREAM)]
        [told] = [body for body in bodies if isinstance(body, TrustChanged)]
        assert [(one.user, one.trust) for one in told.people] == [(ann.user, 250)]
        session = await w.value(
            "insert into sessions (user_id, device_id, expires_at) values ($1, $2, now() + interval '1 day') returning id",
            ann.user,
            ann.device,
        )
        assert isinstance(session, int)

        async def work(tx: asyncpg.Connection) -> list[object]:
            return [*await attach(tx, [Attach(session, ann.user, ann.device, 1)])]

        [attached] = await bridge.run(work, deadline_s=10)
        assert isinstance(attached, Attached) and attached.trust == START + ADDRESS


async def test_what_is_worked_out_at_once_is_what_a_pass_finds(bridge: Bridge) -> None:
    """For many histories of words, withdrawals, seeds and facts: after each few changes a pass on the same day changes nothing at all."""
    async with world(bridge) as w:
        names = [f"p{n}" for n in range(14)]
        space, people = await crowd(w, *names)
        other, _, _ = await w.community(people[1], *(person for person in people if person is not people[1]))
        await w.rows("update trust_clock set day = day - 1")
        for seed in range(12):
            chance = random.Random(seed)
            for _ in range(chance.randint(1, 6)):
                one, two = chance.sample(people, 2)
                where = chance.choice((space, other))
                match chance.randrange(8):
                    case 0:
                        await named(bridge, one)
                    case 1:
                        await bridge.run(partial(unname_seed, by=0, user=one.user), deadline_s=10)
                    case 2:
                        await noted(bridge, TrustEvent(one.user, FactKind.REPORT_UPHELD, two.user, where, chance.randrange(1, 999)))
                    case 3:
                        await noted(bridge, TrustEvent(one.user, FactKind.MENTORED, two.user, where, chance.randrange(1, 999)))
                    case 4:
                        await w.ok(one, WithdrawEndorsement(where, two.user))
                    case _:
                        await w.ok(one, Endorse(where, two.user))
            await settle_until_done(bridge)
            before = [tuple(row) for row in await w.rows("select id, trust from accounts order by id")]
            counted = await pass_again(w)
            assert (counted.moved, counted.told, counted.disagreed) == (0, 0, 0)
            assert [tuple(row) for row in await w.rows("select id, trust from accounts order by id")] == before
            await w.rows("alter table trust_events disable trigger trust_events_stand")
            await w.rows("update trust_events set at = at - interval '8 days', day = day - $1", chance.randrange(60))
            await w.rows("update trust_relationships set day = day - $1", chance.randrange(60))
            await w.rows("alter table trust_events enable trigger trust_events_stand")
            await pass_again(w)
        assert await w.value("select count(*) from trust_standings") != 0


async def test_a_pass_that_finds_something_else_than_was_worked_out_says_so(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (teacher, ann) = await crowd(w, "teacher", "ann")
        await named(bridge, teacher)
        await w.ok(teacher, Endorse(space, ann.user))
        await settle_until_done(bridge)
        assert (await pass_again(w)).disagreed == 0
        await w.rows("update trust_standings set levels[1] = 1 where user_id = $1", ann.user)
        assert (await pass_again(w)).disagreed == 1
        assert (await pass_again(w)).disagreed == 0


async def test_what_changes_during_a_pass_waits_for_its_end(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (teacher, ann) = await crowd(w, "teacher", "ann")
        await named(bridge, teacher)
        await w.rows("update trust_clock set passing_until = now() + interval '1 minute'")
        await w.ok(teacher, Endorse(space, ann.user))
        assert (await settle_until_done(bridge)).held
        assert await trust_of(w, ann) == START
        await pass_again(w)
        done = await settle_until_done(bridge)
        assert done.claimed == 2 and not done.held
        assert await trust_of(w, ann) == pytest.approx(START + 0.08)


async def test_everybody_is_told_the_parts_of_their_own_trust_and_they_add_up_to_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (teacher, ann) = await crowd(w, "teacher", "ann")
        await named(bridge, teacher)
        await w.ok(teacher, Endorse(space, ann.user))
        await noted(bridge, TrustEvent(ann.user, FactKind.REPORT_UPHELD, subject=1))
        await settle_until_done(bridge)
        told = await PostgresTrust(bridge, Thresholds()).explain(ann.user)
        assert isinstance(told, Explained)
        assert told.trust == await trust_of(w, ann)
        assert round(sum(part.points for part in told.parts) * told.kept, 3) == told.trust
        assert "One person vouches for you" in told.parts[3].words and "A report about you was upheld" in told.kept_words
        assert [door.open for door in told.doors] == [False, False, False, False]
        assert await PostgresTrust(bridge, Thresholds()).explain(10**9) is None


async def test_joining_and_waiting_needs_no_trust(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, _ = await crowd(w, "owner")
        newcomer = await w.person("newcomer")
        await w.ok(newcomer, Join(space))
        assert await trust_of(w, newcomer) == START >= Thresholds().communities


async def test_what_was_refused_for_want_of_trust_is_kept_and_let_through_when_the_door_is_open(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (_, ann) = await crowd(w, "owner", "ann")
        [board] = await w.column("select id from streams where space_id = $1 and kind = $2", space, StreamKind.BOARD)
        change = codec.encode(Change(board, Entity.ACTION, 7, 1_700_000_000, write_fields({1: "https://spam.example"})))

        async def ask_with(trust: float, operation: bytes, number: int) -> Decided:
            return await ask(w.journal, make_entry(ann.user, ann.device, ann.generation, Submit(1, number, operation), trust, Thresholds()))

        decided = await ask_with(START, change, 2)
        assert decided.code is Code.TRUST and decided.detail.startswith("links: ")
        assert await ask_with(1.0, change, 2) == msgspec.structs.replace(decided, replayed=True)
        [item] = await w.column("select id from sync_queue where user_id = $1 and closed_at is null", ann.user)
        assert (await ask_with(START, codec.encode(Release(item)), 3)).code is Code.TRUST
        assert not await w.rows("select from records where stream_id = $1", board)
        assert (await ask_with(Thresholds().links, codec.encode(Release(item)), 4)).code is Code.OK
        assert await w.rows("select from records where stream_id = $1", board)


async def test_a_service_is_trusted_as_far_as_whoever_made_it_and_nobody_vouches_for_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (owner, ann, robot) = await crowd(w, "owner", "ann", "robot")
        await w.rows("update accounts set kind = 1, trust = 0.7, owner_space = $2, password_hash = '' where id = $1", robot.user, space)
        assert (await w.ask(ann, Endorse(space, robot.user))).code is Code.NOT_FOUND
        await w.rows("insert into trust_unsettled (endorser) values ($1), ($2)", robot.user, owner.user)
        await settle_until_done(bridge)
        await pass_again(w)
        assert await trust_of(w, robot) == 0.7


async def test_to_whom_a_door_opens_is_told_so_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        space, (teacher, ann) = await crowd(w, "teacher", "ann")
        await named(bridge, teacher)
        await w.ok(teacher, Endorse(space, ann.user))
        await w.rows("delete from outbox")
        await settle_until_done(bridge, Thresholds())
        await TrustPass(bridge, Thresholds()).run(await today(w))
        [payload] = [row[0] for row in await w.rows("select payload from outbox where user_id = $1", ann.user)]
        told = codec.decode_body(payload)
        assert isinstance(told, Noticed) and told.words == "You can write links now."
