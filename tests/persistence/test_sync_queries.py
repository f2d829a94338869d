"""What the store answers about records: to whom, in which pages, and what a snapshot with the events after it adds up to."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio

from actors.storage import (
    Attach,
    Attached,
    Borrow,
    ConflictList,
    Denied,
    Events,
    HoldingRead,
    InheritDevice,
    InheritedOutcomes,
    ListConflicts,
    ListSpaces,
    ListUnapplied,
    Query,
    ReadAfter,
    ReadBefore,
    ReadHolding,
    ReadRecords,
    ReadVersions,
    RecordsRead,
    SpaceList,
    UnappliedList,
    VersionList,
)
from persistence.bridge import Bridge
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.entities import Entity, Fields, read_fields
from protocol.events import Changed
from protocol.frames import Settlement
from protocol.operations import Held, Hold, Join, Remove, Resolve, Say
from protocol.values import Choice, ConflictState, KeptAs, Role, SpaceKind, StreamKind
from tests.persistence.sync import T0, Asking, another_device, change, code, encoded, fold, outcome, own_stream, set_role, stream_of
from tests.persistence.world import Person, World, digest_of, world


@pytest.fixture
async def ask(bridge: Bridge, nursery: trio.Nursery) -> Asking:
    asking = Asking(bridge)
    await nursery.start(asking.store.serve)
    return asking


async def judged(ask: Asking, query: Query) -> Code:
    result = await ask(query)
    return result.code if isinstance(result, Denied) else Code.OK


async def test_who_may_read_which_records(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, ben, cid, eve = [await w.person(name) for name in ("ann", "ben", "cid", "eve")]
        space, _, channel = await w.community(ann, ben, cid)
        enrolled = {person.user: await own_stream(w, person, StreamKind.ANSWERS, space) for person in (ann, ben, cid)}
        await w.ok(ann, Remove(space, cid.user))
        library = await stream_of(w, space, StreamKind.LIBRARY)
        own = await own_stream(w, ben, StreamKind.OWN)
        for stream, readers in (
            (library, {ann, ben}),
            (own, {ben}),
            (enrolled[ben.user], {ben}),
            (enrolled[cid.user], set[Person]()),
            (10**6, set[Person]()),
        ):
            for person in (ann, ben, cid, eve):
                for query in (ReadRecords(stream, person.user, 0, 0, 999), ReadVersions(stream, person.user, Entity.ANSWER, 1, 0, 9)):
                    assert await judged(ask, query) is (Code.OK if person in readers else Code.NOT_FOUND), (stream, person.name)
        await w.rows("update streams set read_roles = 1 where id = $1", library)
        assert await judged(ask, ReadRecords(library, ben.user, 0, 0, 999)) is Code.FORBIDDEN
        assert await judged(ask, ReadVersions(library, ben.user, Entity.CONTENT, 1, 0, 9)) is Code.FORBIDDEN
        assert await judged(ask, ReadRecords(channel, ben.user, 0, 0, 999)) is Code.INVALID, "a channel holds messages"


async def test_pages_of_records_ascend_keep_their_bound_and_are_never_empty(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        own = await own_stream(w, ann, StreamKind.OWN)
        await w.ok(ann, change(own, Entity.PROFILE, 1, {1: "x" * 400}))
        for key in (9, 3, 7, 5):
            await w.ok(ann, change(own, Entity.BOOKMARK, key, {3: f"{key}" * 100}))
        await w.ok(ann, change(own, Entity.BOOKMARK, 7, base=1))
        await w.ok(ann, change(own, Entity.DRAFT, 2, {3: "d" * 100}))
        whole = [(Entity.PROFILE, 1), (Entity.BOOKMARK, 3), (Entity.BOOKMARK, 5), (Entity.BOOKMARK, 9), (Entity.DRAFT, 2)]
        for bytes_max, sizes in ((1, [1] * 5), (230, [1, 2, 2]), (340, [1, 3, 1]), (640, [3, 2]), (10_000, [5])):
            found: list[tuple[int, int]] = []
            pages: list[int] = []
            more, entity, key = True, 0, 0
            while more:
                page = await ask(ReadRecords(own, ann.user, entity, key, bytes_max))
                assert isinstance(page, RecordsRead) and page.head == 7
                assert len(page.records) == 1 or sum(len(encoded_item) for encoded_item in map(item_bytes, page.records)) <= bytes_max
                pages.append(len(page.records))
                found += [(item.entity, item.key) for item in page.records]
                entity, key = found[-1]
                more = page.more
            assert (found, pages) == (whole, sizes), bytes_max
        assert await ask(ReadRecords(own, ann.user, *whole[-1], 999)) == RecordsRead(7, (), False)


def item_bytes(item: object) -> bytes:
    return encoded(item)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
async def test_a_snapshot_and_the_events_after_its_first_head_are_the_state(bridge: Bridge, ask: Asking, seed: int) -> None:
    """However its pages and others' writes fall, and whatever is deleted and comes back meanwhile."""
    dice = random.Random(seed)
    async with world(bridge) as w:
        ann = await w.person("ann")
        tablet = await another_device(w, ann)
        own = await own_stream(w, ann, StreamKind.OWN)

        async def write() -> None:
            for _ in range(dice.randrange(6)):
                fields: Fields | None = None
                if dice.random() < 0.75:
                    fields = {dice.choice((1, 2)): dice.randrange(9), 3: "x" * dice.randrange(40)}
                known = await w.column("select version from records where stream_id = $1 and key = 1", own)
                base = dice.choice((0, *known))
                at = T0 + dice.randrange(100)
                await w.ok(dice.choice((ann, tablet)), change(own, Entity.BOOKMARK, dice.randrange(1, 15), fields, base=base, at=at))

        for _ in range(5):
            await write()
        held: dict[tuple[int, int], tuple[int, Fields]] = {}
        head, more, entity, key = -1, True, 0, 0
        while more:
            page = await ask(ReadRecords(own, ann.user, entity, key, dice.choice((1, 60, 150))))
            assert isinstance(page, RecordsRead)
            head = page.head if head < 0 else head
            fold(page.records, held)
            if page.records:
                entity, key = page.records[-1].entity, page.records[-1].key
            more = page.more
            await write()
        after = await ask(ReadAfter(own, ann.user, head, 1000, 1 << 20))
        assert isinstance(after, Events) and not after.more
        for row in after.rows:
            body = decode_body(row.body)
            assert isinstance(body, Changed)
            fold(body.records, held)
        fresh: dict[tuple[int, int], tuple[int, Fields]] = {}
        whole = await ask(ReadRecords(own, ann.user, 0, 0, 1 << 20))
        assert isinstance(whole, RecordsRead)
        fold(whole.records, fresh)
        assert {place: value for place, value in held.items() if value[1]} == fresh
        assert fresh, "something is there to be compared"


