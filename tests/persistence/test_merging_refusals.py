"""Changes that are refused: each with its code, kept, and the others of its batch applied."""

from __future__ import annotations

import pytest
from msgspec import Raw
from msgspec.structs import replace

from actors.merging import PAYLOAD_BYTES_MAX
from actors.storage import Decided, Entry, Refusal
from persistence.bridge import Bridge
from protocol import codec
from protocol.codes import Code
from protocol.entities import Entity, Fields, write_fields
from protocol.operations import Change, Join, Leave, OpenConversation, Release, Remove, Say
from protocol.values import Role, StreamKind
from tests.persistence.records import NOW, ask_all, change, enrolled, fields_of, gone, of_space, own
from tests.persistence.world import Mailbox, World, ask, digest_of, world


async def open_items(w: World, user: int) -> list[tuple[int, int, Code, bool, bytes]]:
    """Unapplied changes: the space, the number, the code, whether their writer had left, and the bytes."""
    rows = await w.rows(
        "select space_id, number, code, quarantined, operation from sync_queue where user_id = $1 and closed_at is null order by id", user
    )
    return [(row["space_id"], row["number"], Code(row["code"]), row["quarantined"], row["operation"]) for row in rows]


async def test_what_is_wrong_is_refused_with_its_code_and_the_others_of_the_chunk_are_applied(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        space, main, channel = await w.community(ann, eve)
        mine, hers = await own(w, ann), await own(w, eve)
        progress, library = await enrolled(w, space, ann, StreamKind.PROGRESS), await of_space(w, space, StreamKind.LIBRARY)
        wrong = [
            (change(hers, Entity.PROFILE, 1, {1: "a foreign stream"}), Code.NOT_FOUND),
            (change(2**52, Entity.PROFILE, 1, {1: "no stream"}), Code.NOT_FOUND),
            (change(mine, 99, 1, {1: "an unknown entity"}), Code.UNKNOWN),
            (change(mine, Entity.PROFILE, 1, {77: "an unknown field"}), Code.INVALID),
            (change(mine, Entity.PROFILE, 1, {1: "x" * 501}), Code.INVALID),
            (change(mine, Entity.PROFILE, 2, {1: "a second profile"}), Code.INVALID),
            (change(mine, Entity.PROFILE, 1, {1: "\0"}), Code.INVALID),
            (change(mine, Entity.PROFILE, 1, {}), Code.INVALID),
            (Change(mine, Entity.PROFILE, 1, NOW, gone=True), Code.INVALID),
            (Change(mine, Entity.PROFILE, 1, NOW, Raw(b"\x93\x01\x02\x03")), Code.INVALID),
            (change(progress, Entity.PROFILE, 1, {1: "in another kind of stream"}), Code.INVALID),
            (change(channel, Entity.ACTION, 1, {1: "in no stream of records"}), Code.INVALID),
            (change(main, Entity.ACTION, 1, {1: "in no stream of records"}), Code.INVALID),
            (change(progress, Entity.PROGRESS, 1, {1: 101}), Code.INVALID),
        ]
        entries = []
        for n, (one, _) in enumerate(wrong):
            entries += [ann.entry(one), ann.entry(change(mine, Entity.BOOKMARK, n + 1, {3: f"{n}"}))]
        entries.append(eve.entry(change(library, Entity.CONTENT, 1, {1: "a learner's"})))
        decided = await ask_all(w.journal, entries)
        assert [one.code for one in decided[:-1:2]] == [code for _, code in wrong]
        assert {one.code for one in decided[1::2]} == {Code.OK}
        assert decided[-1].code is Code.FORBIDDEN
        kept = await open_items(w, ann.user)
        assert [codec.decode_operation(item[4]) for item in kept] == [one for one, _ in wrong], "as they were sent"
        assert [item[1:3] for item in kept] == [(one.number, one.code) for one in decided[:-1:2]]
        assert {one.detail for one in decided[:4:2]} == {""}, "whoever is no member learns nothing"
        [state] = await w.rows("select pushed, refused from device_sync_state where device_id = $1", ann.device)
        assert tuple(state) == (2 * len(wrong), len(wrong))


async def test_a_stream_of_records_takes_no_messages(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        for stream in (await own(w, ann), await of_space(w, space, StreamKind.BOARD), await enrolled(w, space, ann, StreamKind.ANSWERS)):
            assert (await w.ask(ann, Say(stream, "hello"))).code is Code.FORBIDDEN


async def test_numbers_are_judged_as_for_everything_else(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        stream = await own(w, ann)
        entries = [ann.entry(change(stream, Entity.PROFILE, 1, {1: f"{n}"})) for n in range(300)]
        decided = await ask_all(w.journal, entries)
        assert {one.code for one in decided} == {Code.OK}
        again = await ask_all(w.journal, [entries[-1], entries[100], entries[43]])
        assert again[0] == replace(decided[-1], replayed=True)
        assert again[1] == replace(decided[100], replayed=True)
        assert again[2].code is Code.TOO_OLD
        assert (await w.ask(ann, change(stream, Entity.PROFILE, 1, {1: "other"}), number=299)).code is Code.NUMBER_REUSED
        gap = change(stream, Entity.PROFILE, 1, {1: "too early"})
        assert (await w.ask(ann, gap, number=302)).code is Code.GAP
        stolen = Entry(eve.user, ann.device, ann.generation, 301, digest_of(gap), gap)
        assert (await ask(w.journal, stolen)).code is Code.TAKEN_OVER
        assert (await ask(w.journal, replace(ann.entry(gap, 301), generation=9))).code is Code.TAKEN_OVER
        assert await fields_of(w, stream, Entity.PROFILE, 1) == {1: "299"}
        assert await open_items(w, ann.user) == await open_items(w, eve.user) == [], "only what consumes its number is kept"
        mixed = await ask_all(w.journal, [entries[-1], ann.entry(gap, 301), ann.entry(gap, 303)])
        assert [(one.code, one.replayed) for one in mixed] == [(Code.OK, True), (Code.OK, False), (Code.GAP, False)]


async def test_what_could_not_be_read_is_kept_and_cuts_no_batch(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        unread = Refusal(Code.INVALID, "change 1 of the chunk: \0", b"\x91\xc0")
        merges, batches = w.journal.stats.merges, w.journal.stats.batches
        first, refused, last = await ask_all(
            w.journal,
            [ann.entry(one) for one in (change(stream, Entity.PROFILE, 1, {1: "a"}), unread, change(stream, Entity.PROFILE, 1, {1: "b"}))],
        )
        assert (first.code, refused.code, last.code) == (Code.OK, Code.INVALID, Code.OK)
        assert (w.journal.stats.merges - merges, w.journal.stats.batches - batches) == (1, 0)
        personal = await w.value("select personal_space from accounts where id = $1", ann.user)
        assert await open_items(w, ann.user) == [(personal, 2, Code.INVALID, False, unread.payload)]


async def test_what_comes_after_its_writer_left_is_refused_and_set_apart_for_the_community(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        space, _, _ = await w.community(ann, bob)
        progress, board = await enrolled(w, space, bob, StreamKind.PROGRESS), await of_space(w, space, StreamKind.BOARD)
        await w.ok(bob, change(progress, Entity.PROGRESS, 1, {1: 10}))
        versions = await w.column("select audience_version from streams where id = any($1) order by id", [progress, board])
        await w.ok(ann, Remove(space, bob.user))
        raised = await w.column("select audience_version from streams where id = any($1) order by id", [progress, board])
        assert raised == [version + 1 for version in versions]
        late = [change(progress, Entity.PROGRESS, 1, {1: 90}), change(board, Entity.ACTION, 1, {1: "mine"})]
        assert [(await w.ask(bob, one)).code for one in late] == [Code.NOT_FOUND] * 2
        assert [item[:4] for item in await open_items(w, bob.user)] == [(space, n, Code.NOT_FOUND, True) for n in (3, 4)]
        # Whoever never was there, or sends what is another member's, is set apart nowhere.
        assert [(await w.ask(eve, one)).code for one in late] == [Code.NOT_FOUND] * 2
        personal = await w.value("select personal_space from accounts where id = $1", eve.user)
        assert [item[:4] for item in await open_items(w, eve.user)] == [(personal, n, Code.NOT_FOUND, False) for n in (1, 2)]
        assert (await w.ask(ann, late[0])).code is Code.NOT_FOUND
        assert [item[3] for item in await open_items(w, ann.user)] == [False]
        # Who comes back finds what was theirs.
        await w.ok(bob, Join(space))
        assert (await w.ask(bob, late[0])).code is Code.OK


async def test_ones_own_part_of_a_community_is_left_with_it_and_not_by_itself(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        [enrolment] = await w.column("select id from spaces where pair_key = $1", f"enrolment:{space}:{bob.user}")
        assert (await w.ask(bob, Leave(enrolment))).code is Code.FORBIDDEN
        assert (await w.ask(ann, Join(enrolment))).code is Code.NOT_FOUND
        conversation = await w.ok(ann, OpenConversation((bob.user,)))
        assert (await w.ask(ann, change(conversation, Entity.ACTION, 1, {1: "x"}))).code is Code.INVALID
        await w.ok(bob, Leave(space))
        assert await w.column("select user_id from members where space_id = $1", enrolment) == []


@pytest.mark.parametrize("role", Role)
async def test_who_writes_what_is_as_the_table_says(bridge: Bridge, role: Role) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        await w.rows("update members set role = $1 where space_id = $2 and user_id = $3", role, space, bob.user)
        board, library = await of_space(w, space, StreamKind.BOARD), await of_space(w, space, StreamKind.LIBRARY)
        assert (await w.ask(bob, change(board, Entity.ACTION, 1, {1: "all do"}))).code is Code.OK
        content = await w.ask(bob, change(library, Entity.CONTENT, 1, {1: "those who teach"}))
        assert content.code is (Code.FORBIDDEN if role is Role.LEARNER else Code.OK)
        await w.rows("update streams set read_roles = 1 where id = $1", board)
        hidden = await w.ask(bob, change(board, Entity.ACTION, 2, {1: "unseen"}))
        assert hidden.code is (Code.OK if role is Role.OWNER else Code.FORBIDDEN)


async def test_unapplied_changes_of_a_person_are_bounded_and_those_set_apart_stay(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        await w.rows(
            "insert into sync_queue (space_id, user_id, device_id, number, code, operation, quarantined)"
            " select 1, $1, 1, n, 1, '', n <= 10 from generate_series(1, 1010) n",
            ann.user,
        )
        assert (await w.ask(ann, change(await own(w, ann), 99, 1, {1: "x"}))).code is Code.UNKNOWN
        closed = "select number from sync_queue where user_id = $1 and closed_at is not null order by id"
        assert await w.column(closed, ann.user) == [11]
        await w.rows("select bound_queue($1, 990, 8)", ann.user)
        assert await w.column(closed, ann.user) == [1, 2, *range(11, 22)]


async def test_unapplied_changes_of_a_person_are_bounded_in_bytes_too(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        long: Fields = {n: "x" * 7_000 for n in range(20, 24)}
        assert {(await w.ask(ann, change(stream, Entity.DRAFT, 1, long))).code for _ in range(5)} == {Code.INVALID}
        await w.rows("select bound_queue($1, 1000, 1000, 3 * 28100, 0)", ann.user)
        queue = "select number from sync_queue where user_id = $1 and closed_at is null order by id"
        assert await w.column(queue, ann.user) == [3, 4, 5]
        await w.rows("select bound_queue($1, 1000, 1000, 1, 1)", ann.user)
        assert await w.column(queue, ann.user) == [5], "the newest is kept, whatever it is"
        await w.rows("update sync_queue set quarantined = true, closed_at = null")
        await w.rows("select bound_queue($1, 1000, 1000, 1, 2 * 28100)", ann.user)
        assert await w.column(queue, ann.user) == [4, 5]


async def test_what_is_longer_than_anything_that_could_be_applied_is_refused_and_not_kept(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        over: Fields = {n: "x" * 7_000 for n in range(20, 25)}
        assert (await w.ask(ann, change(stream, Entity.DRAFT, 1, over))).code is Code.INVALID
        assert (await w.ask(ann, Refusal(Code.INVALID, "unreadable", b"x" * PAYLOAD_BYTES_MAX))).code is Code.INVALID
        assert (await w.ask(ann, Refusal(Code.INVALID, "unreadable", b"x" * (PAYLOAD_BYTES_MAX + 1)))).code is Code.INVALID
        assert await w.column("select number from sync_queue where user_id = $1", ann.user) == [2]
        assert await w.value("select last_number from devices where id = $1", ann.device) == 3


async def test_a_stream_takes_so_many_records_of_an_entity_and_refuses_more(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        await w.ok(ann, change(stream, Entity.BOOKMARK, 1, {3: "x"}))
        await w.ok(ann, change(stream, Entity.BOOKMARK, 2, {3: "x"}))
        await w.ok(ann, gone(stream, Entity.BOOKMARK, 2, base=1))
        for table, deleted, first, last in (("records", "", 11, 10_005), ("tombstones", ", 1", 10_006, 10_006)):
            await w.rows(
                f"insert into {table} (stream_id, entity, key, version, cells{', deleted_by' if deleted else ''})"
                f" select t.stream_id, t.entity, n, t.version, t.cells{deleted} from {table} t, generate_series({first}, {last}) n"
            )
        # 9,996 records and two tombstones: there is room for two.
        entries = [ann.entry(change(stream, Entity.BOOKMARK, key, {3: "y"})) for key in (3, 4, 5, 3, 1)]
        entries += [ann.entry(change(stream, Entity.DRAFT, 5, {3: "y"})), ann.entry(change(stream, Entity.BOOKMARK, 2, {3: "y"}, base=2))]
        codes = [one.code for one in await ask_all(w.journal, entries)]
        assert codes == [Code.OK, Code.OK, Code.LIMIT, Code.OK, Code.OK, Code.OK, Code.OK], (
            "what is there may be written, and other entities made"
        )
        [item] = await w.column("select id from sync_queue where code = $1", Code.LIMIT)
        assert (await w.ask(ann, Release(item))).code is Code.LIMIT
        await w.rows("delete from tombstones")
        await w.rows("delete from records where key = 11")
        assert (await w.ask(ann, Release(item))).code is Code.OK


async def test_the_bytes_of_changes_count_against_the_journals_bound(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        big = Change(1, 1, 1, NOW, write_fields({n: "x" * 4000 for n in range(10)}))
        before = w.journal.stats.queued_bytes
        reply: Mailbox[Decided] = Mailbox()
        assert w.journal.submit(ann.entry(big), reply)
        assert w.journal.stats.queued_bytes - before > 40_000
        await reply.wait(1)
        assert w.journal.stats.queued_bytes == before
