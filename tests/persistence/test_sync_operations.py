"""Conflicts, progress, holdings and what was not applied, against a real Postgres: each step by whom, what it writes, what it keeps."""

from __future__ import annotations

from persistence.bridge import Bridge
from persistence.outbox import Outbox
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.conflicts import TABLE
from protocol.entities import Entity, Fields, write_fields
from protocol.events import ConflictNoted
from protocol.merge import Outcome
from protocol.operations import AnyOperation, Claim, Discard, Held, Hold, Join, Leave, Operation, Release, Remove, Reopen, Resolve, SetBack
from protocol.values import Choice, ConflictState, KeptAs, Role, StreamKind
from tests.persistence.sync import T0, another_device, change, code, fields, kept, outcome, own_stream, record, set_role, stream_of, told
from tests.persistence.world import Person, World, world

TITLE, TEXT = 1, 2


async def library_conflict(w: World) -> tuple[Person, Person, Person, int, int, int]:
    """Ann (owner) wrote "hers" over "first"; Ben (mentor), who knew only "first", wrote "his": he waits for a decision."""
    ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
    space, _, _ = await w.community(ann, ben, cid)
    await set_role(w, space, ben, Role.MENTOR)
    library = await stream_of(w, space, StreamKind.LIBRARY)
    await w.ok(ann, change(library, Entity.CONTENT, 7, {TITLE: "t", TEXT: "first"}))
    await w.ok(ann, change(library, Entity.CONTENT, 7, {TEXT: "hers"}, base=1))
    verdict, conflict = await outcome(w, ben, change(library, Entity.CONTENT, 7, {TEXT: "his"}, base=1))
    assert verdict is Outcome.REVIEW
    return ann, ben, cid, space, library, conflict


async def state(w: World, conflict: int) -> ConflictState:
    return ConflictState(await w.value("select state from sync_conflicts where id = $1", conflict))  # type: ignore[arg-type]


async def notes(w: World, person: Person) -> list[ConflictNoted]:
    await Outbox(w.bridge, w.herald).drain()
    rows = await w.rows("select body from log where stream_id = $1 and kind = 25 order by seq", person.inbox)
    bodies = [decode_body(row["body"]) for row in rows]
    return [body for body in bodies if isinstance(body, ConflictNoted)]


def resolve(conflict: int, choice: Choice, version: int, merged: Fields | None = None) -> Resolve:
    return Resolve(conflict, choice, version, T0 + 100, write_fields(merged or {}))


async def test_a_conflict_goes_through_its_whole_life_by_its_writer_and_by_staff(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, _, _, library, conflict = await library_conflict(w)
        noted = ConflictNoted(conflict, library, Entity.CONTENT, 7, ConflictState.PENDING)
        assert await notes(w, ben) == [noted]
        assert await w.ok(ben, Claim(conflict)) == conflict
        assert await state(w, conflict) is ConflictState.CLAIMED
        await w.ok(ann, Claim(conflict))
        assert (await notes(w, ben))[1:] == [ConflictNoted(conflict, library, Entity.CONTENT, 7, ConflictState.CLAIMED, ann.user)]
        await w.ok(ann, Claim(conflict, False))
        assert await state(w, conflict) is ConflictState.PENDING
        assert await outcome(w, ann, resolve(conflict, Choice.MINE, 2)) == (Outcome.APPLIED, 3)
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "t", TEXT: "his"}
        assert (await notes(w, ben))[-1] == ConflictNoted(conflict, library, Entity.CONTENT, 7, ConflictState.RESOLVED, ann.user)
        assert await w.ok(ben, Reopen(conflict)) == conflict
        assert await outcome(w, ben, resolve(conflict, Choice.THEIRS, 3)) == (Outcome.APPLIED, 4)
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "t", TEXT: "hers"}
        await w.ok(ann, Reopen(conflict))
        assert await outcome(w, ann, resolve(conflict, Choice.MERGED, 4, {TEXT: "both"})) == (Outcome.APPLIED, 5)
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "t", TEXT: "both"}
        texts = [values[TEXT] for why, values in await kept(w, library, 7) if why == KeptAs.EDITED]
        assert texts == ["first", "hers", "his", "hers"], "of content every earlier value is kept"
        assert [author for author, _ in await told(w, library)] == [ann.user, ann.user, ann.user, ben.user, ann.user]
        assert await notes(w, ann) == [], "nobody hears of what they did, nor of what is not theirs"


