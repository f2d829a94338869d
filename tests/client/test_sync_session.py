"""Records over a session: written offline, merged at the server, fetched whole and kept up to date, whatever happens to the socket."""

from __future__ import annotations

from typing import Literal

import pytest
import trio
from trio.testing import MockClock

from client import MemoryStore, MutationRefused, Session, SessionEnded, Settings, connect
from client.sync_streams import NoStream
from protocol.chunks import expand
from protocol.codec import decode_operation, encode
from protocol.codes import Code
from protocol.entities import NO_FIELDS, SCHEMA, Entity, write_fields
from protocol.frames import (
    CHUNK_BYTES_GOAL,
    AnyCommand,
    AnyFrame,
    Chunk,
    Conflict,
    Conflicts,
    Done,
    Failed,
    Follow,
    Mutate,
    Refused,
    Snapshot,
)
from protocol.merge import Outcome
from protocol.operations import Change, CreateCommunity, Say
from protocol.values import Choice, ConflictState, LinkQuality, Role, SpaceKind
from tests.client.conftest import CALM, FakeCredentials, FakeGrant
from tests.client.fake_server import FakeServer, Space

NOTE = 3
"""The field of a bookmark that these tests write."""
ABOUT = 1
"""And of a profile."""


@pytest.fixture
def own(server: FakeServer) -> int:
    """The stream of person 1's own records."""
    return server.own_stream(1)


@pytest.fixture
def space(server: FakeServer) -> Space:
    """A community that person 1 owns, with streams of records."""
    space = server.new_space(SpaceKind.COMMUNITY, "garden")
    server.record_streams(space, 1)
    space.members[1] = Role.OWNER
    return space


def write(server: FakeServer, stream: int, entity: int, key: int, fields: dict[int, int | str], base: int = 0) -> None:
    """Another device of person 1 writes."""
    known = server.devices[12]
    change = Change(stream, entity, key, server.clock_s, write_fields(fields), base)
    server.decide(12, known.last_number + 1, encode(change))


def numbers_of(command: AnyCommand) -> range:
    """The numbers of the mutations that a command carries."""
    if isinstance(command, Chunk):
        return range(command.number, command.number + sum(len(run.changes) for run in command.runs))
    return range(command.number, command.number + 1) if isinstance(command, Mutate) else range(0)


def changes_of(command: AnyCommand) -> list[Change]:
    """The changes that a command carries."""
    frozen = expand(command) if isinstance(command, Chunk) else [bytes(command.operation)] if isinstance(command, Mutate) else []
    decoded = [decode_operation(operation) for operation in frozen if isinstance(operation, bytes)]
    return [operation for operation in decoded if isinstance(operation, Change)]


