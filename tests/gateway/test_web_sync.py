"""Sync over HTTP: the same frames as on the socket, beside the socket, in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import trio
import trio.lowlevel
from msgspec import Raw

from actors.cell import Ref
from actors.device import digest_of
from actors.limits import Quota
from actors.storage import (
    Answered,
    Attached,
    Borrow,
    Decided,
    Denied,
    Entry,
    Events,
    FindPerson,
    InheritDevice,
    InheritedOutcomes,
    ListSpaces,
    Query,
    ReadAfter,
    ReadRecords,
    RecordsRead,
    Refusal,
    Result,
    Row,
    SpaceList,
)
from gateway.options import SyncLimits
from gateway.rates import Limit
from protocol.chunks import pack
from protocol.codec import ANSWER_FRAMES_MAX, MESSAGE_BYTES_MAX, decode_frame, encode, join, split
from protocol.codes import Code
from protocol.entities import SCHEMA, Entity, write_fields
from protocol.events import Changed, RecordItem, Said
from protocol.frames import (
    Bye,
    Command,
    Done,
    DoneRun,
    Event,
    Failed,
    Follow,
    Followed,
    Frame,
    Goodbye,
    Hello,
    Inherit,
    Inherited,
    Mutate,
    Overview,
    Ping,
    Pong,
    RecordPage,
    Refused,
    Search,
    Snapshot,
    Spaces,
    Sync,
    Typing,
    Watch,
    Welcome,
)
from protocol.operations import Change, React, Say
from tests.gateway.web_world import NOW, Answer, World

STREAM = 60
EPOCH = 5


class Storage:
    """Store and journal in memory. `answers` by the query's type; `decide` says what becomes of an entry (None: nothing, for ever)."""

    def __init__(self) -> None:
        self.asked: list[Query] = []
        self.entries: list[Entry] = []
        self.taken_max = 10_000
        self.under_way = self.under_way_max = 0
        self.answers: dict[type[Query], Result | Callable[[Any], Result] | None] = {
            Borrow: Attached(3, 7, 2, EPOCH, 2_000_000, "Ada", 0),
        }
        self.decide: Callable[[Entry], Decided | None] = lambda entry: Decided(entry.number, Code.OK, entry.number * 8, generation=3)

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        self.asked.append(query)
        answer = self.answers[type(query)]
        if answer is not None:
            result = answer(query) if callable(answer) else answer
            trio.lowlevel.spawn_system_task(self._reply, reply_to, Answered(ticket, result))

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        if len(self.entries) >= self.taken_max:
            return False
        self.entries.append(entry)
        decided = self.decide(entry)
        if decided is not None:
            self.under_way += 1
            self.under_way_max = max(self.under_way, self.under_way_max)
            trio.lowlevel.spawn_system_task(self._decided, reply_to, decided)
        return True

    async def _reply(self, reply_to: Ref[Any], message: object) -> None:
        await trio.lowlevel.checkpoint()
        reply_to.tell_control(message)

    async def _decided(self, reply_to: Ref[Decided], decided: Decided) -> None:
        await trio.sleep(0.01)
        self.under_way -= 1
        reply_to.tell_control(decided)


class Scene:
    """A person's device, and the frames that it syncs with."""

    def __init__(self, **world: Any) -> None:
        self.storage = Storage()
        self.world = World(store=self.storage, journal=self.storage, **world)
        self.session: dict[str, Any] = {}

    async def begin(self) -> Scene:
        self.session = await self.world.register()
        return self

    async def post(self, body: bytes, content_type: str = "application/msgpack", token: str | None = None) -> Answer:
        token = token or self.session["access_token"]
        return await self.world.ask("POST", "/api/v1/sync", raw=body, token=token, headers={"Content-Type": content_type})

    async def sync(self, *commands: Command, **sync: Any) -> list[Frame]:
        answer = await self.post(join([encode(Sync(**sync)), *(encode(command) for command in commands)]))
        assert answer.status == 200, answer.body
        assert answer.headers["Content-Type"] == "application/msgpack"
        assert answer.headers["Cache-Control"] == "no-store"
        return [frame for frame in map(decode_frame, parts(answer.body)) if isinstance(frame, Frame)]


def parts(body: bytes) -> Sequence[bytes | Raw]:
    return split(body, ANSWER_FRAMES_MAX)