async def test_whoever_has_no_say_learns_nothing_of_a_conflict(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid, space, _, conflict = await library_conflict(w)
        eve = await w.person("eve")
        for person in (cid, eve):  # a learner, who reads content and does not write it; a stranger
            for operation in (Claim(conflict), resolve(conflict, Choice.MINE, 2), Reopen(conflict)):
                assert await code(w, person, operation) is Code.NOT_FOUND
        for operation in (Claim(10**6), resolve(10**6, Choice.MINE, 2), Reopen(10**6)):
            assert await code(w, ann, operation) is Code.NOT_FOUND
        await w.ok(ann, Remove(space, ben.user))
        for operation in (Claim(conflict), resolve(conflict, Choice.MINE, 2)):
            assert await code(w, ben, operation) is Code.NOT_FOUND
        assert await state(w, conflict) is ConflictState.PENDING


async def test_who_may_no_longer_write_decides_nothing_but_loses_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, _, space, library, conflict = await library_conflict(w)
        await set_role(w, space, ben, Role.LEARNER)
        assert await w.ok(ben, Claim(conflict)) == conflict
        assert await code(w, ben, resolve(conflict, Choice.MINE, 2)) is Code.FORBIDDEN
        assert await outcome(w, ann, resolve(conflict, Choice.MINE, 2)) == (Outcome.APPLIED, 3)
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "t", TEXT: "his"}


async def test_a_step_that_the_table_does_not_have_changes_nothing_and_says_what_is_legal(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, _, _, _, library, conflict = await library_conflict(w)
        steps: dict[type[Operation], AnyOperation] = {
            Claim: Claim(conflict),
            Resolve: resolve(conflict, Choice.THEIRS, 2),
            Reopen: Reopen(conflict),
        }
        for at, row in TABLE.items():
            for kind, operation in steps.items():
                await w.rows("update sync_conflicts set state = $2 where id = $1", conflict, at)
                decided = await w.ask(ann, operation)
                if kind in row:
                    assert decided.code is Code.OK, (at, kind)
                    assert await state(w, conflict) is row[kind]
                else:
                    assert decided.code is Code.CONFLICT and "legal here" in decided.detail
                    assert await state(w, conflict) is at
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "t", TEXT: "hers"}


async def test_a_decision_that_meets_a_newer_value_writes_nothing_and_shows_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, _, _, library, conflict = await library_conflict(w)
        await w.ok(ann, change(library, Entity.CONTENT, 7, {TEXT: "newer"}, base=2))
        for choice in Choice:
            assert await outcome(w, ben, resolve(conflict, choice, 2, {TEXT: "both"})) == (Outcome.REVIEW, conflict)
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "t", TEXT: "newer"}
        assert await state(w, conflict) is ConflictState.PENDING
        lost = [values for why, values in await kept(w, library, 7) if why == KeptAs.LOST]
        assert lost == [{TEXT: "both"}], "what was made of both sides is kept beside the record"
        # What the conflict is not about may change meanwhile.
        await w.ok(ann, change(library, Entity.CONTENT, 7, {TITLE: "other"}, base=3))
        assert await outcome(w, ben, resolve(conflict, Choice.MINE, 3)) == (Outcome.APPLIED, 5)
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "other", TEXT: "his"}
        await w.ok(ben, Reopen(conflict))
        assert await outcome(w, ben, resolve(conflict, Choice.THEIRS, 5)) == (Outcome.APPLIED, 6)
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "other", TEXT: "newer"}, "just what was replaced"


async def test_theirs_is_what_the_person_sees_there_not_what_stood_there_when_the_conflict_was_found(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, _, _, library, conflict = await library_conflict(w)
        await w.ok(ann, change(library, Entity.CONTENT, 7, {TEXT: "hers, and on"}, base=2))
        assert await outcome(w, ben, resolve(conflict, Choice.THEIRS, 3)) == (Outcome.DUPLICATE, 3)
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "t", TEXT: "hers, and on"}
        for choice, expected in ((Choice.MINE, "his"), (Choice.THEIRS, "hers, and on")):
            await w.ok(ben, Reopen(conflict))
            version = await w.column("select version from records where entity = 8")
            assert (await outcome(w, ben, resolve(conflict, choice, version[0])))[0] is Outcome.APPLIED
            assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "t", TEXT: expected}


