"""What every implementation of the storage port promises about records, claimed of each: Postgres, and the model of the simulator."""

from __future__ import annotations

import time

import msgspec

from actors.storage import (
    Attach,
    Attached,
    Borrow,
    ConflictList,
    Denied,
    HoldingRead,
    InheritDevice,
    InheritedOutcomes,
    ListConflicts,
    ListSpaces,
    ListUnapplied,
    ReadAfter,
    ReadHolding,
    ReadRecords,
    ReadVersions,
    RecordsRead,
    Refusal,
    SpaceList,
    UnappliedList,
    VersionList,
)
from protocol.codes import Code
from protocol.entities import Entity, Fields, read_fields, write_fields
from protocol.events import Changed, ConflictNoted, RecordItem
from protocol.frames import Conflict, KeptVersion, UnappliedItem
from protocol.merge import Outcome, outcome_value, read_outcome
from protocol.operations import Change, Claim, Discard, Held, Hold, Join, Leave, Release, Remove, Reopen, Resolve, SetBack, SetRole
from protocol.values import Choice, ConflictState, KeptAs, Role, SpaceKind
from tests.conformance.scene import Scene
from tests.conformance.storage_places import Person

NOW = int(time.time())
"""Places have clocks of their own. What is written at this time is in the past of each: bounded time leaves it as it is."""
EARLY, LATE, LATEST = 1_700_000_000, 1_700_000_100, 1_700_000_200
SINGLE = 1


def change(
    stream: int, entity: Entity, key: int, fields: Fields | None = None, *, base: int = 0, at: int = EARLY, gone: bool = False
) -> Change:
    return Change(stream, int(entity), key, at, write_fields(fields or {}), base, gone)


async def records(scene: Scene, person: Person, stream: int) -> dict[tuple[int, int], tuple[int, Fields]]:
    """A snapshot: version and fields by entity and key."""
    result = await scene.query(ReadRecords(stream, person.user, 0, 0, 1 << 20))
    assert isinstance(result, RecordsRead) and not result.more
    return {(item.entity, item.key): (item.version, read_fields(item.fields)) for item in result.records}


async def versions(scene: Scene, person: Person, stream: int, entity: Entity, key: int) -> list[KeptVersion]:
    result = await scene.query(ReadVersions(stream, person.user, int(entity), key, 0, 100))
    assert isinstance(result, VersionList) and not result.more
    return list(result.versions)


async def kept(scene: Scene, person: Person, stream: int, entity: Entity, key: int) -> list[tuple[KeptAs, int, Fields]]:
    """Why, whose and what, newest first."""
    return [(one.kept, one.author, read_fields(one.fields)) for one in await versions(scene, person, stream, entity, key)]


async def conflicts(scene: Scene, person: Person, *, open_only: bool = True, conflict: int = 0) -> list[Conflict]:
    result = await scene.query(ListConflicts(person.user, 0, open_only, conflict, 100))
    assert isinstance(result, ConflictList) and not result.more
    return list(result.conflicts)


async def unapplied(scene: Scene, person: Person, space: int = 0) -> list[UnappliedItem]:
    result = await scene.query(ListUnapplied(person.user, space, 0, 100))
    assert isinstance(result, UnappliedList) and not result.more
    return list(result.items)


async def outcome(scene: Scene, person: Person, operation: Change | Resolve | SetBack | Release) -> tuple[Outcome, int]:
    return read_outcome(await scene.ok(person, operation))


async def test_a_change_is_in_the_snapshot_and_in_the_stream_and_a_retry_changes_nothing(scene: Scene) -> None:
    ann = scene.ann
    profile = change(ann.own, Entity.PROFILE, SINGLE, {1: "likes maths", 4: "Africa/Nairobi"})
    assert await outcome(scene, ann, profile) == (Outcome.APPLIED, 1)
    again = await scene.ask(ann, profile, number=1)
    assert again.replayed and again.value == outcome_value(Outcome.APPLIED, 1)
    assert await records(scene, ann, ann.own) == {(Entity.PROFILE, 1): (1, {1: "likes maths", 4: "Africa/Nairobi"})}
    told = write_fields({1: "likes maths", 4: "Africa/Nairobi"})
    assert scene.heard(ann.own) == [Changed((RecordItem(int(Entity.PROFILE), 1, 1, told),))]