def progress(key: int) -> bytes:
    return encode(Change(STREAM, Entity.PROGRESS, key, int(NOW), write_fields({1: 50})))


def rows(first: int, last: int, body: bytes = b"") -> tuple[Row, ...]:
    return tuple(Row(seq, 9, 1_800_000_000, body or encode(Said(f"text {seq}"))) for seq in range(first, last + 1))


async def test_a_sync_borrows_the_device_and_answers_in_the_order_of_the_commands() -> None:
    scene = await Scene().begin()
    storage, session = scene.storage, scene.session
    storage.answers[ReadAfter] = Events(40, 5, 1, rows(4, 5), False)
    storage.answers[ListSpaces] = SpaceList(9, ())
    storage.answers[ReadRecords] = RecordsRead(5, (), False)
    frames = await scene.sync(
        pack(8, [progress(key) for key in range(1, 4)]),
        Mutate(11, Raw(encode(Say(50, "hello")))),
        Overview(1),
        Follow(2, 50, 3),
        Snapshot(3, STREAM),
        Ping(4),
        Mutate(12, Raw(encode(Say(50, "again")))),
    )
    welcome = frames[0]
    assert isinstance(welcome, Welcome)
    assert (welcome.user, welcome.session, welcome.inbox) == (session["user"], session["session"], 2)
    assert (welcome.last_number, welcome.epoch, welcome.expires) == (7, EPOCH, session["expires_at"])
    assert frames[1:] == [
        DoneRun(8, (64, 72, 80, 88)),
        Spaces(1, 9, ()),
        *(Event(50, seq, 9, 1_800_000_000, Said(f"text {seq}")) for seq in (4, 5)),
        Followed(2, 50, 5, False),
        RecordPage(3, STREAM, 5, (), False),
        Pong(4, int(NOW * 1000)),
        Done(12, 96),
    ]
    assert storage.asked[0] == Borrow(session["session"], session["user"], session["device"])
    assert {(entry.user, entry.device, entry.generation) for entry in storage.entries} == {(session["user"], session["device"], 3)}


async def test_the_entries_are_those_that_a_socket_would_have_made() -> None:
    scene = await Scene().begin()
    await scene.sync(pack(8, [progress(1), progress(2)]), clock_ms=int(NOW * 1000) - 5_000)
    assert [(e.number, e.digest, e.skew_s) for e in scene.storage.entries] == [
        (8, digest_of(progress(1)), 5),
        (9, digest_of(progress(2)), 5),
    ]


async def test_what_is_refused_keeps_its_place_and_blocks_nothing() -> None:
    scene = await Scene().begin()
    codes = {8: Code.OK, 9: Code.NOT_FOUND, 10: Code.OK, 11: Code.OK}
    scene.storage.decide = lambda entry: Decided(entry.number, codes[entry.number], 1, "why", generation=3)
    frames = await scene.sync(pack(8, [progress(key) for key in range(1, 5)]))
    assert frames[1:] == [Done(8, 1), Refused(9, Code.NOT_FOUND, "why"), DoneRun(10, (1, 1))]


async def test_a_number_that_cannot_be_read_is_refused_by_the_journal_and_a_request_by_its_id() -> None:
    scene = await Scene().begin()
    body = join([encode(Sync()), msgspec.msgpack.encode([6, 8, "no operation", 1]), msgspec.msgpack.encode([9, 4, 5]), encode(Ping(5))])
    answer = await scene.post(body)
    _, done, failed, pong = map(decode_frame, parts(answer.body))
    assert isinstance(scene.storage.entries[0].operation, Refusal) and scene.storage.entries[0].number == 8
    assert isinstance(done, Done)
    assert isinstance(failed, Failed) and (failed.id, failed.code) == (4, Code.INVALID)
    assert isinstance(pong, Pong)


