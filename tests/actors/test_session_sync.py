"""Claims about sync through a session: chunks, what they cost, what clocks say, and questions about records."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from actors.clock import SKEW_S_MAX
from actors.device import TAKEOVER_TOPIC, DeviceLimits, digest_of, takeover_payload
from actors.pace import Rate
from actors.session import SessionLimits
from actors.storage import (
    Attach,
    ConflictList,
    Decided,
    Denied,
    Entry,
    HoldingRead,
    InheritDevice,
    InheritedOutcomes,
    ListConflicts,
    ListReports,
    ListUnapplied,
    ReadHolding,
    ReadRecords,
    ReadVersions,
    RecordsRead,
    Refusal,
    ReportList,
    Result,
    UnappliedList,
    VersionList,
)
from protocol.chunks import pack
from protocol.codec import encode
from protocol.codes import Code
from protocol.entities import SCHEMA, Entity, write_fields
from protocol.events import RecordItem
from protocol.frames import (
    ChangeItem,
    Chunk,
    Command,
    Conflict,
    ConflictPage,
    Conflicts,
    Done,
    DoneRun,
    Failed,
    Frame,
    Goodbye,
    Hello,
    Holding,
    Holdings,
    Inherit,
    Inherited,
    KeptVersion,
    Mutate,
    Ping,
    Pong,
    RecordPage,
    Refused,
    ReportItem,
    ReportPage,
    Reports,
    Run,
    Sent,
    Settlement,
    Snapshot,
    Sync,
    Unapplied,
    UnappliedItem,
    UnappliedPage,
    VersionPage,
    Versions,
    Welcome,
)
from protocol.operations import Change, Held
from protocol.values import ConflictState, KeptAs, ReportAbout, ReportReason, ReportState
from supervisors.cast import CastLimits
from tests.actors.stage import EPOCH, Line, Stage, attached

STREAM = 60
NOW = 1_800_000_000


def progress(key: int, percent: int = 50) -> Change:
    return Change(STREAM, Entity.PROGRESS, key, NOW + key, write_fields({1: percent}))


def changes(count: int) -> list[bytes]:
    return [encode(progress(key)) for key in range(1, count + 1)]


def entries(stage: Stage) -> list[Entry]:
    return [entry for entry, _ in stage.journal.entries]


def decide_all(stage: Stage, code: Code = Code.OK) -> None:
    """As the journal answers a batch: all of it before anybody has a turn."""
    decided, stage.journal.entries = stage.journal.entries, []
    for entry, reply_to in decided:
        reply_to.tell_control(Decided(entry.number, code, entry.number * 8, generation=entry.generation))
    stage.run()


def test_a_chunk_becomes_as_many_mutations_as_if_each_had_been_sent_alone() -> None:
    stage = Stage()
    stage.connect().say(pack(7, changes(5)))
    chunked = entries(stage)
    stage = Stage()
    line = stage.connect()
    for number, change in enumerate(changes(5), 7):
        line.say(Mutate(number, Raw(change)))
    assert chunked == entries(stage)
    assert [entry.number for entry in chunked] == [7, 8, 9, 10, 11]
    assert [entry.operation for entry in chunked] == [progress(key) for key in range(1, 6)]


def test_mutations_sent_behind_a_hello_of_another_epoch_are_not_carried_out() -> None:
    """Their numbers, and the versions that they are based on, are another history's, and whoever sent them does not know that yet."""
    stage = Stage()
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11, epoch=EPOCH + 1), Mutate(8, Raw(changes(1)[0])), pack(9, changes(2)), Ping(5))
    stage.answer(Attach, attached(last_number=7))
    assert entries(stage) == []
    welcome, *refused, pong = line.hear()
    assert isinstance(welcome, Welcome) and isinstance(pong, Pong)
    assert [(one.number, one.code) for one in refused if isinstance(one, Refused)] == [(8, Code.GAP), (9, Code.GAP), (10, Code.GAP)]
    line.say(Mutate(8, Raw(changes(1)[0])))
    assert [entry.number for entry in entries(stage)] == [8]