async def test_base_comes_before_clocks_and_a_clock_ahead_gains_nothing(scene: Scene) -> None:
    ann = scene.ann
    phone = await scene.attach(await scene.place.second_device(ann))
    wrote = [
        await outcome(scene, ann, change(ann.own, Entity.PREFERENCES, 1, {2: "sw"}, at=NOW + 315_360_000)),
        await outcome(scene, phone, change(ann.own, Entity.PREFERENCES, 1, {2: "fr"}, base=1, at=EARLY)),
        await outcome(scene, ann, change(ann.own, Entity.PREFERENCES, 1, {2: "de"}, base=1, at=LATE)),
    ]
    # The first was bounded; the second knew it, and needed no clock; the third did not know the second, and is later.
    assert wrote == [(Outcome.APPLIED, 1), (Outcome.APPLIED, 2), (Outcome.MERGED, 3)]


async def test_what_is_later_wins_field_by_field_and_what_lost_is_kept(scene: Scene) -> None:
    ann = scene.ann
    phone = await scene.attach(await scene.place.second_device(ann))
    assert await outcome(scene, ann, change(ann.own, Entity.PROFILE, 1, {1: "one", 4: "Z1"}, at=LATE)) == (Outcome.APPLIED, 1)
    late = await outcome(scene, phone, change(ann.own, Entity.PROFILE, 1, {1: "two"}, at=LATEST))
    early = await outcome(scene, phone, change(ann.own, Entity.PROFILE, 1, {4: "Z2"}, at=EARLY))
    assert (late, early) == ((Outcome.MERGED, 2), (Outcome.SUPERSEDED, 2))
    assert await records(scene, ann, ann.own) == {(Entity.PROFILE, 1): (2, {1: "two", 4: "Z1"})}
    assert await kept(scene, ann, ann.own, Entity.PROFILE, 1) == [
        (KeptAs.LOST, ann.user, {4: "Z2"}),
        (KeptAs.OVERWRITTEN, ann.user, {1: "one"}),
    ]
    assert [found.state for found in await conflicts(scene, ann, open_only=False)] == [ConflictState.AUTOMATIC] * 2
    assert await conflicts(scene, ann) == []


async def test_measured_skew_moves_what_a_device_says_about_time(scene: Scene) -> None:
    ann = scene.ann
    phone = await scene.attach(await scene.place.second_device(ann))
    await outcome(scene, ann, change(ann.own, Entity.PROFILE, 1, {1: "right clock"}, at=LATE))
    slow = await scene.ask(phone, change(ann.own, Entity.PROFILE, 1, {1: "slow clock"}, at=EARLY), skew_s=LATEST - EARLY)
    assert read_outcome(slow.value) == (Outcome.MERGED, 2)


async def test_progress_only_advances_until_staff_set_it_back(scene: Scene) -> None:
    ann, bob, here = scene.ann, scene.bob, scene.here
    mine = await scene.place.enrolment(here.space, bob.user)
    values = [await outcome(scene, bob, change(mine.progress, Entity.PROGRESS, 7, {1: percent})) for percent in (40, 30, 100, 100)]
    assert values == [(Outcome.APPLIED, 1), (Outcome.SUPERSEDED, 1), (Outcome.APPLIED, 2), (Outcome.DUPLICATE, 2)]
    assert (await scene.ask(bob, SetBack(here.space, bob.user, 7, 0))).code is Code.FORBIDDEN
    assert await outcome(scene, ann, SetBack(here.space, bob.user, 7, 20)) == (Outcome.APPLIED, 3)
    assert await records(scene, bob, mine.progress) == {(Entity.PROGRESS, 7): (3, {1: 20, 2: 1})}
    assert await outcome(scene, bob, change(mine.progress, Entity.PROGRESS, 7, {1: 90})) == (Outcome.SUPERSEDED, 3)
    assert await outcome(scene, bob, change(mine.progress, Entity.PROGRESS, 7, {1: 30, 2: 1})) == (Outcome.MERGED, 4)
    ahead = await scene.ask(bob, change(mine.progress, Entity.PROGRESS, 7, {1: 30, 2: 5}))
    assert ahead.code is Code.INVALID
    assert [why for why, _, _ in await kept(scene, bob, mine.progress, Entity.PROGRESS, 7)] == [KeptAs.LOST, KeptAs.SET_BACK]
    assert (await scene.query(ReadRecords(mine.progress, ann.user, 0, 0, 1000))) == Denied(Code.NOT_FOUND)