async def test_undoing_a_rules_decision_brings_back_exactly_what_lost(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        tablet = await another_device(w, ann)
        own = await own_stream(w, ann, StreamKind.OWN)
        start: Fields = {2: "en", 4: 60, 5: 120}
        await w.ok(ann, change(own, Entity.PREFERENCES, 1, start, at=T0))
        await w.ok(ann, change(own, Entity.PREFERENCES, 1, {2: "fr", 4: 61}, base=1, at=T0 + 9))
        # The tablet knew version 1 and wrote between the two: it loses both fields; the phone's stay.
        verdict, _ = await outcome(w, tablet, change(own, Entity.PREFERENCES, 1, {2: "de", 4: 62}, base=1, at=T0 + 5))
        assert verdict is Outcome.SUPERSEDED
        won: Fields = {2: "fr", 4: 61, 5: 120}
        assert await fields(w, own, Entity.PREFERENCES, 1) == won
        [conflict] = await w.column("select id from sync_conflicts")
        assert await state(w, conflict) is ConflictState.AUTOMATIC
        version = 2
        for choice, expected in ((Choice.MINE, {2: "de", 4: 62, 5: 120}), (Choice.THEIRS, won)) * 2:
            await w.ok(ann, Reopen(conflict))
            version += 1
            assert await outcome(w, ann, resolve(conflict, choice, version - 1)) == (Outcome.APPLIED, version)
            assert await fields(w, own, Entity.PREFERENCES, 1) == expected


async def test_undoing_a_deletion_and_its_undoing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, _, space, library, _ = await library_conflict(w)
        board = await stream_of(w, space, StreamKind.BOARD)
        whole: Fields = {1: "plant a tree", 2: "in spring"}
        await w.ok(ann, change(board, Entity.ACTION, 5, whole))
        await w.ok(ann, change(board, Entity.ACTION, 5, {2: "in autumn"}, base=1))
        # Ben deletes what he knew; by the rule of actions what was there first stays.
        assert (await outcome(w, ben, change(board, Entity.ACTION, 5, base=1)))[0] is Outcome.SUPERSEDED
        [conflict] = await w.column("select id from sync_conflicts where stream_id = $1", board)
        stands = {1: "plant a tree", 2: "in autumn"}
        for n in range(2):
            await w.ok(ben, Reopen(conflict))
            assert await outcome(w, ben, resolve(conflict, Choice.MINE, 2 + 2 * n)) == (Outcome.APPLIED, 3 + 2 * n)
            assert await fields(w, board, Entity.ACTION, 5) is None
            await w.ok(ann, Reopen(conflict))
            assert await outcome(w, ann, resolve(conflict, Choice.THEIRS, 3 + 2 * n)) == (Outcome.APPLIED, 4 + 2 * n)
            assert await fields(w, board, Entity.ACTION, 5) == stands
        # The other way round: Ann deletes, Ben changes what he knew.
        await w.ok(ann, change(library, Entity.CONTENT, 8, {TITLE: "t", TEXT: "first"}))
        await w.ok(ann, change(library, Entity.CONTENT, 8, base=1))
        verdict, conflict = await outcome(w, ben, change(library, Entity.CONTENT, 8, {TEXT: "his"}, base=1))
        assert verdict is Outcome.REVIEW
        await w.ok(ben, resolve(conflict, Choice.MINE, 2))
        assert await fields(w, library, Entity.CONTENT, 8) == {TITLE: "t", TEXT: "his"}
        await w.ok(ben, Reopen(conflict))
        await w.ok(ben, resolve(conflict, Choice.THEIRS, 3))
        assert await fields(w, library, Entity.CONTENT, 8) is None
        await w.ok(ben, Reopen(conflict))
        await w.ok(ben, resolve(conflict, Choice.MINE, 4))
        assert (await fields(w, library, Entity.CONTENT, 8) or {})[TEXT] == "his"


async def test_a_decided_conflict_is_not_opened_beside_a_newer_one(bridge: Bridge) -> None:
    async with world(bridge) as w:
        _, ben, _, _, library, conflict = await library_conflict(w)
        await w.ok(ben, resolve(conflict, Choice.THEIRS, 2))
        verdict, newer = await outcome(w, ben, change(library, Entity.CONTENT, 7, {TEXT: "again"}, base=1))
        assert (verdict, newer != conflict) == (Outcome.REVIEW, True)
        decided = await w.ask(ben, Reopen(conflict))
        assert decided.code is Code.CONFLICT and f"{newer}" in decided.detail
        await w.ok(ben, resolve(newer, Choice.THEIRS, 2))
        await w.ok(ben, Reopen(conflict))


async def test_a_merged_decision_is_checked_like_any_change(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, _, _, _, _, conflict = await library_conflict(w)
        bad: tuple[Fields, ...] = ({}, {TEXT: 5}, {99: "x"}, {TEXT: "x" * 4001})
        for merged in bad:
            assert await code(w, ann, resolve(conflict, Choice.MERGED, 2, merged)) is Code.INVALID
        assert await state(w, conflict) is ConflictState.PENDING


async def test_progress_is_set_back_by_staff_and_old_reports_change_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid, eve = [await w.person(name) for name in ("ann", "ben", "cid", "eve")]
        space, _, _ = await w.community(ann, ben, cid)
        await set_role(w, space, ben, Role.MENTOR)
        progress = await own_stream(w, cid, StreamKind.PROGRESS, space)
        await w.ok(cid, change(progress, Entity.PROGRESS, 3, {1: 80}))
        assert await code(w, cid, SetBack(space, cid.user, 3, 10)) is Code.FORBIDDEN
        assert await code(w, eve, SetBack(space, cid.user, 3, 10)) is Code.NOT_FOUND
        assert await code(w, ann, SetBack(space, eve.user, 3, 10)) is Code.NOT_FOUND
        assert await code(w, ann, SetBack(10**6, cid.user, 3, 10)) is Code.NOT_FOUND
        assert await code(w, ann, SetBack(space, cid.user, 3, 90)) is Code.INVALID
        assert await outcome(w, ben, SetBack(space, cid.user, 3, 10)) == (Outcome.APPLIED, 2)
        assert await fields(w, progress, Entity.PROGRESS, 3) == {1: 10, 2: 1}
        assert await kept(w, progress, 3) == [(KeptAs.SET_BACK, {1: 80})]
        assert [author for author, _ in await told(w, progress)] == [cid.user, ben.user]
        # A device that was away reports the whole lesson, of the count that is over.
        assert (await outcome(w, cid, change(progress, Entity.PROGRESS, 3, {1: 100}, base=1)))[0] is Outcome.SUPERSEDED
        assert await fields(w, progress, Entity.PROGRESS, 3) == {1: 10, 2: 1}
        assert await outcome(w, cid, change(progress, Entity.PROGRESS, 3, {1: 20, 2: 1}, base=2)) == (Outcome.APPLIED, 3)
        deeds = await w.rows("select actor, subject, space_id, detail::text from audit_log where action = 'progress_set_back'")
        assert [tuple(deed)[:3] for deed in deeds] == [(ben.user, cid.user, space)]
        await w.ok(cid, Leave(space))
        assert await code(w, ben, SetBack(space, cid.user, 3, 0)) is Code.NOT_FOUND


async def test_a_device_says_what_it_keeps_and_what_it_may_not_read_is_passed_over(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, own, channel = await w.community(ann)
        assert await w.ok(ann, Hold((Held(channel, 2), Held(own, 1), Held(channel, 5), Held(ben.inbox), Held(10**6)), 5_000)) == 2
        held = "select stream_id, rank from offline_content_cache where device_id = $1 order by rank"
        assert [tuple(row) for row in await w.rows(held, ann.device)] == [(own, 1), (channel, 2)]
        assert await w.ok(ann, Hold((Held(own, 7),), 0)) == 1
        assert [tuple(row) for row in await w.rows(held, ann.device)] == [(own, 7)]
        assert await w.value("select quota_bytes from device_sync_state where device_id = $1", ann.device) == 0
        assert await w.ok(ben, Hold((Held(own, 7),))) == 0, "a stranger"


async def quarantine(w: World) -> tuple[Person, Person, Person, int, int, int]:
    """Cid wrote an answer while he was a member; it came when he was none any more."""
    ann, cid, dan = [await w.person(name) for name in ("ann", "cid", "dan")]
    space, _, _ = await w.community(ann, cid, dan)
    answers = await own_stream(w, cid, StreamKind.ANSWERS, space)
    await w.ok(ann, Remove(space, cid.user))
    assert await code(w, cid, change(answers, Entity.ANSWER, 4, {3: "late"})) is Code.NOT_FOUND
    [item] = await w.column("select id from sync_queue where space_id = $1 and quarantined", space)
    return ann, cid, dan, space, answers, item


async def test_what_came_after_its_writer_had_left_is_applied_once_they_are_back(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, cid, dan, space, answers, item = await quarantine(w)
        eve = await w.person("eve")
        for person in (dan, eve):
            assert await code(w, person, Release(item)) is Code.NOT_FOUND
            assert await code(w, person, Discard(item)) is Code.NOT_FOUND
        for person in (ann, cid):
            assert await code(w, person, Release(item)) is Code.NOT_FOUND, "its writer is still no member"
        assert await record(w, answers, Entity.ANSWER, 4) is None
        await w.ok(cid, Join(space))
        assert await outcome(w, ann, Release(item)) == (Outcome.APPLIED, 1)
        found = await record(w, answers, Entity.ANSWER, 4)
        assert found is not None and found.fields == {3: "late"}
        assert (found.cells[3].stamp.at, found.cells[3].stamp.device) == (T0, cid.device), "as if it had come in time"
        assert [author for author, _ in await told(w, answers)] == [cid.user]
        assert await kept(w, answers, 4) == [(KeptAs.ATTEMPT, {3: "late"})]
        for operation in (Release(item), Discard(item)):
            assert await code(w, ann, operation) is Code.NOT_FOUND, "once"
        assert await w.column("select subject from audit_log where action = 'change_released'") == [cid.user]


async def test_what_is_discarded_is_listed_no_longer_and_still_there(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, _, _, _, answers, item = await quarantine(w)
        assert await w.ok(ann, Discard(item)) == item
        assert await code(w, ann, Release(item)) is Code.NOT_FOUND
        assert await w.value("select closed_at is not null from sync_queue where id = $1", item) is True
        assert await record(w, answers, Entity.ANSWER, 4) is None


async def test_a_release_that_is_refused_again_leaves_the_item_open(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        own = await own_stream(w, ann, StreamKind.OWN)
        assert await code(w, ann, change(own, Entity.BOOKMARK, 4, {3: "x" * 501})) is Code.INVALID
        [item] = await w.column("select id from sync_queue")
        assert await code(w, ann, Release(item)) is Code.INVALID
        assert await w.value("select closed_at is null from sync_queue") is True
        await w.rows("update sync_queue set operation = 'nonsense'::bytea")
        assert await code(w, ann, Release(item)) is Code.INVALID


async def test_a_released_change_that_meets_another_becomes_a_conflict_of_its_writers(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, _, space, library, conflict = await library_conflict(w)
        await w.ok(ann, Remove(space, ben.user))
        assert await code(w, ben, change(library, Entity.CONTENT, 7, {TITLE: "late"}, base=1)) is Code.NOT_FOUND
        await w.ok(ann, change(library, Entity.CONTENT, 7, {TITLE: "hers too"}, base=2))
        await w.ok(ben, Join(space))
        await set_role(w, space, ben, Role.MENTOR)
        [item] = await w.column("select id from sync_queue")
        assert await outcome(w, ann, Release(item)) == (Outcome.REVIEW, conflict), "the open one grows"
        await w.ok(ben, resolve(conflict, Choice.MINE, 3))
        assert await fields(w, library, Entity.CONTENT, 7) == {TITLE: "late", TEXT: "his"}