@given(st.data())
def test_a_retry_in_other_chunks_is_the_same_mutations(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    written = [
        encode(
            Change(
                data.draw(st.integers(1, 2)),
                data.draw(st.sampled_from([Entity.PROGRESS, Entity.DRAFT])),
                data.draw(st.integers(1, 3)),
                data.draw(st.integers(0, 2**33)),
                write_fields({1: data.draw(st.integers(0, 100))}),
                base=data.draw(st.integers(0, 3)),
                gone=data.draw(st.booleans()),
            )
        )
        for _ in range(count)
    ]
    stage = Stage()
    line = stage.connect()
    line.say(pack(1, written))
    first = entries(stage)
    decide_all(stage)
    cuts = sorted(data.draw(st.sets(st.integers(1, count))) | {0, count})
    for begin, end in itertools.pairwise(cuts):
        line.say(pack(begin + 1, written[begin:end]))
    again = entries(stage)
    assert [(entry.number, entry.digest) for entry in again] == [(entry.number, entry.digest) for entry in first]
    assert [entry.digest for entry in again] == [digest_of(change) for change in written]


def test_the_answers_of_a_chunk_are_one_message() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.say(pack(1, changes(200)))
    before = line.messages
    decide_all(stage)
    assert line.messages == before + 1
    assert line.hear() == [DoneRun(1, tuple(number * 8 for number in range(1, 201)))]


def bad_chunk() -> Chunk:
    """Its second change has no key that can be."""
    good = [Raw(encode(ChangeItem(key, 0, write_fields({1: 50})))) for key in (1, 3)]  # type: ignore[arg-type]
    bad = Raw(msgspec.msgpack.encode([0, 0, {1: 50}]))
    return Chunk(4, NOW, (Run(STREAM, Entity.PROGRESS, (good[0], bad, good[1])),))


def test_a_change_that_cannot_be_read_has_its_number_and_is_kept_and_the_others_go_on() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.say(bad_chunk())
    first, second, third = entries(stage)
    assert (first.number, second.number, third.number) == (4, 5, 6)
    assert isinstance(first.operation, Change) and isinstance(third.operation, Change)
    assert isinstance(second.operation, Refusal)
    assert (second.operation.code, second.operation.payload) == (Code.INVALID, msgspec.msgpack.encode([0, 0, {1: 50}]))
    assert "change 1 of the chunk" in second.operation.detail
    stage.decide()
    stage.decide(Code.INVALID)
    stage.decide()
    assert [type(frame) for frame in line.hear()] == [Done, Refused, Done]


def test_a_change_that_cannot_be_read_is_the_same_mutation_in_another_chunk() -> None:
    """What its bytes say of the time depends on what stood before it."""
    digests = []
    for later in (0, 7):
        stage = Stage()
        stage.connect().say(Chunk(4, NOW, (Run(STREAM, Entity.PROGRESS, (Raw(msgspec.msgpack.encode([0, later, {1: 50}])),)),)))
        (entry,) = entries(stage)
        digests.append((entry.number, entry.digest))
    assert digests[0] == digests[1]


def test_a_change_that_cannot_be_read_is_kept_also_when_it_came_alone() -> None:
    stage = Stage()
    wrong = msgspec.msgpack.encode([Change.__struct_config__.tag, STREAM, 1, 0, NOW, {1: 50}])
    stage.connect().say(Mutate(1, Raw(wrong)))
    (entry,) = entries(stage)
    assert entry.operation == Refusal(Code.INVALID, entry.operation.detail, wrong)  # type: ignore[union-attr]


def test_a_chunk_that_is_none_consumes_its_number_as_a_bad_mutation_does() -> None:
    stage = Stage()
    line = stage.connect()
    line.inlet.received(msgspec.msgpack.encode([15, 9, NOW, "no runs"]))
    stage.run()
    (entry,) = entries(stage)
    assert entry.number == 9 and isinstance(entry.operation, Refusal)
    assert line.closed is None


def test_as_many_mutations_may_be_under_way_as_outcomes_are_kept_and_no_more() -> None:
    stage = Stage()
    line = stage.connect()
    welcome = line.hear()[0]
    assert isinstance(welcome, Welcome) and welcome.limits.in_flight_max == DeviceLimits().in_flight_max == 256
    line.say(pack(1, changes(256)))
    line.say(pack(257, changes(2)))
    assert len(entries(stage)) == 256
    refused = line.hear()
    assert [(frame.number, frame.code) for frame in refused if isinstance(frame, Refused)] == [(257, Code.BUSY), (258, Code.BUSY)]


def test_a_chunk_costs_the_rate_one_command_and_one_more_for_every_sixteen_changes() -> None:
    stage = Stage(CastLimits(session=SessionLimits(commands=Rate(1.0, 4.0))))
    line = stage.connect()
    line.hear()
    line.say(pack(1, changes(47)))  # costs 3
    assert len(entries(stage)) == 47
    line.say(pack(48, changes(16)))  # would cost 2, and one is left
    answers = line.hear()
    assert len(entries(stage)) == 47
    assert [(frame.number, frame.code) for frame in answers if isinstance(frame, Refused)] == [(n, Code.RATE) for n in range(48, 64)]
    stage.wait(1.0)
    line.say(pack(48, changes(16)))
    assert len(entries(stage)) == 63


# Clocks


def wall_ms(stage: Stage) -> int:
    return int((stage.now + 1_000_000) * 1000)


def skew(stage: Stage, line: Line, number: int) -> int:
    line.say(pack(number, changes(1)))
    return entries(stage)[-1].skew_s


def test_a_clock_that_is_not_told_has_no_skew() -> None:
    stage = Stage()
    assert skew(stage, stage.connect(), 1) == 0


def test_the_skew_is_the_least_of_all_samples() -> None:
    stage = Stage()
    line = stage.connect(clock_ms=wall_ms(stage) - 9_000)
    assert skew(stage, line, 1) == 9
    line.say(Ping(1, wall_ms(stage) - 5_000))
    assert skew(stage, line, 2) == 5
    line.say(Ping(2, wall_ms(stage) - 30_000))
    assert skew(stage, line, 3) == 5
    line.say(Ping(3, 0))
    assert skew(stage, line, 4) == 5
    line.say(Ping(4, wall_ms(stage) + 3_600_000))
    assert skew(stage, line, 5) == -3600


def test_a_skew_is_bounded_whatever_the_clock_says() -> None:
    stage = Stage()
    assert skew(stage, stage.connect(clock_ms=2**53 - 1), 1) == -SKEW_S_MAX


# Questions

RECORD = RecordItem(Entity.PROGRESS, 3, 2, write_fields({1: 50}))
CONFLICT = Conflict(
    9, STREAM, Entity.PROGRESS, 3, 1, ConflictState.PENDING, NOW, 2, *[write_fields({1: percent}) for percent in (10, 20, 30, 40)]
)
KEPT = KeptVersion(1, 1, KeptAs.OVERWRITTEN, 1, NOW, write_fields({1: 10}))
REPORT = ReportItem(7, ReportAbout.MESSAGE, 2, ReportReason.SPAM, ReportState.OPEN, NOW, 1, "words", 40, STREAM, 3, "text")
ITEM = UnappliedItem(4, 1, 40, NOW, Code.NOT_FOUND, "no such stream", b"\x93\x12", True)


@pytest.mark.parametrize(
    ("command", "query", "result", "answer"),
    [
        (
            Snapshot(5, STREAM, 1, 2, 4096),
            ReadRecords(STREAM, 1, 1, 2, 4096),
            RecordsRead(7, (RECORD,), True),
            RecordPage(5, STREAM, 7, (RECORD,), True),
        ),
        (Conflicts(5, 3), ListConflicts(1, 3, True, 0, 20), ConflictList((CONFLICT,), False), ConflictPage(5, (CONFLICT,), False)),
        (Conflicts(5, 0, False, 9), ListConflicts(1, 0, False, 9, 20), ConflictList((), False), ConflictPage(5, (), False)),
        (Unapplied(5, 2, 40), ListUnapplied(1, 40, 2, 20), UnappliedList((ITEM,), True), UnappliedPage(5, (ITEM,), True)),
        (
            Versions(5, STREAM, 1, 3, 8),
            ReadVersions(STREAM, 1, 1, 3, 8, 20),
            VersionList((KEPT,), True),
            VersionPage(5, (KEPT,), True),
        ),
        (Holding(5), ReadHolding(1, 11), HoldingRead((Held(STREAM, 1),), 10), Holdings(5, (Held(STREAM, 1),), 10)),
        (Reports(5, 2, 40), ListReports(1, 40, False, 2, True, 20), ReportList((REPORT,), True), ReportPage(5, (REPORT,), True)),
        (Reports(5, 0, 0, True, False, 9), ListReports(1, 0, True, 0, False, 9), ReportList((), False), ReportPage(5, (), False)),
        (Snapshot(5, STREAM), ReadRecords(STREAM, 1, 0, 0, 8192), Denied(Code.FORBIDDEN, "no"), Failed(5, Code.FORBIDDEN, "no")),
    ],
)
def test_a_question_about_records_is_the_stores_as_is_its_answer(command: Command, query: object, result: Result, answer: Frame) -> None:
    stage = Stage()
    line = stage.connect(schema=SCHEMA)
    line.hear()
    line.say(command)
    assert stage.asked(type(query)) == [query]  # type: ignore[type-var]
    stage.answer(type(query), result)  # type: ignore[arg-type]
    assert line.hear() == [answer]


def test_reports_are_of_a_space_or_of_the_platform_and_nobody_is_asked_for_both() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.say(Reports(5, 0, 40, True))
    (failed,) = line.hear()
    assert isinstance(failed, Failed)
    assert (failed.id, failed.code) == (5, Code.INVALID)
    assert not stage.asked(ListReports)


def test_what_is_inherited_closes_the_other_devices_socket_here_and_tells_every_gateway() -> None:
    stage = Stage()
    other = stage.connect(1, 12, generation=3)
    line = stage.connect(1, 11)
    line.hear()
    line.say(Inherit(5, 12, (Sent(8, -1),)))
    assert stage.asked(InheritDevice) == [InheritDevice(1, 11, 12, ((8, -1),))]
    assert other.closed is None
    stage.answer(InheritDevice, InheritedOutcomes(4, (Settlement(8, Code.OK, 64),)))
    assert line.hear() == [Inherited(5, (Settlement(8, Code.OK, 64),))]
    assert other.closed is not None and other.closed[0] == Code.TAKEN_OVER
    assert stage.link.announced == [(TAKEOVER_TOPIC, takeover_payload(12, 4))]


def test_what_was_not_granted_takes_nothing_over() -> None:
    stage = Stage()
    other = stage.connect(2, 12, generation=3)
    line = stage.connect(1, 11)
    line.hear()
    line.say(Inherit(5, 12, ()))
    stage.answer(InheritDevice, Denied(Code.NOT_FOUND, "no such device"))
    assert line.hear() == [Failed(5, Code.NOT_FOUND, "no such device")]
    assert other.closed is None and not stage.link.announced


def test_a_device_does_not_inherit_from_itself() -> None:
    stage = Stage()
    line = stage.connect(1, 11)
    line.hear()
    line.say(Inherit(5, 11, ()))
    (failed,) = line.hear()
    assert isinstance(failed, Failed) and failed.code is Code.INVALID
    assert stage.asked(InheritDevice) == []


def test_the_frame_that_begins_a_request_is_illegal_on_a_socket() -> None:
    line = Stage().connect()
    line.say(Sync())
    last = line.frames[-1]
    assert isinstance(last, Goodbye) and last.code is Code.ILLEGAL


def test_a_chunk_may_come_before_the_welcome() -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11), pack(1, changes(3)))
    assert entries(stage) == []
    stage.answer(Attach, attached())
    assert [entry.number for entry in entries(stage)] == [1, 2, 3]