async def test_every_attempt_at_a_question_is_kept(scene: Scene) -> None:
    bob = scene.bob
    mine = await scene.place.enrolment(scene.here.space, bob.user)
    phone = await scene.attach(await scene.place.second_device(bob))
    assert await outcome(scene, bob, change(mine.answers, Entity.ANSWER, 3, {2: (1,)}, at=LATE)) == (Outcome.APPLIED, 1)
    assert (await outcome(scene, phone, change(mine.answers, Entity.ANSWER, 3, {2: (2,)}, at=EARLY)))[0] is Outcome.SUPERSEDED
    assert (await outcome(scene, phone, change(mine.answers, Entity.ANSWER, 3, {1: 3}, at=LATEST)))[0] is Outcome.MERGED
    assert await records(scene, bob, mine.answers) == {(Entity.ANSWER, 3): (2, {2: (3,)})}
    found = await versions(scene, bob, mine.answers, Entity.ANSWER, 3)
    assert [(one.kept, one.version, read_fields(one.fields)) for one in found] == [
        (KeptAs.ATTEMPT, 2, {2: (3,)}),
        (KeptAs.ATTEMPT, 0, {2: (2,)}),
        (KeptAs.ATTEMPT, 1, {2: (1,)}),
    ]


async def test_a_refused_change_has_its_code_is_kept_and_blocks_nothing_behind_it(scene: Scene) -> None:
    bob, here = scene.bob, scene.here
    mine = await scene.place.enrolment(here.space, bob.user)
    wrong: list[tuple[Change | Refusal, Code]] = [
        (change(scene.ann.own, Entity.PROFILE, 1, {1: "not mine"}), Code.NOT_FOUND),
        (change(2**50, Entity.PROFILE, 1, {1: "nowhere"}), Code.NOT_FOUND),
        (Change(bob.own, 200, 1, EARLY, write_fields({1: 1})), Code.UNKNOWN),
        (change(bob.own, Entity.PROFILE, 1, {9: "no such field"}), Code.INVALID),
        (change(bob.own, Entity.PROFILE, 1, {1: "x" * 501}), Code.INVALID),
        (change(bob.own, Entity.PROFILE, 2, {1: "one only"}), Code.INVALID),
        (change(bob.own, Entity.PROFILE, 1, gone=True), Code.INVALID),
        (change(mine.progress, Entity.PROFILE, 1, {1: "wrong place"}), Code.INVALID),
        (change(here.general, Entity.ACTION, 1, {1: "wrong place"}), Code.INVALID),
        (change(here.library, Entity.CONTENT, 1, {1: "learners write none"}), Code.FORBIDDEN),
        (Refusal(Code.INVALID, "change 3 of the chunk", b"\x93\x01\x02\x80"), Code.INVALID),
    ]
    entries = [scene.entry(bob, operation) for operation, _ in wrong] + [scene.entry(bob, change(bob.own, Entity.DRAFT, 5, {3: "kept"}))]
    decided = await scene.place.decide(*entries)
    assert [one.code for one in decided] == [*(code for _, code in wrong), Code.OK]
    assert await records(scene, bob, bob.own) == {(Entity.DRAFT, 5): (1, {3: "kept"})}
    found = await unapplied(scene, bob)
    sent = [one.payload if isinstance(one, Refusal) else msgspec.msgpack.encode(one) for one, _ in wrong]
    assert [(item.operation, item.code, item.quarantined) for item in found] == [
        (payload, code, False) for payload, (_, code) in zip(sent, wrong, strict=True)
    ]
    assert {item.space for item in found} == {bob.home, here.space}
    assert await unapplied(scene, scene.ann) == []
    assert await scene.ok(bob, Discard(found[0].item)) == found[0].item
    assert [item.item for item in await unapplied(scene, bob)] == [item.item for item in found[1:]]
    assert (await scene.ask(scene.ann, Discard(found[2].item))).code is Code.NOT_FOUND