async def conflicted(w: World) -> tuple[list[Person], int, int, int]:
    """Ben (mentor) has a conflict with Ann (owner) about content. Cid is a learner, Eve a stranger."""
    people = [await w.person(name) for name in ("ann", "ben", "cid", "eve")]
    ann, ben, cid, _ = people
    space, _, _ = await w.community(ann, ben, cid)
    await set_role(w, space, ben, Role.MENTOR)
    library = await stream_of(w, space, StreamKind.LIBRARY)
    await w.ok(ann, change(library, Entity.CONTENT, 7, {1: "t", 2: "first"}))
    await w.ok(ann, change(library, Entity.CONTENT, 7, {2: "hers"}, base=1))
    _, conflict = await outcome(w, ben, change(library, Entity.CONTENT, 7, {2: "his"}, base=1))
    return people, space, library, conflict


async def test_conflicts_are_listed_for_their_writer_and_for_who_has_a_say(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        (ann, ben, cid, eve), space, library, conflict = await conflicted(w)
        own = await own_stream(w, cid, StreamKind.OWN)
        tablet = await another_device(w, cid)
        await w.ok(cid, change(own, Entity.BOOKMARK, 1, {3: "a"}, at=T0))
        await w.ok(tablet, change(own, Entity.BOOKMARK, 1, {3: "b"}, at=T0 + 1))

        async def listed(person: Person, after: int = 0, open_only: bool = False, only: int = 0) -> list[int]:
            found = await ask(ListConflicts(person.user, after, open_only, only, 9))
            assert isinstance(found, ConflictList) and not found.more
            return [one.conflict for one in found.conflicts]

        [private] = await w.column("select id from sync_conflicts where stream_id = $1", own)
        everybody = (ann, ben, cid, eve)
        assert [await listed(person) for person in everybody] == [[conflict], [conflict], [private], []]
        assert [await listed(person, open_only=True) for person in everybody] == [[conflict], [conflict], [], []]
        assert [await listed(person, only=conflict) for person in everybody] == [[conflict], [conflict], [], []]
        assert [await listed(person, only=private) for person in everybody] == [[], [], [private], []]
        assert await listed(ann, after=conflict) == []
        await w.ok(ann, Remove(space, ben.user))
        assert await listed(ben) == await listed(ben, only=conflict) == [], "what stands beside it is no longer theirs to see"
        await w.ok(ben, Join(space))
        assert await listed(ben) == [conflict], "a learner now, but it is theirs"
        assert library


async def test_a_conflict_shows_both_sides_what_they_began_from_and_what_stands_now(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        (ann, ben, _, _), _, library, conflict = await conflicted(w)
        await w.ok(ann, change(library, Entity.CONTENT, 7, {1: "new title"}, base=2))
        found = await ask(ListConflicts(ben.user, 0, True, 0, 9))
        assert isinstance(found, ConflictList)
        [one] = found.conflicts
        sides = [read_fields(side) for side in (one.mine, one.theirs, one.common, one.present)]
        assert sides == [{2: "his"}, {2: "hers"}, {1: "t", 2: "first"}, {1: "new title", 2: "hers"}]
        assert (one.stream, one.entity, one.key, one.user, one.version) == (library, Entity.CONTENT, 7, ben.user, 3)
        assert (one.state, one.gone, one.by, one.choice) == (ConflictState.PENDING, False, 0, 0)
        await w.ok(ann, change(library, Entity.CONTENT, 7, base=3))
        await w.ok(ann, Resolve(conflict, Choice.THEIRS, 4, T0))
        found = await ask(ListConflicts(ben.user, 0, False, 0, 9))
        assert isinstance(found, ConflictList)
        [one] = found.conflicts
        assert (one.state, one.by, one.choice) == (ConflictState.RESOLVED, ann.user, Choice.THEIRS)
        assert isinstance(await ask(ListConflicts(ben.user, 0, True, 0, 9)), ConflictList)


async def test_conflicts_come_in_pages_without_gaps_or_repetitions(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        board = await stream_of(w, space, StreamKind.BOARD)
        for key in range(1, 8):
            first, second = (ann, ben) if key % 2 else (ben, ann)
            await w.ok(first, change(board, Entity.ACTION, key, {1: "a"}))
            await w.ok(second, change(board, Entity.ACTION, key, {1: "b"}))
        whole = await w.column("select id from sync_conflicts order by id")
        assert len(whole) == 7
        for person in (ann, ben):
            found: list[int] = []
            more = True
            while more:
                page = await ask(ListConflicts(person.user, found[-1] if found else 0, False, 0, 2))
                assert isinstance(page, ConflictList) and page.conflicts
                found += [one.conflict for one in page.conflicts]
                more = page.more
            assert found == whole


async def test_pages_of_long_values_keep_to_a_size_that_every_socket_takes(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        await set_role(w, space, ben, Role.MENTOR)
        library = await stream_of(w, space, StreamKind.LIBRARY)
        long = "\N{GRINNING FACE}" * 3_998
        for key in range(1, 6):
            await w.ok(ann, change(library, Entity.CONTENT, key, {2: f"{key}0{long}"}))
            await w.ok(ann, change(library, Entity.CONTENT, key, {2: f"{key}1{long}"}, base=1))
            await w.ok(ben, change(library, Entity.CONTENT, key, {2: f"{key}2{long}"}, base=1))
            await code(w, ben, change(space, Entity.CONTENT, key, {2: f"{key}3{long}"}))
        for n in range(8):
            await w.ok(ann, change(library, Entity.CONTENT, 1, {2: f"{n}4{long}"}, base=2 + n))

        async def pages(query: Callable[[int], Query], of: Callable[[Any], tuple[Any, ...]], place: Callable[[Any], int]) -> list[int]:
            places: list[int] = []
            more = True
            while more:
                page = await ask(query(places[-1] if places else 0))
                assert isinstance(page, ConflictList | UnappliedList | VersionList)
                found = of(page)
                assert found and (len(found) == 1 or len(msgspec.msgpack.encode(found)) < 64 * 1024)
                places += map(place, found)
                more = page.more
            return places

        listed = await pages(lambda after: ListConflicts(ann.user, after, True, 0, 100), lambda p: p.conflicts, lambda one: one.conflict)
        assert listed == await w.column("select id from sync_conflicts order by id")
        unapplied = await pages(lambda after: ListUnapplied(ben.user, 0, after, 100), lambda p: p.items, lambda one: one.item)
        assert unapplied == await w.column("select id from sync_queue order by id")
        versions = await pages(
            lambda before: ReadVersions(library, ann.user, Entity.CONTENT, 1, before, 100), lambda p: p.versions, lambda one: one.place
        )
        assert versions == await w.column("select place from entity_versions where key = 1 order by place desc")
        assert (len(listed), len(unapplied), len(versions)) == (5, 5, 9)


async def test_what_is_unapplied_is_listed_for_its_writer_and_for_staff(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, ben, cid, eve = [await w.person(name) for name in ("ann", "ben", "cid", "eve")]
        space, _, _ = await w.community(ann, ben, cid)
        answers = await own_stream(w, cid, StreamKind.ANSWERS, space)
        own = await own_stream(w, cid, StreamKind.OWN)
        late = change(answers, Entity.ANSWER, 4, {3: "late"})
        await w.ok(ann, Remove(space, cid.user))
        await w.ask(cid, late)
        await w.ask(cid, change(own, Entity.BOOKMARK, 1, {99: 1}))

        async def listed(person: Person, of: int = 0, after: int = 0) -> list[tuple[int, Code, bool]]:
            found = await ask(ListUnapplied(person.user, of, after, 9))
            assert isinstance(found, UnappliedList) and not found.more
            return [(item.user, item.code, item.quarantined) for item in found.items]

        quarantined, wrong = (cid.user, Code.NOT_FOUND, True), (cid.user, Code.INVALID, False)
        assert await listed(cid) == [quarantined, wrong]
        assert await listed(ann) == []
        assert await listed(ann, space) == [quarantined]
        assert [await judged(ask, ListUnapplied(person.user, space, 0, 9)) for person in (ben, cid, eve)] == [
            Code.FORBIDDEN,
            Code.NOT_FOUND,
            Code.NOT_FOUND,
        ]
        page = await ask(ListUnapplied(cid.user, 0, 0, 1))
        assert isinstance(page, UnappliedList) and page.more
        assert (page.items[0].operation, page.items[0].space) == (encoded(late), space)
        assert await listed(cid, after=page.items[0].item) == [wrong]


async def test_kept_values_come_newest_first_with_who_wrote_them(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        (ann, ben, cid, _), _, library, _ = await conflicted(w)
        await w.ok(ben, change(library, Entity.CONTENT, 7, {2: "third"}, base=2))
        page = await ask(ReadVersions(library, cid.user, Entity.CONTENT, 7, 0, 9))
        assert isinstance(page, VersionList) and not page.more
        edited = [(one.author, one.version, read_fields(one.fields)) for one in page.versions if one.kept is KeptAs.EDITED]
        assert edited == [(ann.user, 2, {2: "hers"}), (ann.user, 1, {2: "first"})]
        first = await ask(ReadVersions(library, cid.user, Entity.CONTENT, 7, 0, 1))
        assert isinstance(first, VersionList) and first.more and first.versions == page.versions[:1]
        rest = await ask(ReadVersions(library, cid.user, Entity.CONTENT, 7, first.versions[0].place, 9))
        assert isinstance(rest, VersionList) and rest.versions == page.versions[1:]


async def test_what_an_older_schema_stored_is_read_as_the_present_one_has_it(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        answers = await own_stream(w, ann, StreamKind.ANSWERS, space)
        await w.ok(ann, change(answers, Entity.ANSWER, 1, {2: (3,)}))
        await w.rows("update entity_versions set fields = '\\x810103'::bytea")  # {1: 3}, as schema 1 wrote it
        page = await ask(ReadVersions(answers, ann.user, Entity.ANSWER, 1, 0, 9))
        assert isinstance(page, VersionList)
        assert [read_fields(one.fields) for one in page.versions] == [{2: (3,)}]


async def session(w: World, person: Person, expires: str = "1 day") -> int:
    [id] = await w.column(
        f"insert into sessions (user_id, device_id, expires_at) values ($1, $2, now() + interval '{expires}') returning id",
        person.user,
        person.device,
    )
    return id


async def test_borrowing_asks_what_attaching_asks_and_takes_nothing_over(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, ben, cid, dan = [await w.person(name) for name in ("ann", "ben", "cid", "dan")]
        good, revoked, expired, disabled = [
            await session(w, person, expires) for person, expires in ((ann, "1 day"), (ben, "1 day"), (cid, "-1 second"), (dan, "1 day"))
        ]
        await w.rows("update sessions set revoked_at = now() where id = $1", revoked)
        await w.rows("update accounts set disabled_at = now() where id = $1", dan.user)
        tablet = await another_device(w, ann)
        cases = [
            (good, ann, ann, Code.OK),
            (good, ann, ben, Code.FORBIDDEN),
            (good, ann, tablet, Code.FORBIDDEN),
            (good, ben, ben, Code.REVOKED),
            (10**6, ann, ann, Code.REVOKED),
            (revoked, ben, ben, Code.REVOKED),
            (disabled, dan, dan, Code.REVOKED),
            (expired, cid, cid, Code.TOKEN_EXPIRED),
        ]
        for id, user, device, expected in cases:
            assert await judged(ask, Borrow(id, user.user, device.device)) is expected
            attaching = await judged(ask, Attach(id, user.user, device.device, 5))
            assert attaching is expected, "the same answers"
        borrowed = await ask(Borrow(good, ann.user, ann.device))
        again = await ask(Borrow(good, ann.user, ann.device))
        attached = await ask(Attach(good, ann.user, ann.device, 6))
        assert isinstance(borrowed, Attached) and isinstance(attached, Attached)
        assert borrowed == again
        assert (borrowed.generation, borrowed.previous_gateway) == (attached.generation - 1, 0)
        for name in ("last_number", "inbox", "epoch", "session_expires", "display_name"):
            assert getattr(borrowed, name) == getattr(attached, name)


async def test_a_device_that_is_inherited_from_commits_nothing_more_and_tells_what_it_did(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        tablet = await another_device(w, ann)
        first, second = Say(channel, "one"), Say(10**6, "nowhere")
        seq = await w.ok(ann, first)
        at = ann.number
        assert (await w.ask(ann, second)).code is Code.NOT_FOUND
        sent = ((at, digest_of(first)), (at + 1, digest_of(second)), (at + 2, 5), (at, 999))
        for user, device, inherited, expected in (
            (ann.user, tablet.device, ben.device, Code.NOT_FOUND),
            (ann.user, tablet.device, 10**6, Code.NOT_FOUND),
            (ann.user, ben.device, ann.device, Code.NOT_FOUND),
            (ann.user, ann.device, ann.device, Code.INVALID),
        ):
            assert await judged(ask, InheritDevice(user, device, inherited, sent)) is expected
        assert (await w.ask(ann, Say(channel, "two"))).code is Code.OK, "nothing was fenced by it"
        assert (await w.ask(ben, Say(channel, "mine"))).code is Code.OK
        inherited_now = await ask(InheritDevice(ann.user, tablet.device, ann.device, sent))
        assert inherited_now == InheritedOutcomes(2, (Settlement(at, Code.OK, seq), Settlement(at + 1, Code.NOT_FOUND, 0)))
        assert (await w.ask(ann, Say(channel, "three"))).code is Code.TAKEN_OVER
        assert (await w.ask(tablet, Say(channel, "three"))).code is Code.OK
        again = await ask(InheritDevice(ann.user, tablet.device, ann.device, sent[:1]))
        assert again == InheritedOutcomes(3, (Settlement(at, Code.OK, seq),))


async def test_of_what_was_decided_long_ago_only_that_is_known(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        tablet = await another_device(w, ann)
        says = [Say(channel, f"{n}") for n in range(260)]
        numbers = []
        for say in says:
            await w.ok(ann, say)
            numbers.append(ann.number)
        sent = tuple((number, digest_of(say)) for number, say in zip(numbers, says, strict=True))
        found = await ask(InheritDevice(ann.user, tablet.device, ann.device, sent[:6]))
        assert isinstance(found, InheritedOutcomes)
        assert [one.code for one in found.settled] == [Code.TOO_OLD] * 4 + [Code.OK] * 2


async def test_what_a_device_keeps_is_read_by_its_owner(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, own, channel = await w.community(ann)
        assert await ask(ReadHolding(ann.user, ann.device)) == HoldingRead((), 0)
        await w.ok(ann, Hold((Held(channel, 2), Held(own, 1)), 5_000))
        assert await ask(ReadHolding(ann.user, ann.device)) == HoldingRead((Held(own, 1), Held(channel, 2)), 5_000)
        for user, device in ((ben.user, ann.device), (ann.user, 10**6)):
            assert await ask(ReadHolding(user, device)) == Denied(Code.NOT_FOUND)


async def test_a_position_before_the_floor_is_reset_and_one_at_it_is_not(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        own = await own_stream(w, ann, StreamKind.OWN)
        for n in range(1, 7):
            await w.ok(ann, change(own, Entity.BOOKMARK, n, {3: "x"}))
        await w.rows("delete from log where stream_id = $1 and seq <= 4", own)
        await w.rows("update streams set floor = 4 where id = $1", own)
        assert [await judged(ask, ReadAfter(own, ann.user, after, 9, 999)) for after in (0, 3, 4, 6)] == [
            Code.RESET,
            Code.RESET,
            Code.OK,
            Code.OK,
        ]
        assert await judged(ask, ReadAfter(own, eve.user, 0, 9, 999)) is Code.NOT_FOUND
        gateway = await ask(ReadAfter(own, 0, 0, 9, 999))
        assert isinstance(gateway, Events) and [row.seq for row in gateway.rows] == [5, 6]
        back = await ask(ReadBefore(own, ann.user, 7, 9, 999))
        assert isinstance(back, Events) and [row.seq for row in back.rows] == [5, 6]
        assert not back.more, "nothing before the floor is kept"


async def test_the_overview_lists_the_personal_space_and_enrolments(bridge: Bridge, ask: Asking) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)

        async def spaces(person: Person) -> list[tuple[SpaceKind, str, list[tuple[StreamKind, bool]]]]:
            found = await ask(ListSpaces(person.user))
            assert isinstance(found, SpaceList)
            listed = []
            for one in found.spaces:
                records = [(stream.kind, stream.may_write) for stream in one.streams if stream.kind >= StreamKind.OWN]
                listed.append((one.kind, one.name, records))
            return sorted(listed, key=lambda one: one[0])

        personal = (SpaceKind.PERSONAL, "", [(StreamKind.OWN, True)])
        enrolment = (SpaceKind.ENROLMENT, f"{space}", [(StreamKind.PROGRESS, True), (StreamKind.ANSWERS, True)])
        community = (SpaceKind.COMMUNITY, "ann's", [(StreamKind.BOARD, True), (StreamKind.LIBRARY, False)])
        assert await spaces(ben) == [community, personal, enrolment]
        await w.ok(ann, Remove(space, ben.user))
        assert await spaces(ben) == [personal]
