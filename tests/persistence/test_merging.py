"""Changes through the journal, on a real Postgres: every outcome of every rule, and where what lost is kept."""

from __future__ import annotations

from msgspec.structs import replace

from actors.storage import Decided
from actors.told import BODY_BYTES_GOAL, ITEMS_MAX
from persistence.bridge import Bridge
from protocol import codec
from protocol.codes import Code
from protocol.entities import Entity, Fields, read_fields, write_fields
from protocol.events import Changed, ConflictNoted, RecordItem
from protocol.merge import GONE, Outcome, read_outcome
from protocol.operations import Rename, Say
from protocol.values import ConflictState, KeptAs, Role, StreamKind
from tests.persistence.records import (
    NOW,
    another_device,
    ask_all,
    change,
    enrolled,
    fields_of,
    gone,
    kept,
    of_space,
    outcome,
    own,
    record,
)
from tests.persistence.world import Person, world

EARLIER, LATER = NOW - 1000, NOW - 500


async def test_a_first_change_is_applied_told_and_remembered(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        asked = change(stream, Entity.PROFILE, 1, {1: "I teach"})
        decided = await w.ask(ann, asked)
        assert decided == Decided(1, Code.OK, 1 * 8 + Outcome.APPLIED, generation=1)
        assert await fields_of(w, stream, Entity.PROFILE, 1) == {1: "I teach"}
        [fact] = w.herald.facts
        assert fact.body == codec.encode(Changed((RecordItem(Entity.PROFILE, 1, 1, write_fields({1: "I teach"})),)))
        assert (fact.stream, fact.seq, fact.author) == (stream, 1, ann.user)
        assert await w.value("select body from log where stream_id = $1", stream) == fact.body
        assert await w.ask(ann, asked, number=1) == replace(decided, replayed=True)
        assert len(w.herald.facts) == 1
        [state] = await w.rows("select user_id, pushed, refused from device_sync_state where device_id = $1", ann.device)
        assert tuple(state) == (ann.user, 1, 0)


async def test_progress_only_advances(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        phone, stream = await another_device(w, ann), await enrolled(w, space, ann, StreamKind.PROGRESS)

        async def at(device: Person, percent: int) -> Outcome:
            return outcome(await w.ask(device, change(stream, Entity.PROGRESS, 7, {1: percent})))

        assert await at(ann, 40) is Outcome.APPLIED
        assert await at(phone, 60) is Outcome.MERGED
        assert await at(ann, 50) is Outcome.SUPERSEDED
        assert await at(ann, 60) is Outcome.DUPLICATE
        assert await fields_of(w, stream, Entity.PROGRESS, 7) == {1: 60}
        assert await w.value("select head from streams where id = $1", stream) == 2
        forged = await w.ask(ann, change(stream, Entity.PROGRESS, 7, {1: 100, 2: 5}))
        assert forged.code is Code.INVALID and "generation" in forged.detail


async def test_of_two_who_did_not_know_of_each_other_the_later_one_wins_and_both_values_stay_reachable(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        phone, stream = await another_device(w, ann), await own(w, ann)
        await w.ok(ann, change(stream, Entity.PROFILE, 1, {1: "first", 4: "UTC"}, at=EARLIER))
        assert outcome(await w.ask(phone, change(stream, Entity.PROFILE, 1, {1: "second"}, at=LATER))) is Outcome.MERGED
        late = await w.ask(ann, change(stream, Entity.PROFILE, 1, {1: "before that"}, at=EARLIER + 1))
        assert outcome(late) is Outcome.SUPERSEDED
        assert await fields_of(w, stream, Entity.PROFILE, 1) == {1: "second", 4: "UTC"}
        assert await kept(w, stream, Entity.PROFILE, 1) == [
            (KeptAs.OVERWRITTEN, 1, ann.user, {1: "first"}),
            (KeptAs.LOST, 0, ann.user, {1: "before that"}),
        ]
        rows = await w.rows("select state, mine, theirs, version from sync_conflicts order by id")
        assert [(ConflictState(r["state"]), read_fields(r["mine"]), read_fields(r["theirs"]), r["version"]) for r in rows] == [
            (ConflictState.AUTOMATIC, {}, {1: "first"}, 1),
            (ConflictState.AUTOMATIC, {1: "before that"}, {}, 2),
        ]
        assert await w.value("select count(*) from outbox where kind = 25") == 0, "what is one's own alone is listed, not announced"


async def test_a_base_that_is_known_writes_whatever_the_clocks_say(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        phone, stream = await another_device(w, ann), await own(w, ann)
        await w.ok(ann, change(stream, Entity.PROFILE, 1, {1: "first"}, at=LATER))
        assert outcome(await w.ask(phone, change(stream, Entity.PROFILE, 1, {1: "second"}, at=EARLIER, base=1))) is Outcome.APPLIED
        assert await fields_of(w, stream, Entity.PROFILE, 1) == {1: "second"}
        assert await kept(w, stream, Entity.PROFILE, 1) == []


async def test_every_attempt_at_a_question_is_kept(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        phone, stream = await another_device(w, ann), await enrolled(w, space, ann, StreamKind.ANSWERS)
        assert outcome(await w.ask(ann, change(stream, Entity.ANSWER, 5, {1: 3}, at=LATER))) is Outcome.APPLIED
        assert outcome(await w.ask(phone, change(stream, Entity.ANSWER, 5, {2: (1,)}, at=EARLIER))) is Outcome.SUPERSEDED
        assert outcome(await w.ask(ann, change(stream, Entity.ANSWER, 5, {2: (3,)}, at=EARLIER))) is Outcome.DUPLICATE
        assert await fields_of(w, stream, Entity.ANSWER, 5) == {2: (3,)}, "what an old client sent is of the present schema"
        assert await kept(w, stream, Entity.ANSWER, 5) == [
            (KeptAs.ATTEMPT, 1, ann.user, {2: (3,)}),
            (KeptAs.ATTEMPT, 0, ann.user, {2: (1,)}),
            (KeptAs.ATTEMPT, 1, ann.user, {2: (3,)}),
        ]


async def test_a_communitys_actions_keep_what_was_there_first_and_the_loser_hears_of_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        stream = await of_space(w, space, StreamKind.BOARD)
        await w.ok(ann, change(stream, Entity.ACTION, 9, {1: "a well", 4: False}))
        filled = w.outbox_fillings
        lost = await w.ask(bob, change(stream, Entity.ACTION, 9, {1: "a school", 2: "with books"}))
        assert outcome(lost) is Outcome.SUPERSEDED
        assert await fields_of(w, stream, Entity.ACTION, 9) == {1: "a well", 4: False}
        assert await kept(w, stream, Entity.ACTION, 9) == [(KeptAs.LOST, 0, bob.user, {1: "a school", 2: "with books"})]
        [conflict] = await w.rows("select * from sync_conflicts")
        assert (conflict["user_id"], ConflictState(conflict["state"]), conflict["space_id"]) == (bob.user, ConflictState.AUTOMATIC, space)
        assert read_fields(conflict["theirs"]) == {1: "a well"}
        [note] = await w.rows("select user_id, payload from outbox where kind = 25")
        assert tuple(note) == (
            bob.user,
            codec.encode(ConflictNoted(conflict["id"], stream, Entity.ACTION, 9, ConflictState.AUTOMATIC)),
        )
        assert w.outbox_fillings == filled + 1


async def test_content_waits_for_a_person_and_says_what_both_began_from(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        await w.rows("update members set role = $1 where space_id = $2 and user_id = $3", Role.MENTOR, space, bob.user)
        stream = await of_space(w, space, StreamKind.LIBRARY)
        await w.ok(ann, change(stream, Entity.CONTENT, 4, {1: "Water", 2: "is wet"}))
        await w.ok(ann, change(stream, Entity.CONTENT, 4, {2: "is very wet"}, base=1))
        review = await w.ask(bob, change(stream, Entity.CONTENT, 4, {2: "is H2O"}, base=1))
        assert outcome(review) is Outcome.REVIEW
        [row] = await w.rows("select * from sync_conflicts")
        assert read_outcome(review.value)[1] == row["id"]
        assert (ConflictState(row["state"]), row["base"], row["version"]) == (ConflictState.PENDING, 1, 2)
        assert (read_fields(row["mine"]), read_fields(row["theirs"])) == ({2: "is H2O"}, {2: "is very wet"})
        assert read_fields(row["common"]) == {1: "Water", 2: "is wet"}
        assert await fields_of(w, stream, Entity.CONTENT, 4) == {1: "Water", 2: "is very wet"}
        assert await kept(w, stream, Entity.CONTENT, 4) == [(KeptAs.EDITED, 1, ann.user, {2: "is wet"})]
        # Whoever goes on writing has one conflict, of all that they wrote.
        more = await w.ask(bob, change(stream, Entity.CONTENT, 4, {1: "H2O", 2: "is a molecule"}, base=1))
        assert more.value == review.value
        [row] = await w.rows("select * from sync_conflicts")
        assert read_fields(row["mine"]) == {1: "H2O", 2: "is a molecule"}
        assert (KeptAs.LOST, 0, bob.user, {2: "is H2O"}) in await kept(w, stream, Entity.CONTENT, 4)
        assert await w.value("select count(*) from outbox where kind = 25") == 1


async def test_what_is_deleted_moves_to_the_tombstones_and_back(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        phone, stream = await another_device(w, ann), await own(w, ann)
        await w.ok(ann, change(stream, Entity.BOOKMARK, 3, {1: 5, 2: 6}, at=EARLIER))
        assert outcome(await w.ask(ann, gone(stream, Entity.BOOKMARK, 3, base=1, at=EARLIER + 1))) is Outcome.APPLIED
        assert await record(w, stream, Entity.BOOKMARK, 3) is None
        buried = await record(w, stream, Entity.BOOKMARK, 3, "tombstones")
        assert buried is not None and buried.is_gone and buried.version == 2
        assert await w.value("select deleted_by from tombstones") == ann.user
        assert codec.decode_body(w.herald.facts[-1].body) == Changed((RecordItem(Entity.BOOKMARK, 3, 2, write_fields({}), True),))
        assert outcome(await w.ask(phone, gone(stream, Entity.BOOKMARK, 3, at=EARLIER))) is Outcome.DUPLICATE
        # Deleted once more, later: the tombstone says so.
        assert outcome(await w.ask(phone, gone(stream, Entity.BOOKMARK, 3, at=LATER))) is Outcome.APPLIED
        assert await w.column("select version from tombstones") == [3]
        assert outcome(await w.ask(phone, change(stream, Entity.BOOKMARK, 3, {3: "again"}, at=LATER))) is Outcome.MERGED
        risen = await record(w, stream, Entity.BOOKMARK, 3)
        assert risen is not None and risen.cells[GONE].value is False and risen.fields[3] == "again"
        assert await w.rows("select from tombstones") == []


async def test_entries_of_one_batch_see_each_other_and_readers_are_told_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        stream = await enrolled(w, space, ann, StreamKind.PROGRESS)
        changes = [change(stream, Entity.PROGRESS, n % 50 + 1, {1: n // 50 + 1}) for n in range(200)]
        merges = w.journal.stats.merges
        decided = await ask_all(w.journal, [ann.entry(one) for one in changes])
        assert [one.value for one in decided] == [(n // 50 + 1) * 8 for n in range(200)]
        told = [fact for fact in w.herald.facts if fact.stream == stream]
        assert w.journal.stats.merges - merges < 5 and len(told) < 10
        state: dict[int, tuple[int, object]] = {}
        for fact in told:
            body = codec.decode_body(fact.body)
            assert isinstance(body, Changed) and len(body.records) <= ITEMS_MAX and len(fact.body) <= BODY_BYTES_GOAL + 100
            for item in body.records:
                assert item.version > state.get(item.key, (0, None))[0]
                state[item.key] = (item.version, read_fields(item.fields))
        assert state == {key: (4, {1: 4}) for key in range(1, 51)}


async def test_two_authors_in_one_batch_are_told_in_the_order_of_the_records_versions(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        stream = await of_space(w, space, StreamKind.BOARD)
        turns: list[tuple[Person, Fields, int]] = [
            (ann, {1: "t"}, 0),
            (bob, {2: "d"}, 1),
            (ann, {4: True}, 2),
            (bob, {5: 3}, 3),
            (ann, {1: "T"}, 4),
        ]
        decided = await ask_all(w.journal, [who.entry(change(stream, Entity.ACTION, 1, fields, base=base)) for who, fields, base in turns])
        assert {outcome(one) for one in decided} == {Outcome.APPLIED}
        bodies = [codec.decode_body(fact.body) for fact in w.herald.facts if fact.stream == stream]
        versions = [item.version for body in bodies if isinstance(body, Changed) for item in body.records]
        assert versions == [1, 2, 3, 4, 5]


async def test_a_devices_order_holds_over_all_three_ways(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        stream = await own(w, ann)
        entries = []
        for n in range(30):
            entries.append(ann.entry(change(stream, Entity.PROFILE, 1, {1: f"{n}"})))
            if n % 3 == 0:
                entries.append(ann.entry(Rename(f"ann {n}")))
            if n % 2:
                entries.append(ann.entry(Say(channel, f"{n}")))
        decided = await ask_all(w.journal, entries)
        assert {one.code for one in decided} == {Code.OK}, "a number that came too early would be a gap"
        assert await fields_of(w, stream, Entity.PROFILE, 1) == {1: "29"}


async def test_housekeeping_alone_is_neither_a_conflict_nor_kept(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        phone, stream = await another_device(w, ann), await own(w, ann)
        await w.ok(ann, change(stream, Entity.PREFERENCES, 1, {7: 4}, at=LATER))
        assert outcome(await w.ask(phone, change(stream, Entity.PREFERENCES, 1, {7: 3}, at=EARLIER))) is Outcome.DUPLICATE
        assert await fields_of(w, stream, Entity.PREFERENCES, 1) == {7: 4}
        assert await kept(w, stream, Entity.PREFERENCES, 1) == []
        assert await w.rows("select from sync_conflicts") == []


async def test_a_clock_ten_years_ahead_gains_nothing_over_uploading_now(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        phone, stream = await another_device(w, ann), await own(w, ann)
        await w.ok(ann, change(stream, Entity.PROFILE, 1, {1: "from the future"}, at=NOW + 315_360_000))
        found = await record(w, stream, Entity.PROFILE, 1)
        assert found is not None and NOW - 5 <= found.cells[1].stamp.at <= NOW + 600
        # By skew measured and subtracted it is what it was.
        entry = replace(phone.entry(change(stream, Entity.PROFILE, 1, {4: "UTC"}, at=NOW + 315_360_000)), skew_s=-315_360_100)
        await ask_all(w.journal, [entry])
        found = await record(w, stream, Entity.PROFILE, 1)
        assert found is not None and found.cells[4].stamp.at == NOW - 100