async def test_a_batch_of_many_is_decided_in_order_each_seeing_the_ones_before(scene: Scene) -> None:
    ann, bob, board = scene.ann, scene.bob, scene.here.board
    entries = [
        scene.entry(ann, change(board, Entity.ACTION, 1, {1: "clean up"})),
        scene.entry(bob, change(board, Entity.ACTION, 1, {1: "party"})),
        scene.entry(bob, change(board, Entity.ACTION, 2, {1: "read"})),
        scene.entry(ann, change(board, Entity.ACTION, 1, {4: True}, base=1)),
    ]
    decided = [read_outcome(one.value) for one in await scene.place.decide(*entries)]
    assert decided == [(Outcome.APPLIED, 1), (Outcome.SUPERSEDED, 1), (Outcome.APPLIED, 1), (Outcome.APPLIED, 2)]
    fold: dict[int, Fields] = {}
    for body in scene.heard(board):
        assert isinstance(body, Changed)
        for item in body.records:
            fold[item.key] = {**fold.get(item.key, {}), **read_fields(item.fields)}
    assert fold == {1: {1: "clean up", 4: True}, 2: {1: "read"}}
    assert {(key, version) for (_, key), (version, _) in (await records(scene, bob, board)).items()} == {(1, 2), (2, 1)}


async def test_who_lost_to_a_community_is_told_and_may_bring_it_back(scene: Scene) -> None:
    ann, bob, board = scene.ann, scene.bob, scene.here.board
    assert await outcome(scene, ann, change(board, Entity.ACTION, 1, {1: "clean up"})) == (Outcome.APPLIED, 1)
    assert await outcome(scene, bob, change(board, Entity.ACTION, 1, {1: "party"})) == (Outcome.SUPERSEDED, 1)
    await scene.place.deliver()
    [lost] = await conflicts(scene, bob, open_only=False)
    assert (lost.state, lost.user, read_fields(lost.mine), read_fields(lost.theirs)) == (
        ConflictState.AUTOMATIC,
        bob.user,
        {1: "party"},
        {1: "clean up"},
    )
    noted = ConflictNoted(lost.conflict, board, int(Entity.ACTION), 1, ConflictState.AUTOMATIC, 0)
    assert (await scene.bodies(bob.inbox))[-1] == noted
    assert await scene.ok(bob, Reopen(lost.conflict)) == lost.conflict
    resolved = await outcome(scene, bob, Resolve(lost.conflict, Choice.MINE, 1, LATE))
    assert resolved == (Outcome.APPLIED, 2)
    assert await records(scene, ann, board) == {(Entity.ACTION, 1): (2, {1: "party"})}
    assert (KeptAs.OVERWRITTEN, ann.user, {1: "clean up"}) in await kept(scene, ann, board, Entity.ACTION, 1)


async def test_content_waits_for_a_person_who_may_claim_decide_and_reopen(scene: Scene) -> None:
    ann, bob, library = scene.ann, scene.bob, scene.here.library
    assert (await scene.ask(ann, SetRole(scene.here.space, bob.user, Role.MENTOR))).code is Code.OK
    assert await outcome(scene, ann, change(library, Entity.CONTENT, 1, {1: "Atoms", 2: "small"})) == (Outcome.APPLIED, 1)
    assert await outcome(scene, ann, change(library, Entity.CONTENT, 1, {2: "very small"}, base=1)) == (Outcome.APPLIED, 2)
    review, id = await outcome(scene, bob, change(library, Entity.CONTENT, 1, {2: "tiny"}, base=1))
    assert review is Outcome.REVIEW
    for person in (ann, bob):
        [waiting] = await conflicts(scene, person)
        sides = [read_fields(side) for side in (waiting.mine, waiting.theirs, waiting.common, waiting.present)]
        assert (waiting.conflict, waiting.state, waiting.version) == (id, ConflictState.PENDING, 2)
        assert sides == [{2: "tiny"}, {2: "very small"}, {1: "Atoms", 2: "small"}, {1: "Atoms", 2: "very small"}]
    assert await scene.ok(ann, Claim(id)) == id
    [claimed] = await conflicts(scene, bob)
    assert (claimed.state, claimed.by) == (ConflictState.CLAIMED, ann.user)
    merged = Resolve(id, Choice.MERGED, 2, LATE, write_fields({2: "very tiny"}))
    assert await outcome(scene, ann, merged) == (Outcome.APPLIED, 3)
    assert (await scene.ask(bob, Claim(id))).code is Code.CONFLICT
    [decided] = await conflicts(scene, bob, conflict=id, open_only=False)
    assert (decided.state, decided.by, decided.choice) == (ConflictState.RESOLVED, ann.user, Choice.MERGED)
    assert await scene.ok(bob, Reopen(id)) == id
    assert await outcome(scene, bob, Resolve(id, Choice.MINE, 3, LATEST)) == (Outcome.APPLIED, 4)
    assert await records(scene, ann, library) == {(Entity.CONTENT, 1): (4, {1: "Atoms", 2: "tiny"})}
    replaced = [fields for why, _, fields in await kept(scene, ann, library, Entity.CONTENT, 1) if why is KeptAs.EDITED]
    assert replaced == [{2: "very tiny"}, {2: "very small"}, {2: "small"}]