async def test_what_is_for_the_socket_only_is_told_so() -> None:
    scene = await Scene().begin()
    (_, failed) = await scene.sync(Watch(5, 40, True))
    assert isinstance(failed, Failed) and (failed.id, failed.code) == (5, Code.NOT_NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\x90",
        b"\xc1\xc1",
        encode(Ping(1)),
        join([encode(Sync()), encode(Bye())]),
        join([encode(Sync()), encode(Sync())]),
        join([encode(Sync()), encode(Hello(1, "x", 1))]),
        join([encode(Sync()), encode(Typing(5))]),
        join([encode(Sync()), encode(Mutate(8, Raw(progress(1)))), msgspec.msgpack.encode([999])]),
    ],
)
async def test_a_body_that_is_not_for_here_is_a_problem_and_nothing_of_it_is_done(body: bytes) -> None:
    scene = await Scene().begin()
    (await scene.post(body)).problem(400, Code.INVALID)
    assert scene.storage.entries == [] and scene.storage.asked == []


async def test_another_content_type_a_longer_body_and_no_token_are_problems_as_elsewhere() -> None:
    scene = await Scene().begin()
    (await scene.post(encode(Sync()), "application/json")).problem(415, Code.INVALID)
    (await scene.post(b"\xc0" * (MESSAGE_BYTES_MAX + 1))).problem(413, Code.TOO_LARGE)
    (await scene.post(encode(Sync()), token="x.y.z")).problem(401, Code.UNAUTHENTICATED)
    scene.world.memory.sessions.clear()
    (await scene.post(encode(Sync()))).problem(401, Code.REVOKED)
    assert scene.storage.asked == []


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        (Code.REVOKED, 401, Code.REVOKED),
        (Code.NOT_FOUND, 401, Code.UNAUTHENTICATED),
        (Code.BUSY, 503, Code.UNAVAILABLE),
        (Code.UNAVAILABLE, 503, Code.UNAVAILABLE),
    ],
)
async def test_a_device_that_is_not_lent_is_a_problem(code: Code, status: int, told: Code) -> None:
    scene = await Scene().begin()
    scene.storage.answers[Borrow] = Denied(code)
    (await scene.post(encode(Sync()))).problem(status, told)


async def test_another_epoch_is_told_and_nothing_is_carried_out() -> None:
    scene = await Scene().begin()
    frames = await scene.sync(Mutate(8, Raw(progress(1))), Follow(1, 50, 100), epoch=EPOCH - 1)
    assert [type(frame) for frame in frames] == [Welcome]
    assert scene.storage.entries == []


async def test_a_socket_that_takes_over_ends_the_visit_and_what_was_not_answered_is_for_the_socket() -> None:
    scene = await Scene().begin()
    scene.storage.decide = lambda entry: Decided(entry.number, Code.OK if entry.number < 10 else Code.TAKEN_OVER, 1, generation=3)
    frames = await scene.sync(pack(8, [progress(key) for key in range(1, 5)]), Ping(1), Mutate(12, Raw(progress(9))))
    assert frames[1] == DoneRun(8, (1, 1))
    assert isinstance(frames[2], Goodbye) and frames[2].code is Code.TAKEN_OVER
    assert len(frames) == 3 and len(scene.storage.entries) == 4


async def test_mutations_go_in_waves_of_as_many_as_outcomes_are_kept(autojump_clock: trio.abc.Clock) -> None:
    scene = await Scene().begin()
    frames = await scene.sync(*(pack(start, [progress(key) for key in range(1, 201)]) for start in (1, 201, 401)))
    assert frames[1:] == [DoneRun(1, tuple(number * 8 for number in range(1, 601)))]
    assert scene.storage.under_way_max == 256


async def test_an_answer_may_hold_more_frames_than_a_message_on_the_socket() -> None:
    scene = await Scene().begin()
    scene.storage.decide = lambda entry: Decided(entry.number, Code.NOT_FOUND, generation=3)
    frames = await scene.sync(*(pack(start, [progress(key) for key in range(1, 201)]) for start in (1, 201)))
    assert [frame.number for frame in frames if isinstance(frame, Refused)] == list(range(1, 401))


async def test_a_number_that_comes_twice_is_submitted_once() -> None:
    scene = await Scene().begin()
    frames = await scene.sync(Mutate(8, Raw(progress(1))), Mutate(8, Raw(progress(1))), Mutate(8, Raw(progress(2))))
    assert [entry.number for entry in scene.storage.entries] == [8]
    assert frames[1] == Done(8, 64)
    assert isinstance(frames[2], Refused) and frames[2].code is Code.NUMBER_REUSED