async def test_what_is_written_offline_is_seen_at_once_and_leaves_as_a_chunk(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        stream = session.sync_streams.find(Entity.BOOKMARK)
        pendings = [session.put(stream, Entity.BOOKMARK, key, {NOTE: f"place {key}"}) for key in range(1, 31)]
        assert [view.fields[NOTE] for view in session.records.list(own, Entity.BOOKMARK)] == [f"place {key}" for key in range(1, 31)]
        server.away = False
        assert [await pending.outcome() for pending in pendings] == [(Outcome.APPLIED, 1)] * 30
    chunks = [command for command in server.commands if isinstance(command, Chunk)]
    assert sum(len(run.changes) for chunk in chunks for run in chunk.runs) == 30 and len(chunks) == 2
    assert server.records.fields(own, Entity.BOOKMARK, 30) == {NOTE: "place 30"}
    assert not [command for command in server.commands if isinstance(command, Mutate)]


async def test_hello_says_the_schema_and_the_clock(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
    assert (server.greetings[0].schema, server.greetings[0].clock_ms) == (SCHEMA, int(CALM.wall() * 1000))


async def test_what_the_table_does_not_allow_is_said_before_it_is_kept(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.synced()
        with pytest.raises(ValueError, match="at most 500 characters"):
            session.put(own, Entity.BOOKMARK, 1, {NOTE: "x" * 501})
        with pytest.raises(NoStream, match="community 7"):
            session.sync_streams.find(Entity.PROGRESS, 7)
        assert session.unanswered == []


async def test_a_change_that_is_refused_is_kept_with_its_reason_and_blocks_nothing(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        bad = session.submit(Change(own, Entity.BOOKMARK, 1, 1, write_fields({99: "?"})))
        good = session.put(own, Entity.BOOKMARK, 2, {NOTE: "kept"})
        with pytest.raises(MutationRefused, match="no field 99"):
            await bad.wait()
        assert await good.outcome() == (Outcome.APPLIED, 1)
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        (kept,) = session.unapplied()
        assert (kept.operation, kept.code) == (bad.operation, Code.INVALID) and "no field 99" in kept.detail
        assert session.sync_status.refused == (kept,)
        session.forget_unapplied(kept.key)
        assert session.sync_status.refused == ()


async def test_records_are_fetched_whole_once_and_then_followed_without_any_reader(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    for key in range(1, 9):
        write(server, own, Entity.BOOKMARK, key, {NOTE: f"old {key}"})
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        assert len(session.records.list(own, Entity.BOOKMARK)) == 8
        write(server, own, Entity.BOOKMARK, 3, {NOTE: "live"}, base=1)
        await trio.sleep(1)
        assert session.records.view(own, Entity.BOOKMARK, 3).fields == {NOTE: "live"}
    snapshots = [command for command in server.commands if isinstance(command, Snapshot)]
    assert [command.key for command in snapshots] == [0, 3, 6]
    assert [command.after for command in server.commands if isinstance(command, Follow) and command.stream == own] == [8]
    write(server, own, Entity.BOOKMARK, 4, {NOTE: "while away"}, base=1)
    server.commands.clear()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        assert session.records.view(own, Entity.BOOKMARK, 3).fields == {NOTE: "live"}
        await session.synced()
        assert session.records.view(own, Entity.BOOKMARK, 4).fields == {NOTE: "while away"}
    assert (own, 9) in [(cursor.stream, cursor.seq) for cursor in server.cursors]
    assert not [command for command in server.commands if isinstance(command, Snapshot | Follow)]


@pytest.mark.parametrize("messages", range(2, 14))
async def test_a_snapshot_that_is_cut_anywhere_goes_on_behind_what_arrived(
    server: FakeServer, own: int, autojump_clock: MockClock, messages: int
) -> None:
    for key in range(1, 14):
        write(server, own, Entity.BOOKMARK, key, {NOTE: f"old {key}"})
    server.cuts.extend([messages] * 3)
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        assert len(session.records.list(own, Entity.BOOKMARK)) == 13
    # Five pages; each cut asks at most one of them again.
    asked = [command.key for command in server.commands if isinstance(command, Snapshot)]
    assert asked == sorted(asked) and 5 <= len(asked) <= 8 and set(asked) == {0, 3, 6, 9, 12}


async def test_a_position_that_is_older_than_what_is_kept_is_answered_by_a_snapshot(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    write(server, own, Entity.BOOKMARK, 1, {NOTE: "first"})
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
    write(server, own, Entity.BOOKMARK, 2, {NOTE: "second"})
    server.floors[own] = 2
    server.commands.clear()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        assert [command for command in server.commands if isinstance(command, Snapshot)]
        assert len(session.records.list(own, Entity.BOOKMARK)) == 2


async def test_streams_come_in_the_order_of_the_table_and_two_at_once_on_a_poor_link(
    server: FakeServer, own: int, space: Space, autojump_clock: MockClock
) -> None:
    _, _, board, library, progress, answers = [stream for known in server.spaces.values() for stream, _, _ in known.streams]
    open_at_once: list[int] = []
    answer = server.records.answer
    held: list[Snapshot] = []

    def slowly(device: int, command: object) -> object:
        if isinstance(command, Snapshot):
            held.append(command)
            open_at_once.append(len(held))
            return Failed(2**31, Code.NOT_FOUND)  # an answer to nobody: this one comes later
        return answer(device, command)  # type: ignore[arg-type]

    server.records.answer = slowly  # type: ignore[assignment, method-assign]
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM, settings=Settings(link=LinkQuality.POOR)) as session:
        served: list[int] = []
        while len(served) < 5:
            await trio.sleep(1)
            command = held.pop(0)
            served.append(command.stream)
            page = answer(11, command)
            assert page is not None
            server.tell_all(page)
        await session.synced()
    assert served == [progress, answers, own, board, library]
    assert max(open_at_once) == 2


async def test_leaving_a_community_drops_its_records_and_still_sends_what_was_written(
    server: FakeServer, own: int, space: Space, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        progress = session.sync_streams.find(Entity.PROGRESS, space.id)
        board = session.sync_streams.find(Entity.ACTION, space.id)
        await session.put(board, Entity.ACTION, 1, {1: "dig"}).outcome()
        await session.put(own, Entity.BOOKMARK, 1, {NOTE: "mine"}).outcome()
        await session.synced()
        assert {size.stream for size in store.sizes()} == {board, own}
    server.leave(space, 1)
    server.records.carry_out = lambda user, device, number, operation: None  # type: ignore[assignment, method-assign, return-value]
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        late = session.put(progress, Entity.PROGRESS, 5, {1: 80})
        server.away = False
        with pytest.raises(MutationRefused):
            await late.wait()
        await session.synced()
        assert {size.stream for size in store.sizes()} == {own}
        with pytest.raises(NoStream):
            session.sync_streams.find(Entity.PROGRESS, space.id)
        assert [kept.operation for kept in session.unapplied()] == [late.operation]


async def test_a_conflict_is_listed_offline_and_decided_when_there_is_a_line(
    server: FakeServer, space: Space, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        library = session.sync_streams.find(Entity.CONTENT, space.id)
        await session.put(library, Entity.CONTENT, 1, {2: "begun"}).outcome()
        await session.synced()
    write(server, library, Entity.CONTENT, 1, {2: "theirs"}, base=1)
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        pending = session.put(library, Entity.CONTENT, 1, {2: "mine"})
        server.away = False
        assert await pending.outcome() == (Outcome.REVIEW, 1)
        await session.synced()
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        (conflict,) = session.conflicts()
        assert session.sync_status.conflicts == 1
        assert session.records.view(library, Entity.CONTENT, 1).fields == {2: "theirs"}
        with pytest.raises(ValueError, match="merged decision"):
            session.resolve(conflict, Choice.MERGED)
        decided = session.resolve(conflict, Choice.MERGED, {2: "theirs and mine"})
        server.away = False
        assert await decided.outcome() == (Outcome.APPLIED, 3)
        await session.synced()
        assert session.conflicts() == () and session.sync_status.conflicts == 0
        assert session.records.view(library, Entity.CONTENT, 1).fields == {2: "theirs and mine"}
        # And undone: the losing value is still there, and the conflict can be opened again.
        versions = (await session.versions(library, Entity.CONTENT, 1)).versions
        theirs = next(version for version in versions if bytes(version.fields) == bytes(write_fields({2: "theirs"})))
        await session.restore(library, Entity.CONTENT, 1, theirs).outcome()
        assert server.records.fields(library, Entity.CONTENT, 1) == {2: "theirs"}
        await session.reopen(conflict.conflict).wait()
        await session.claim(conflict.conflict).wait()
        await session.synced()
        assert [one.state for one in session.conflicts()] == [ConflictState.CLAIMED]


async def test_what_is_chosen_is_kept_and_the_rest_goes_until_it_is_chosen_again(
    server: FakeServer, own: int, space: Space, autojump_clock: MockClock
) -> None:
    _, _, board, library, _, _ = [stream for known in server.spaces.values() for stream, _, _ in known.streams]
    write(server, board, Entity.ACTION, 1, {1: "dig"})
    write(server, library, Entity.CONTENT, 1, {2: "text"})
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        await session.hold([board]).wait()
        await session.synced()
        assert {size.stream for size in store.sizes()} == {board}
        assert [held.stream for held in (await session.holding()).streams] == [board]
        session.hold([library, board])
        await session.settled()
        await session.synced()
        assert {size.stream for size in store.sizes()} == {board, library}


async def test_no_more_than_two_chunks_are_unanswered_and_a_cut_sends_no_more_than_that_again(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    server.limits = type(server.limits)(65_536, 256, 64)
    sent: dict[int, int] = {}
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.synced()
        server.mute = True
        for key in range(1, 400):
            session.put(own, Entity.BOOKMARK, key, {NOTE: "x" * 90})
        await trio.sleep(1)
        first = [command for command in server.commands if isinstance(command, Chunk | Mutate)]
        assert all(len(encode(command)) <= CHUNK_BYTES_GOAL for command in first)
        assert CHUNK_BYTES_GOAL < sum(len(encode(command)) for command in first) <= 2 * CHUNK_BYTES_GOAL
        server.mute = False
        server.cut_all()
        await session.settled()
    for command in server.commands:
        for number in numbers_of(command):
            sent[number] = sent.get(number, 0) + 1
    under_way = sum(len(numbers_of(command)) for command in first)
    assert [number for number, times in sent.items() if times == 2] == list(range(1, under_way + 1))
    assert len(sent) == 399 and max(sent.values()) == 2


async def test_the_status_is_known_without_a_socket_and_says_how_far_the_sending_is(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        assert session.sync_status.succeeded_at == 0
        await session.synced()
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        for key in range(1, 4):
            session.put(own, Entity.BOOKMARK, key, {NOTE: "x"})
        status = session.sync_status
        assert (status.pending, status.in_flight, status.sent, status.total) == (3, 0, 0, 3)
        assert status.pending_bytes == sum(len(pending.operation) for pending in session.unanswered)
        assert status.succeeded_at == int(CALM.wall()) and status.link in ("connecting", "waiting") and not status.settled
        server.away = False
        async for status in session.sync_statuses():
            if status.sent == 3:
                break
        assert (status.pending, status.sent, status.total) == (0, 3, 3)


async def test_a_stream_that_is_behind_is_named_with_what_is_missing(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
    for key in range(1, 6):
        write(server, own, Entity.BOOKMARK, key, {NOTE: "new"})
    async with connect(server.transport(), FakeGrant(server, 11), store=MemoryStore(), world=CALM) as session:
        async for status in session.sync_statuses():
            if status.behind:
                (behind,) = status.behind
                assert (behind.stream, behind.events, behind.snapshot) == (own, 5, True)
                break
        await session.synced()
        assert session.sync_status.behind == ()


async def test_a_stream_that_is_also_wanted_as_events_is_fetched_once_and_then_followed(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    for key in range(1, 9):
        write(server, own, Entity.BOOKMARK, key, {NOTE: f"old {key}"})
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        async for _ in session.sync_statuses():
            if own in session.sync_streams:
                break
        session.follow(own)
        await session.synced()
        assert len(session.records.list(own, Entity.BOOKMARK)) == 8
        assert session.cursor(own) == 8
    pages = [command.key for command in server.commands if isinstance(command, Snapshot)]
    assert len(pages) == len(set(pages))


async def test_a_program_that_only_talks_asks_for_no_records(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM, settings=Settings(records=False)) as session:
        await session.say(50, "hello")
        await session.synced()
    assert {type(command).__name__ for command in server.commands} == {"Hello", "TakeTicket", "Mutate", "Bye"}


async def test_a_process_that_is_killed_while_it_asks_for_conflicts_asks_when_it_comes_back(
    server: FakeServer, space: Space, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    left: list[MemoryStore] = []
    answer = server.records.answer

    def look(device: int, command: AnyCommand) -> AnyFrame | None:
        if isinstance(command, Conflicts):
            left.append(store.copy())
        return answer(device, command)

    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        library = session.sync_streams.find(Entity.CONTENT, space.id)
        await session.put(library, Entity.CONTENT, 1, {2: "begun"}).outcome()
        await session.synced()
        monkeypatch.setattr(server.records, "answer", look)
        server.decide(12, 1, encode(Change(library, Entity.CONTENT, 1, server.clock_s, write_fields({2: "theirs"}), 1)))
        assert await session.submit(Change(library, Entity.CONTENT, 1, server.clock_s, write_fields({2: "mine"}), 1)).outcome() == (
            Outcome.REVIEW,
            1,
        )
        await session.synced()
    killed = left[-1]
    assert not killed.load().mutations
    server.log[session.inbox].clear()  # as for somebody who has read what it said of the conflict
    async with connect(server.transport(), FakeGrant(server, 11), store=killed, world=CALM) as session:
        await session.synced()
        assert [conflict.conflict for conflict in session.conflicts()] == [1]


async def test_a_process_that_is_killed_before_it_knows_what_it_joined_asks_when_it_comes_back(
    server: FakeServer, own: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = server.enter

    def enter_with_records(space: Space, user: int, role: Role) -> None:
        enter(space, user, role)
        server.record_streams(space, user)

    monkeypatch.setattr(server, "enter", enter_with_records)
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        await session.do(CreateCommunity("garden"))
        killed = store.copy()
        await session.synced()
        joined = {one.stream for one in session.sync_streams.all()}
        assert len(joined) > 1
    server.log[session.inbox].clear()  # as for somebody who has read what it said of the community
    async with connect(server.transport(), FakeGrant(server, 11), store=killed, world=CALM) as session:
        await session.synced()
        assert {one.stream for one in session.sync_streams.all()} == joined


# Copies of a store


async def test_two_copies_of_a_store_are_told_apart_and_everything_takes_effect_once(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeCredentials(server, 11), store=store, world=CALM) as session:
        await session.put(own, Entity.BOOKMARK, 1, {NOTE: "before"}).outcome()
        await session.synced()
        server.mute = True
        session.submit(Say(50, "under way when it was copied"))
        await trio.sleep(1)
        copy = store.copy()
        server.mute = False
        server.cut_all()
        await session.settled()
        session.submit(Say(50, "by the original"))
        await session.settled()
    credentials = FakeCredentials(server, 11)
    async with connect(server.transport(), credentials, store=copy, world=CALM) as session:
        session.submit(Say(50, "by the copy"))
        await session.settled()
        assert session.device == credentials.device != 11
        await session.synced()
        assert session.records.view(own, Entity.BOOKMARK, 1).fields == {NOTE: "before"}
    assert server.texts(50) == ["under way when it was copied", "by the original", "by the copy"]
    assert 11 in server.fenced
    # The original was ended by that; it logs in as another device with its store, and goes on.
    server.user(1, 13)
    async with connect(server.transport(), FakeCredentials(server, 13), store=store, world=CALM) as session:
        await session.say(50, "by the original again")
    assert server.texts(50)[3:] == ["by the original again"]


async def test_a_number_that_was_used_for_something_else_is_found_out_by_its_refusal(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    """Both copies have numbered one mutation each, with the same number; the other's was faster."""
    store = MemoryStore()
    async with connect(server.transport(), FakeCredentials(server, 11), store=store, world=CALM) as session:
        await session.say(50, "before")
        server.mute = True
        copy = store.copy()
        decide, server.decide = server.decide, lambda device, number, frozen: Failed(1, Code.BUSY)  # type: ignore[method-assign, assignment]
        session.submit(Say(50, "ours"))
        await trio.sleep(1)
    server.mute, server.decide = False, decide  # type: ignore[method-assign]
    async with connect(server.transport(), FakeCredentials(server, 11), store=copy, world=CALM) as session:
        await session.say(50, "theirs")
    async with connect(server.transport(), FakeCredentials(server, 11), store=store, world=CALM) as session:
        await session.settled()
        assert session.device != 11
    assert server.texts(50) == ["before", "theirs", "ours"]


async def test_a_store_at_a_new_device_learns_what_became_of_what_it_sent(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.online()
        server.mute = True
        session.submit(Say(50, "had its effect"))
        await trio.sleep(1)
        (number,) = [command.number for command in server.commands if isinstance(command, Mutate)]
        assert number == 1
    server.mute = False
    store.append(encode(Say(50, "never sent")))
    async with connect(server.transport(), FakeGrant(server, 12), store=store, world=CALM) as session:
        had, never = session.unanswered
        assert await had.wait() == 1 and await never.wait() == 2
    assert server.texts(50) == ["had its effect", "never sent"]


async def test_somebody_elses_store_sends_nothing_of_theirs_that_was_numbered(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.online()
        server.mute = True
        session.submit(Say(50, "of person 1"))
        await trio.sleep(1)
    server.mute = False
    async with connect(server.transport(), FakeGrant(server, 21), store=store, world=CALM) as session:
        (pending,) = session.unanswered
        with pytest.raises(MutationRefused, match="no such device"):
            await pending.wait()
        await session.say(50, "of person 2")
    assert server.texts(50) == ["of person 1", "of person 2"]


async def test_a_token_alone_cannot_become_another_device_and_says_so(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.say(50, "one")
        copy = store.copy()
        await session.say(50, "two")
    async with connect(server.transport(), FakeGrant(server, 11), store=copy, world=CALM) as session:
        with pytest.raises(SessionEnded) as caught:
            await session.say(50, "three")
        assert caught.value.code == Code.NUMBER_REUSED
    assert len(copy.load().mutations) == 1


# Restored databases


async def test_after_a_restore_all_goes_up_on_base_0_before_snapshots_come_down(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        for key in range(1, 5):
            await session.put(own, Entity.BOOKMARK, key, {NOTE: f"first {key}"}).outcome()
        await session.synced()
        await session.put(own, Entity.BOOKMARK, 1, {NOTE: "again"}).outcome()
        await session.synced()
        assert session.records.view(own, Entity.BOOKMARK, 1).version == 2
    # Back to when only the first two were there; and this device wrote on meanwhile, on a base that no longer is.
    server.epoch += 1
    device = server.devices[11]
    device.last_number = 2
    device.outcomes = {number: outcome for number, outcome in device.outcomes.items() if number <= 2}
    del server.log[own][2:]
    server.records.records = {name: record for name, record in server.records.records.items() if name[2] <= 2}
    server.records.records[own, Entity.BOOKMARK, 1] = server.records.records[own, Entity.BOOKMARK, 2]
    server.away = True
    server.commands.clear()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        offline = session.put(own, Entity.BOOKMARK, 2, {NOTE: "offline"})
        server.away = False
        await offline.outcome()
        await session.synced()
        views = session.records.list(own, Entity.BOOKMARK)
        assert [view.fields[NOTE] for view in views] == ["again", "offline", "first 3", "first 4"]
        for view in views:
            assert view.fields == server.records.fields(own, Entity.BOOKMARK, view.key)
    uploads = [at for at, command in enumerate(server.commands) if isinstance(command, Chunk | Mutate)]
    snapshots = [at for at, command in enumerate(server.commands) if isinstance(command, Snapshot)]
    assert max(uploads) < min(snapshots)
    sent = [change for at in uploads for change in changes_of(server.commands[at])]
    # The first two only ask what the database still knows.
    assert [number for at in uploads[:2] for number in numbers_of(server.commands[at])] == [1, 2]
    assert len(sent[2:]) == 4 and {change.base for change in sent} == {0}
    assert store.load().mutations == () and not store.noted("restored")


def set_back(server: FakeServer, own: int, last_number: int) -> None:
    """The database is back at when device 11's mutations up to this one were decided, each of which wrote the bookmark of its number."""
    server.epoch += 1
    device = server.devices[11]
    device.last_number = last_number
    device.outcomes = {number: outcome for number, outcome in device.outcomes.items() if number <= last_number}
    del server.log[own][last_number:]
    server.records.records = {name: record for name, record in server.records.records.items() if name[2] <= last_number}


@pytest.mark.parametrize("door", ["socket", "http"])
async def test_a_restore_before_a_copy_is_found_out_loses_nothing_of_either(
    server: FakeServer, own: int, autojump_clock: MockClock, door: Literal["socket", "http"]
) -> None:
    """The copy comes first and gives the numbers after the backup to others; the original's were decided under the same numbers once, and
    the last one of each says the same."""
    before, originals, copied = {1: "before", 2: "before"}, {3: "original", 4: "original", 8: "both"}, {6: "copy", 7: "copy", 8: "both"}
    store = MemoryStore()

    async def write(session: Session, notes: dict[int, str]) -> None:
        for key, note in notes.items():
            await session.put(own, Entity.BOOKMARK, key, {NOTE: note}).outcome()

    async with connect(server.transport(), FakeCredentials(server, 11), store=store, world=CALM, door=door) as session:
        await write(session, before)
        copy = store.copy()
        await write(session, originals)
    set_back(server, own, 2)
    async with connect(server.transport(), FakeCredentials(server, 11), store=copy, world=CALM, door=door) as session:
        await write(session, copied)
    async with connect(server.transport(), FakeCredentials(server, 11), store=store, world=CALM, door=door) as session:
        await session.synced()
        assert session.device != 11
        notes = {view.key: view.fields[NOTE] for view in session.records.list(own, Entity.BOOKMARK)}
    assert notes == before | originals | copied
    assert {key: server.records.fields(own, Entity.BOOKMARK, key) for key in notes} == {key: {NOTE: note} for key, note in notes.items()}


async def test_what_a_restored_database_knows_is_asked_again_after_a_cut_and_after_a_wait(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        for key in (1, 2, 3):
            await session.put(own, Entity.BOOKMARK, key, {NOTE: f"note {key}"}).outcome()
    set_back(server, own, 2)
    decide, asked = server.decide, []

    def busy(device: int, number: int, frozen: bytes) -> AnyFrame:
        asked.append(number)
        if len(asked) == 1:
            server.cut_all()
        return decide(device, number, frozen) if len(asked) > 4 else Refused(number, Code.BUSY, "", 700)

    server.decide = busy  # type: ignore[method-assign]
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        assert [view.fields[NOTE] for view in session.records.list(own, Entity.BOOKMARK)] == ["note 1", "note 2", "note 3"]
    assert asked == [1, 2, 1, 2, 1, 2, 3]
    assert store.load().epoch == server.epoch


async def test_what_was_numbered_under_another_device_before_a_restore_is_asked_for_without_its_base(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    """A version of a history that is lost is another one here: a writer who is said to know it would silently replace it."""
    store = MemoryStore()
    store.bind(11)
    store.begin(server.epoch - 1)
    key = store.append(encode(Change(own, Entity.BOOKMARK, 1, 5, write_fields({NOTE: "never arrived"}), 3)))
    store.number([(key, 1)])
    async with connect(server.transport(), FakeGrant(server, 12), store=store, world=CALM) as session:
        await session.synced()
        assert session.sync_status.pending_bytes == 0
    assert [change.base for command in server.commands for change in changes_of(command)] == [0]
    assert server.records.fields(own, Entity.BOOKMARK, 1) == {NOTE: "never arrived"}


async def test_a_decision_that_a_restored_database_forgot_is_not_made_about_what_has_its_number_now(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    """What conflict 7 was about may be conflict 8 in this history: a text of two people would go to a record of two others."""
    store = MemoryStore()
    conflict = Conflict(7, own, Entity.CONTENT, 1, 1, ConflictState.PENDING, 1, 1, NO_FIELDS, NO_FIELDS, NO_FIELDS, NO_FIELDS)
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.put(own, Entity.BOOKMARK, 1, {NOTE: "before"}).outcome()
        decide, server.decide = server.decide, lambda device, number, frozen: Done(number, 8)  # type: ignore[method-assign]
        decision = session.resolve(conflict, Choice.MERGED, {1: "put together"})
        await decision.wait()
    server.decide = decide  # type: ignore[method-assign]
    set_back(server, own, 1)
    server.commands.clear()
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        never_sent = session.claim(8)
        server.away = False
        await session.synced()
        with pytest.raises(MutationRefused, match="decide again"):
            await never_sent.wait()
        kept = session.unapplied()
        assert [(one.operation, one.code) for one in kept] == [(decision.operation, Code.CONFLICT), (never_sent.operation, Code.CONFLICT)]
        assert await session.put(own, Entity.BOOKMARK, 2, {NOTE: "after"}).outcome() == (Outcome.APPLIED, 1)
    assert [number for command in server.commands for number in numbers_of(command)] == [1, 2]