async def test_a_decision_over_something_that_was_written_meanwhile_writes_nothing(scene: Scene) -> None:
    ann, bob, library = scene.ann, scene.bob, scene.here.library
    await scene.ok(ann, SetRole(scene.here.space, bob.user, Role.MENTOR))
    await outcome(scene, ann, change(library, Entity.CONTENT, 1, {2: "one"}))
    _, id = await outcome(scene, bob, change(library, Entity.CONTENT, 1, {2: "two"}))
    await outcome(scene, ann, change(library, Entity.CONTENT, 1, {2: "three"}, base=1))
    assert await outcome(scene, bob, Resolve(id, Choice.MINE, 1, LATE)) == (Outcome.REVIEW, id)
    [waiting] = await conflicts(scene, bob)
    assert (read_fields(waiting.theirs), waiting.version) == ({2: "three"}, 2)
    assert await outcome(scene, bob, Resolve(id, Choice.THEIRS, 2, LATE)) == (Outcome.DUPLICATE, 2)
    assert await conflicts(scene, bob) == []


async def test_who_goes_on_writing_before_they_decided_has_one_conflict(scene: Scene) -> None:
    ann, bob, library = scene.ann, scene.bob, scene.here.library
    await scene.ok(ann, SetRole(scene.here.space, bob.user, Role.MENTOR))
    await outcome(scene, ann, change(library, Entity.CONTENT, 1, {1: "title", 2: "text"}))
    first = await outcome(scene, bob, change(library, Entity.CONTENT, 1, {2: "mine"}))
    second = await outcome(scene, bob, change(library, Entity.CONTENT, 1, {1: "my title", 2: "mine, longer"}))
    assert first == second
    [waiting] = await conflicts(scene, bob)
    assert read_fields(waiting.mine) == {1: "my title", 2: "mine, longer"}
    assert (KeptAs.LOST, bob.user, {2: "mine"}) in await kept(scene, bob, library, Entity.CONTENT, 1)


async def test_what_is_deleted_is_left_out_told_of_and_comes_back_when_written_again(scene: Scene) -> None:
    ann = scene.ann
    phone = await scene.attach(await scene.place.second_device(ann))
    await outcome(scene, ann, change(ann.own, Entity.BOOKMARK, 9, {3: "here"}, at=EARLY))
    assert await outcome(scene, ann, change(ann.own, Entity.BOOKMARK, 9, base=1, gone=True, at=LATE)) == (Outcome.APPLIED, 2)
    assert await records(scene, ann, ann.own) == {}
    last = scene.heard(ann.own)[-1]
    assert isinstance(last, Changed) and last.records[-1].gone
    assert (await outcome(scene, phone, change(ann.own, Entity.BOOKMARK, 9, {3: "there"}, base=1, at=EARLY)))[0] is Outcome.SUPERSEDED
    assert await records(scene, ann, ann.own) == {}
    back, version = await outcome(scene, phone, change(ann.own, Entity.BOOKMARK, 9, {3: "again"}, base=1, at=LATEST))
    assert back in (Outcome.APPLIED, Outcome.MERGED)
    assert await records(scene, ann, ann.own) == {(Entity.BOOKMARK, 9): (version, {3: "again"})}