async def test_a_full_journal_is_told_and_can_be_asked_again() -> None:
    scene = await Scene().begin()
    scene.storage.taken_max = 1
    _, done, refused = await scene.sync(pack(8, [progress(1), progress(2)]))
    assert done == Done(8, 64)
    assert isinstance(refused, Refused) and (refused.number, refused.code) == (9, Code.BUSY) and refused.wait_ms > 0


async def test_a_database_that_hangs_costs_half_a_minute_and_no_more(autojump_clock: trio.abc.Clock) -> None:
    scene = await Scene().begin()
    scene.storage.decide = lambda entry: None
    scene.storage.answers[ListSpaces] = None
    begun = trio.current_time()
    frames = await scene.sync(pack(8, [progress(1), progress(2)]), Overview(3), Mutate(10, Raw(progress(3))))
    assert trio.current_time() - begun <= 30
    assert [(f.number, f.code) for f in frames if isinstance(f, Refused)] == [(n, Code.UNAVAILABLE) for n in (8, 9, 10)]
    assert [(f.id, f.code) for f in frames if isinstance(f, Failed)] == [(3, Code.UNAVAILABLE)]
    scene.storage.answers[Borrow] = None
    (await scene.post(encode(Sync()))).problem(503, Code.UNAVAILABLE)


async def test_an_answer_is_about_as_long_as_was_wished_for() -> None:
    scene = await Scene().begin()

    def page(query: ReadAfter) -> Events:
        found = rows(query.after + 1, query.after + 4, encode(Said("x" * 1000)))
        return Events(40, 100, 1, found if query.events_max and query.bytes_max else (), True)

    scene.storage.answers[ReadAfter] = page
    scene.storage.answers[ListSpaces] = SpaceList(9, ())
    frames = await scene.sync(*(Follow(n, 50 + n, 10) for n in range(1, 6)), Overview(9), bytes_max=6_000)
    assert sum(isinstance(frame, Event) for frame in frames) == 8
    assert [f for f in frames if isinstance(f, Followed)] == [
        Followed(1, 51, 14, False),
        Followed(2, 52, 14, False),
        *(Followed(n, 50 + n, 10, False) for n in range(3, 6)),
    ]
    last = frames[-1]
    assert isinstance(last, Failed) and (last.id, last.code) == (9, Code.BUSY)


async def test_a_follow_that_cannot_be_says_of_which_stream() -> None:
    scene = await Scene().begin()
    scene.storage.answers[ReadAfter] = lambda query: Denied(Code.RESET) if query.stream == 50 else Events(40, 5, 1, (), False)
    _, reset, conflict = await scene.sync(Follow(1, 50, 3), Follow(2, 51, 6))
    assert reset == Failed(1, Code.RESET, stream=50)
    assert isinstance(conflict, Failed) and (conflict.code, conflict.stream) == (Code.CONFLICT, 51)


async def test_an_older_client_is_answered_in_its_schema() -> None:
    scene = await Scene().begin()
    record = RecordItem(Entity.ANSWER, 3, 1, write_fields({2: (4, 5)}))
    scene.storage.answers[ReadAfter] = Events(40, 1, 1, rows(1, 1, encode(Changed((record,)))), False)
    scene.storage.answers[ReadRecords] = RecordsRead(1, (record,), False)
    older = RecordItem(Entity.ANSWER, 3, 1, write_fields({1: 4}))
    for schema, expected in ((1, older), (SCHEMA, record)):
        frames = await scene.sync(Follow(1, STREAM, 0), Snapshot(2, STREAM), schema=schema)
        assert frames[1] == Event(STREAM, 1, 9, 1_800_000_000, Changed((expected,)))
        assert frames[3] == RecordPage(2, STREAM, 1, (expected,), False)


async def test_an_inheritance_is_told_to_every_gateway() -> None:
    scene = await Scene().begin()
    scene.storage.answers[InheritDevice] = InheritedOutcomes(6, ())
    frames = await scene.sync(Inherit(1, 12, ()))
    assert frames[1:] == [Inherited(1, ())]
    assert scene.world.overtaken == [(12, 6)]
    (_, failed) = await scene.sync(Inherit(1, scene.session["device"], ()))
    assert isinstance(failed, Failed) and failed.code is Code.INVALID


