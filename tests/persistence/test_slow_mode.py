"""Slow mode on a real Postgres: who waits, for how long, and that no second device or gateway is a way around it."""

from __future__ import annotations

import time

import pytest

from persistence.bridge import Bridge
from persistence.review import sweep
from protocol.codes import Code
from protocol.events import SlowModeSet
from protocol.operations import SLOW_MODE_S_MAX, CreateChannel, Edit, MarkRead, OpenConversation, Post, React, Say, SetRole, SetSlowMode
from protocol.values import Role
from tests.persistence.test_operations import bodies, code
from tests.persistence.world import Person, World, fetch, world


async def second_device(w: World, person: Person) -> Person:
    [row] = await fetch(w.bridge, "insert into devices (user_id, generation) values ($1, 1) returning id", person.user)
    return Person(person.user, person.inbox, row["id"], person.name)


async def pass_s(w: World, seconds: float) -> None:
    """As if so much time had gone by since everybody spoke."""
    await w.rows("update slow_posts set at_ms = at_ms - $1", int(seconds * 1000))


async def test_a_learner_waits_and_is_told_until_when_and_the_number_is_consumed(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, own, channel = await w.community(ann, ben)
        assert await w.ok(ann, SetSlowMode(channel, 30)) == 0
        assert (await bodies(w, own))[-1] == SlowModeSet(channel, 30)
        await w.ok(ben, Say(channel, "one"))
        before_ms = time.time() * 1000
        refused = await w.ask(ben, Say(channel, "two"))
        assert refused.code is Code.SLOWED
        assert 25_000 < refused.value - before_ms <= 30_001
        again = await w.ask(ben, Say(channel, "two"), number=ben.number)
        assert (again.code, again.value, again.replayed) == (Code.SLOWED, refused.value, True)
        await w.ok(ben, React(channel, 1, "👍"))  # what comes behind it does not wait
        await pass_s(w, 30)
        await w.ok(ben, Post(channel, "three"))
        assert (await w.ask(ben, Post(channel, "four"))).code is Code.SLOWED


async def test_a_second_device_or_gateway_is_no_way_around_slow_mode(bridge: Bridge) -> None:
    async with world(bridge) as w, world(bridge) as other_gateway:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetSlowMode(channel, 60))
        phone = await second_device(w, ben)
        await w.ok(ben, Say(channel, "one"))
        assert (await other_gateway.ask(phone, Say(channel, "two"))).code is Code.SLOWED
        assert (await w.ask(phone, Post(channel, "three"))).code is Code.SLOWED


async def test_of_one_batch_only_the_first_of_each_learner_is_in_time(bridge: Bridge) -> None:
    from tests.persistence.world import Mailbox

    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        space, _, channel = await w.community(ann, ben, cid)
        quick = await w.ok(ann, CreateChannel(space, "quick"))
        await w.ok(ann, SetSlowMode(channel, 60))
        mailboxes: list[tuple[Person, Code, Mailbox]] = []  # type: ignore[type-arg]
        for person, stream, expected in (
            (ben, channel, Code.OK),
            (ben, quick, Code.OK),
            (ben, channel, Code.SLOWED),
            (cid, channel, Code.OK),
            (cid, channel, Code.SLOWED),
            (ben, quick, Code.OK),
            (ann, channel, Code.OK),
            (ann, channel, Code.OK),
        ):
            mailbox: Mailbox = Mailbox()  # type: ignore[type-arg]
            assert w.journal.submit(person.entry(Say(stream, "word")), mailbox)
            mailboxes.append((person, expected, mailbox))
        for _, expected, mailbox in mailboxes:
            [decided] = await mailbox.wait(1)
            assert decided.code is expected
            assert (decided.value > 10**12) == (expected is Code.SLOWED)


async def test_staff_and_mentors_do_not_wait_nor_does_anything_but_speaking(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, moe = [await w.person(name) for name in ("ann", "ben", "moe")]
        space, _, channel = await w.community(ann, ben, moe)
        await w.ok(ann, SetSlowMode(channel, 60))
        await w.ok(ann, SetRole(space, moe.user, Role.MENTOR))
        for person in (ann, moe):
            for _ in range(3):
                await w.ok(person, Say(channel, "word"))
        said = await w.ok(ben, Say(channel, "once"))
        await w.ok(ben, React(channel, said, "👍"))
        await w.ok(ben, Edit(channel, said, "once, better"))
        await w.ok(ben, MarkRead(channel, said))
        assert await code(w, ben, Say(channel, "twice")) is Code.SLOWED
        await w.ok(ann, SetRole(space, moe.user, Role.LEARNER))
        await w.ok(moe, Say(channel, "a learner's first"))
        assert await code(w, moe, Say(channel, "and second")) is Code.SLOWED
        await w.ok(ann, SetSlowMode(channel, 0))
        await w.ok(ben, Say(channel, "twice"))
        await w.ok(ben, Say(channel, "thrice"))


async def test_whoever_manages_channels_sets_slow_mode_and_nobody_else_and_nowhere_else(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, eve = [await w.person(name) for name in ("ann", "ben", "eve")]
        _, own, channel = await w.community(ann, ben)
        pair = await w.ok(ann, OpenConversation((ben.user,)))
        assert await code(w, ben, SetSlowMode(channel, 10)) is Code.FORBIDDEN
        assert await code(w, eve, SetSlowMode(channel, 10)) is Code.NOT_FOUND
        assert await code(w, ann, SetSlowMode(own, 10)) is Code.FORBIDDEN
        assert await code(w, ann, SetSlowMode(pair, 10)) is Code.FORBIDDEN
        assert await code(w, ann, SetSlowMode(10**9, 10)) is Code.NOT_FOUND
        await w.ok(ann, SetSlowMode(channel, SLOW_MODE_S_MAX))
        heads = await w.column("select head from streams where id = $1", own)
        await w.ok(ann, SetSlowMode(channel, SLOW_MODE_S_MAX))
        assert await w.column("select head from streams where id = $1", own) == heads, "the same again is no news"
        assert await w.column("select count(*) from audit_log where action = 'slow_mode_set'") == [1]


async def test_times_at_which_somebody_spoke_are_forgotten_when_they_hold_nobody_up(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        await w.ok(ann, SetSlowMode(channel, 30))
        await w.ok(ben, Say(channel, "one"))
        assert await w.bridge.run(sweep, deadline_s=30) == 0
        await pass_s(w, SLOW_MODE_S_MAX + 1)
        assert await w.bridge.run(sweep, deadline_s=30) == 1
        assert await w.column("select count(*) from slow_posts") == [0]


@pytest.mark.parametrize("seconds", [-1, SLOW_MODE_S_MAX + 1])
def test_a_slow_mode_beyond_its_bounds_is_no_operation(seconds: int) -> None:
    from protocol.codec import BadFrame, decode_operation, encode

    with pytest.raises(BadFrame):
        decode_operation(encode(SetSlowMode(5, seconds)))