async def test_leaving_takes_the_enrolment_along_and_what_comes_later_waits_for_staff(scene: Scene) -> None:
    ann, bob, here = scene.ann, scene.bob, scene.here
    mine = await scene.place.enrolment(here.space, bob.user)
    await outcome(scene, bob, change(mine.progress, Entity.PROGRESS, 7, {1: 40}))
    await scene.ok(ann, Remove(here.space, bob.user))
    late = [change(mine.progress, Entity.PROGRESS, 7, {1: 60}), change(here.board, Entity.ACTION, 1, {1: "mine"})]
    assert [(await scene.ask(bob, one)).code for one in late] == [Code.NOT_FOUND] * 2
    assert [item.quarantined for item in await unapplied(scene, bob)] == [True, True]
    waiting = await unapplied(scene, ann, here.space)
    assert [(item.user, item.code) for item in waiting] == [(bob.user, Code.NOT_FOUND)] * 2
    assert await scene.query(ListUnapplied(bob.user, here.space, 0, 10)) == Denied(Code.NOT_FOUND)
    # Nobody lends their rights to somebody else's change: it is applied when its writer may write again.
    assert (await scene.ask(ann, Release(waiting[0].item))).code is Code.NOT_FOUND
    assert await scene.query(ReadAfter(mine.progress, bob.user, 0, 10, 1000)) == Denied(Code.NOT_FOUND)
    await scene.ok(bob, Join(here.space))
    assert await outcome(scene, bob, Release(waiting[0].item)) == (Outcome.APPLIED, 2)
    assert await outcome(scene, ann, Release(waiting[1].item)) == (Outcome.APPLIED, 1)
    assert await unapplied(scene, ann, here.space) == []
    assert await records(scene, ann, here.board) == {(Entity.ACTION, 1): (1, {1: "mine"})}
    [row] = (await scene.read(here.board)).rows
    assert row.author == bob.user


async def test_a_refusal_of_a_member_is_no_quarantine(scene: Scene) -> None:
    bob, here = scene.bob, scene.here
    assert (await scene.ask(bob, change(here.library, Entity.CONTENT, 1, {1: "x"}))).code is Code.FORBIDDEN
    [item] = await unapplied(scene, scene.ann, here.space)
    assert (item.user, item.quarantined) == (bob.user, False)
    await scene.ok(scene.ann, SetRole(here.space, bob.user, Role.MENTOR))
    assert await outcome(scene, bob, Release(item.item)) == (Outcome.APPLIED, 1)


async def test_a_member_has_an_enrolment_and_everybody_their_own_in_the_overview(scene: Scene) -> None:
    bob, here = scene.bob, scene.here
    listed = await scene.query(ListSpaces(bob.user))
    assert isinstance(listed, SpaceList)
    mine = await scene.place.enrolment(here.space, bob.user)
    found = {space.kind: (space.space, space.name, [stream.stream for stream in space.streams]) for space in listed.spaces}
    assert found == {
        SpaceKind.PERSONAL: (bob.home, "", [bob.own]),
        SpaceKind.COMMUNITY: (here.space, "ann's", sorted([here.own, here.general, here.board, here.library])),
        SpaceKind.ENROLMENT: (mine.space, str(here.space), [mine.progress, mine.answers]),
    }
    may_write = {stream.stream for space in listed.spaces for stream in space.streams if stream.may_write}
    assert may_write == {bob.own, here.general, here.board, mine.progress, mine.answers}


async def test_who_comes_back_finds_what_was_theirs(scene: Scene) -> None:
    bob, here = scene.bob, scene.here
    mine = await scene.place.enrolment(here.space, bob.user)
    await outcome(scene, bob, change(mine.progress, Entity.PROGRESS, 7, {1: 40}))
    await scene.ok(bob, Leave(here.space))
    await scene.ok(bob, Join(here.space))
    assert await scene.place.enrolment(here.space, bob.user) == mine
    assert await records(scene, bob, mine.progress) == {(Entity.PROGRESS, 7): (1, {1: 40})}


async def test_pages_of_a_snapshot_make_up_the_whole_and_are_never_empty(scene: Scene) -> None:
    ann = scene.ann
    for key in range(1, 8):
        await scene.ok(ann, change(ann.own, Entity.BOOKMARK, key, {3: "x" * 20 * key}))
    await scene.ok(ann, change(ann.own, Entity.PROFILE, 1, {1: "first"}))
    whole = await scene.query(ReadRecords(ann.own, ann.user, 0, 0, 1 << 20))
    assert isinstance(whole, RecordsRead) and not whole.more and whole.head == 8
    for bytes_max in (1, 100, 300):
        found: list[RecordItem] = []
        more = True
        while more:
            entity, key = (found[-1].entity, found[-1].key) if found else (0, 0)
            page = await scene.query(ReadRecords(ann.own, ann.user, entity, key, bytes_max))
            assert isinstance(page, RecordsRead) and page.records
            found += page.records
            more = page.more
        assert tuple(found) == whole.records
    other = await scene.query(ReadRecords(scene.here.general, ann.user, 0, 0, 1000))
    assert isinstance(other, Denied) and other.code is Code.INVALID