@pytest.mark.parametrize("limit", ["sync_address", "sync_user"])
async def test_one_sync_too_many_is_told_how_long_to_wait(limit: str) -> None:
    scene = await Scene(sync_limits=msgspec.structs.replace(SyncLimits(), **{limit: Limit(2, 0.1)})).begin()
    for _ in range(2):
        await scene.sync()
    assert (await scene.post(encode(Sync()))).problem(429, Code.RATE)["retry_after_s"] >= 1


async def test_a_long_sync_costs_more_of_the_rate() -> None:
    scene = await Scene(sync_limits=SyncLimits(sync_user=Limit(4, 0.1))).begin()
    await scene.sync(*(pack(start, [progress(key) for key in range(1, 257)]) for start in (1, 257)))
    await scene.sync()
    (await scene.post(encode(Sync()))).problem(429, Code.RATE)


# Devices


async def test_somebody_who_is_logged_in_gets_a_device_more_without_a_password() -> None:
    scene = await Scene().begin()
    token = scene.session["access_token"]
    answer = await scene.world.ask("POST", "/api/v1/devices", {"name": "phone, again"}, token=token)
    assert answer.status == 201
    added = answer.json
    assert added["user"] == scene.session["user"]
    assert added["device"] != scene.session["device"] and added["session"] != scene.session["session"]
    claims = scene.world.tokens.verify(added["access_token"], NOW)
    assert not isinstance(claims, Code) and (claims.device, claims.session) == (added["device"], added["session"])
    assert (await scene.world.auth("refresh", {"refresh_token": added["refresh_token"]})).status == 200
    assert (await scene.post(encode(Sync()))).status == 200  # the first one goes on
    assert scene.world.memory.sessions[added["session"]].device_name == "phone, again"


async def test_a_device_is_asked_for_with_a_living_session_and_words_that_show() -> None:
    scene = await Scene().begin()
    token = scene.session["access_token"]
    (await scene.world.ask("POST", "/api/v1/devices", {})).problem(401, Code.UNAUTHENTICATED)
    (await scene.world.ask("POST", "/api/v1/devices", {"name": "a\u202eb"}, token=token)).problem(400, Code.INVALID)
    (await scene.world.ask("POST", "/api/v1/devices", {"device": 5}, token=token)).problem(400, Code.INVALID)
    scene.world.memory.sessions.clear()
    (await scene.world.ask("POST", "/api/v1/devices", {}, token=token)).problem(401, Code.REVOKED)


@pytest.mark.parametrize("limit", ["devices_address", "devices_user"])
async def test_one_device_too_many_is_told_how_long_to_wait(limit: str) -> None:
    scene = await Scene(sync_limits=msgspec.structs.replace(SyncLimits(), **{limit: Limit(2, 0.01)})).begin()
    for _ in range(2):
        assert (await scene.world.ask("POST", "/api/v1/devices", {}, token=scene.session["access_token"])).status == 201
    (await scene.world.ask("POST", "/api/v1/devices", {}, token=scene.session["access_token"])).problem(429, Code.RATE)


class Enough:
    """Accounts have had enough of everything that has a quota."""

    def take(self, quota: Quota, user: int, address: str = "") -> float:
        return 12.5


async def test_what_an_account_has_had_enough_of_is_refused_here_as_on_the_socket() -> None:
    scene = await Scene(quotas=Enough()).begin()
    scene.storage.decide = lambda entry: (
        Decided(entry.number, entry.operation.code, entry.operation.until_ms, entry.operation.detail, generation=3)
        if isinstance(entry.operation, Refusal)
        else Decided(entry.number, Code.OK, 1, generation=3)
    )
    react, say = Raw(encode(React(STREAM, 4, "+1"))), Raw(encode(Say(STREAM, "behind it")))
    _, refused, done, failed = await scene.sync(Mutate(8, react), Mutate(9, say), Search(1, "ben"))
    assert isinstance(refused, Refused) and isinstance(done, Done) and isinstance(failed, Failed)
    assert (refused.number, refused.code, refused.wait_ms) == (8, Code.SLOWED, 12_501)
    assert done.number == 9, "what is behind it does not wait"
    assert (failed.id, failed.code, failed.wait_ms) == (1, Code.RATE, 12_501)
    assert not [query for query in scene.storage.asked if isinstance(query, FindPerson)]
