"""What every implementation of the storage port promises of people who block each other, and of slow mode."""

from __future__ import annotations

from actors.storage import Denied, FindPerson, ListSpaces, PersonFound, SpaceList
from protocol.codes import Code
from protocol.events import Mentioned, PersonBlocked, SlowModeSet
from protocol.frames import Slow
from protocol.operations import (
    Block,
    Edit,
    Leave,
    MarkRead,
    OpenConversation,
    Post,
    React,
    ReportMessage,
    Say,
    SetSlowMode,
    Unblock,
)
from protocol.values import ReportReason
from tests.conformance.scene import Scene


async def test_a_conversation_of_two_is_closed_to_both_until_the_last_block_is_taken_back(scene: Scene) -> None:
    ann, bob = scene.ann, scene.bob
    pair = await scene.ok(ann, OpenConversation((bob.user,)))
    said = await scene.ok(bob, Say(pair, "before"))
    await scene.ok(ann, Block(bob.user))
    await scene.ok(bob, Block(ann.user))
    await scene.ok(ann, Unblock(bob.user))
    for person in (ann, bob):
        for operation in (Say(pair, "x"), Post(pair, "x"), React(pair, said, "+1"), Edit(pair, said, "x")):
            assert (await scene.ask(person, operation)).code is Code.BLOCKED
    assert (await scene.ask(bob, OpenConversation((ann.user,)))).code is Code.BLOCKED
    await scene.ok(ann, MarkRead(pair, said))
    await scene.ok(bob, Unblock(ann.user))
    await scene.ok(ann, Say(pair, "after"))
    assert await scene.ok(bob, OpenConversation((ann.user,))) == pair


async def test_an_overview_names_whom_one_blocks_and_nobody_elses_does(scene: Scene) -> None:
    ann, bob = scene.ann, scene.bob
    for _ in range(2):
        await scene.ok(ann, Block(bob.user))
    mine, theirs = await scene.place.answer(ListSpaces(ann.user), ListSpaces(bob.user))
    assert isinstance(mine, SpaceList) and isinstance(theirs, SpaceList)
    assert (mine.blocked, theirs.blocked) == ((bob.user,), ())
    assert scene.heard(ann.inbox) == [PersonBlocked(bob.user, True)]
    assert scene.heard(bob.inbox) == []
    found = await scene.place.answer(FindPerson("ann", bob.user), FindPerson("bob", ann.user))
    assert found[0] == Denied(Code.NOT_FOUND)
    assert isinstance(found[1], PersonFound)


async def test_no_mention_passes_between_two_of_whom_one_blocks_the_other(scene: Scene) -> None:
    ann, bob, general = scene.ann, scene.bob, scene.here.general
    await scene.ok(bob, Block(ann.user))
    await scene.ok(ann, Post(general, "look", 0, (bob.user,)))
    await scene.ok(bob, Post(general, "look", 0, (ann.user,)))
    await scene.place.deliver()
    for person in (ann, bob):
        assert not [body for body in scene.heard(person.inbox) if isinstance(body, Mentioned)]


async def test_a_group_of_three_that_becomes_two_is_judged_by_who_is_left(scene: Scene) -> None:
    ann, bob = scene.ann, scene.bob
    cid = await scene.arrive("cid")
    group = await scene.ok(ann, OpenConversation((bob.user, cid.user)))
    listed = await scene.query(ListSpaces(cid.user))
    assert isinstance(listed, SpaceList)
    [space] = [one.space for one in listed.spaces for stream in one.streams if stream.stream == group]
    await scene.ok(ann, Block(bob.user))
    await scene.ok(bob, Say(group, "among three"))
    await scene.ok(cid, Leave(space))
    assert (await scene.ask(bob, Say(group, "among two"))).code is Code.BLOCKED
    await scene.ok(ann, Leave(space))
    await scene.ok(bob, Say(group, "alone"))


async def test_in_slow_mode_a_learner_speaks_once_and_staff_as_they_like(scene: Scene) -> None:
    ann, bob, here = scene.ann, scene.bob, scene.here
    assert (await scene.ask(bob, SetSlowMode(here.general, 3600))).code is Code.FORBIDDEN
    assert (await scene.ask(ann, SetSlowMode(here.board, 3600))).code is Code.FORBIDDEN
    for _ in range(2):
        await scene.ok(ann, SetSlowMode(here.general, 3600))
    assert scene.heard(here.own) == [SlowModeSet(here.general, 3600)]
    said = await scene.ok(bob, Say(here.general, "once"))
    refused = await scene.ask(bob, Post(here.general, "twice"))
    again = await scene.ask(bob, Post(here.general, "twice"), number=scene.numbers[bob.device])
    assert refused.code is Code.SLOWED
    assert refused.value > 0
    assert (again.code, again.value, again.replayed) == (Code.SLOWED, refused.value, True)
    await scene.ok(bob, React(here.general, said, "+1"))
    for _ in range(2):
        await scene.ok(ann, Say(here.general, "staff"))
    listed = await scene.query(ListSpaces(bob.user))
    assert isinstance(listed, SpaceList)
    assert listed.slow == (Slow(here.general, 3600),)
    await scene.ok(ann, SetSlowMode(here.general, 0))
    await scene.ok(bob, Say(here.general, "at last"))


async def test_whether_simulated_or_not_a_report_of_nothing_is_refused_and_consumes_its_number(scene: Scene) -> None:
    refused = await scene.ask(scene.bob, ReportMessage(10**9, 1, ReportReason.SPAM))
    assert refused.code in (Code.NOT_FOUND, Code.UNKNOWN)
    await scene.ok(scene.bob, Say(scene.here.general, "next"))