async def test_a_device_says_what_it_keeps_and_only_its_owner_reads_it(scene: Scene) -> None:
    ann, here = scene.ann, scene.here
    assert await scene.query(ReadHolding(ann.user, ann.device)) == HoldingRead((), 0)
    assert await scene.ok(ann, Hold((Held(here.library, 2), Held(here.board, 1), Held(scene.bob.own)), 1_000_000)) == 2
    assert await scene.ok(ann, Hold((Held(here.library, 2), Held(here.general), Held(here.library, 3)), 2_000_000)) == 2
    assert await scene.query(ReadHolding(ann.user, ann.device)) == HoldingRead((Held(here.general), Held(here.library, 2)), 2_000_000)
    assert await scene.query(ReadHolding(scene.bob.user, ann.device)) == Denied(Code.NOT_FOUND)


async def test_a_borrowed_device_is_not_taken_over(scene: Scene) -> None:
    ann = scene.ann
    borrowed = await scene.query(Borrow(ann.session, ann.user, ann.device))
    assert isinstance(borrowed, Attached)
    assert (borrowed.generation, borrowed.previous_gateway) == (scene.generations[ann.device], 0)
    assert (await scene.ask(ann, change(ann.own, Entity.PROFILE, 1, {1: "still here"}))).code is Code.OK
    assert await scene.query(Borrow(ann.session, scene.bob.user, ann.device)) == Denied(Code.REVOKED)


async def test_an_inherited_device_says_what_became_of_its_numbers_and_nothing_any_more(scene: Scene) -> None:
    ann = scene.ann
    heir = await scene.attach(await scene.place.second_device(ann))
    done = scene.entry(ann, change(ann.own, Entity.PROFILE, 1, {1: "done"}))
    refused = scene.entry(ann, change(ann.own, Entity.PROFILE, 2, {1: "refused"}))
    await scene.place.decide(done, refused)
    lost = scene.entry(ann, change(ann.own, Entity.PROFILE, 1, {1: "never sent"}))
    asked = ((1, done.digest), (2, refused.digest), (2, done.digest), (3, lost.digest))
    told = await scene.query(InheritDevice(ann.user, heir.device, ann.device, asked))
    assert isinstance(told, InheritedOutcomes)
    assert [(one.number, one.code, one.value) for one in told.settled] == [
        (1, Code.OK, outcome_value(Outcome.APPLIED, 1)),
        (2, Code.INVALID, 0),
    ]
    assert told.generation == scene.generations[ann.device] + 1
    assert (await scene.place.decide(lost))[0].code is Code.TAKEN_OVER
    assert await scene.query(InheritDevice(scene.bob.user, scene.bob.device, ann.device, ())) == Denied(Code.NOT_FOUND)
    back = await scene.query(Attach(ann.session, ann.user, ann.device, 1))
    assert isinstance(back, Attached) and back.last_number == 2


async def test_what_is_older_than_the_horizon_is_forgotten_and_whoever_is_behind_is_told(scene: Scene) -> None:
    ann = scene.ann
    await scene.ok(ann, change(ann.own, Entity.BOOKMARK, 9, {3: "stays"}))
    await scene.ok(ann, change(ann.own, Entity.BOOKMARK, 8, {3: "goes"}))
    await scene.ok(ann, change(ann.own, Entity.BOOKMARK, 8, base=1, gone=True))
    await scene.place.pass_horizon([ann.own])
    await scene.ok(ann, change(ann.own, Entity.BOOKMARK, 7, {3: "new"}))
    behind = await scene.query(ReadAfter(ann.own, ann.user, 1, 10, 1000))
    assert isinstance(behind, Denied) and behind.code is Code.RESET
    page = await scene.query(ReadAfter(ann.own, ann.user, 3, 10, 1000))
    assert not isinstance(page, Denied)
    assert set(await records(scene, ann, ann.own)) == {(Entity.BOOKMARK, 7), (Entity.BOOKMARK, 9)}
    # Nobody remembers what it was any more, only how far versions went: what is new is newer than all that anybody knows.
    assert await outcome(scene, ann, change(ann.own, Entity.BOOKMARK, 8, {3: "again"}, base=1)) == (Outcome.APPLIED, 3)
