"""Claims about a session: what a client may send when, and what it is told."""

from __future__ import annotations

import msgspec
import pytest

from actors.device import DeviceLimits
from actors.pace import Rate
from actors.session import SessionLimits
from actors.storage import Attach, Decided, Denied, FindPerson, ListSpaces, PersonFound, ReadAfter, SpaceList
from protocol.codes import Code
from protocol.frames import (
    Bye,
    Done,
    DoneRun,
    Draining,
    Failed,
    Follow,
    Goodbye,
    Granted,
    Hello,
    History,
    Invitation,
    Overview,
    Person,
    Ping,
    Pong,
    Refresh,
    Refused,
    Search,
    Spaces,
    Typing,
    Watch,
    Welcome,
)
from protocol.operations import Say
from protocol.values import Cursor, Role
from supervisors.cast import CastLimits
from tests.actors.stage import EPOCH, Line, Stage, attached


def goodbye(line: Line) -> Goodbye:
    last = line.frames[-1]
    assert isinstance(last, Goodbye)
    assert line.closed is not None and line.closed[0] == last.code
    return last


def test_a_good_hello_is_welcomed_with_what_the_client_needs() -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11, heartbeat_s=100))
    stage.answer(Attach, attached(generation=3, last_number=7))
    (welcome,) = line.hear()
    assert isinstance(welcome, Welcome)
    assert (welcome.user, welcome.inbox, welcome.last_number, welcome.epoch) == (1, 2, 7, EPOCH)
    assert welcome.heartbeat_s == line.heartbeat_s == 100


@pytest.mark.parametrize(("wished", "given"), [(0, 45), (1, 5), (3600, 300)])
def test_a_heartbeat_is_wished_for_within_bounds(wished: int, given: int) -> None:
    line = Stage().connect(heartbeat_s=wished)
    assert line.heartbeat_s == given


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (Hello(1, "nonsense", 11), Code.UNAUTHENTICATED),
        (Hello(1, "1:11:511:5", 11), Code.TOKEN_EXPIRED),
        (Hello(1, "1:12:512:9999999", 11), Code.UNAUTHENTICATED),
    ],
)
def test_a_bad_hello_ends_the_socket_with_its_code(hello: Hello, code: Code) -> None:
    line = Line(Stage())
    line.say(hello)
    assert goodbye(line).code is code


def test_a_newer_client_is_answered_in_our_own_version() -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Hello(9, stage.token(1, 11), 11))
    stage.answer(Attach, attached())
    assert isinstance(line.frames[0], Welcome)
    assert line.frames[0].version == 1


@pytest.mark.parametrize("code", [Code.REVOKED, Code.UNAUTHENTICATED])
def test_a_device_that_may_not_attach_is_told_why(code: Code) -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11))
    stage.answer(Attach, Denied(code))
    assert goodbye(line).code is code


def test_a_database_that_is_away_sends_the_client_away_for_a_while() -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11))
    stage.answer(Attach, Denied(Code.UNAVAILABLE))
    assert goodbye(line).code is Code.OVERLOAD


def test_no_hello_in_time_ends_the_socket() -> None:
    stage = Stage()
    line = Line(stage)
    stage.wait(10.1)
    assert goodbye(line).code is Code.HELLO_LATE


def test_a_command_before_hello_is_illegal_and_the_answer_teaches() -> None:
    line = Line(Stage())
    line.say(Ping(1))
    said = goodbye(line)
    assert said.code is Code.ILLEGAL
    assert said.detail == "Ping in NEW; legal here: Bye, Hello, Resume"


def test_what_is_sent_before_the_welcome_is_answered_after_it() -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11), Ping(5))
    assert not line.frames
    stage.answer(Attach, attached())
    assert [type(frame) for frame in line.frames] == [Welcome, Pong]


def test_what_is_held_before_the_welcome_is_bounded() -> None:
    stage = Stage(CastLimits(session=SessionLimits(held_frames_max=4)))
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11), *(Ping(n) for n in range(1, 6)))
    assert goodbye(line).code is Code.FLOOD


def test_what_is_held_before_the_welcome_is_bounded_in_bytes_too() -> None:
    """What is read of a message keeps all of it: two hundred sockets that wait for the database would hold a gigabyte and a half."""
    stage = Stage(CastLimits(session=SessionLimits(held_bytes_max=10_000)))
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11))
    for number in range(1, 4):
        line.mutate(number, Say(7, "x" * 3000))
    assert line.closed is None
    line.mutate(4, Say(7, "x" * 3000))
    assert goodbye(line).code is Code.FLOOD


def test_a_second_hello_is_illegal() -> None:
    stage = Stage()
    line = stage.connect()
    line.say(Hello(1, stage.token(1, 11), 11))
    assert goodbye(line).code is Code.ILLEGAL


@pytest.mark.parametrize("message", [b"", b"\xc1", b"\x80", b"\x90", b"\x91\xa1x", b"\x93\x01", b"\xdd\xff\xff\xff\xff\x01"])
def test_bytes_that_are_no_frame_end_the_socket(message: bytes) -> None:
    stage = Stage()
    line = stage.connect()
    line.inlet.received(message)
    stage.run()
    assert goodbye(line).code is Code.BAD_FRAME
    assert not stage.crashes


def test_a_command_with_a_bad_field_is_refused_alone() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.inlet.received(msgspec.msgpack.encode([[7, 3, "channel", 0], [4, 9, 0]]))
    stage.run()
    failed, pong = line.hear()
    assert isinstance(failed, Failed) and (failed.id, failed.code) == (3, Code.INVALID)
    assert "Expected `int`, got `str`" in failed.detail
    assert isinstance(pong, Pong)


def test_a_mutation_without_an_operation_still_uses_up_its_number() -> None:
    stage = Stage()
    line = stage.connect()
    line.inlet.received(msgspec.msgpack.encode([6, 1]))
    stage.run()
    (entry, _) = stage.journal.entries[0]
    assert entry.number == 1 and type(entry.operation).__name__ == "Refusal"


def test_mutations_decided_together_are_answered_together() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    for number in (1, 2, 3):
        line.mutate(number, Say(50, f"text {number}"))
    for (entry, reply_to), value in zip(stage.journal.entries, (7, 8, 9), strict=True):
        reply_to.tell(Decided(entry.number, Code.OK, value, generation=1))
    stage.run()
    assert line.hear() == [DoneRun(1, (7, 8, 9))]


def test_an_outcome_is_told_with_its_value_or_its_code() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.mutate(1, Say(50, "a"))
    line.mutate(2, Say(50, "b"))
    stage.decide(Code.OK, 31)
    stage.decide(Code.FORBIDDEN)
    assert line.hear() == [Done(1, 31), Refused(2, Code.FORBIDDEN)]


def test_beyond_the_rate_commands_are_told_to_wait_and_then_the_socket_ends() -> None:
    stage = Stage(CastLimits(session=SessionLimits(commands=Rate(1.0, 2.0), flood=Rate(1.0, 3.0))))
    line = stage.connect()
    line.hear()
    line.say(*(Ping(n) for n in range(1, 5)))
    answers = line.hear()
    assert [type(answer) for answer in answers] == [Pong, Pong, Failed, Failed]
    assert isinstance(answers[3], Failed) and answers[3].code is Code.RATE and answers[3].wait_ms > 0
    line.say(*(Ping(n) for n in range(5, 9)))
    assert goodbye(line).code is Code.FLOOD


def test_who_was_ended_for_a_flood_gets_no_new_burst_by_coming_back_at_once_and_is_let_in_when_it_waited() -> None:
    stage = Stage(CastLimits(session=SessionLimits(commands=Rate(1.0, 2.0), flood=Rate(1.0, 3.0))))
    line = stage.connect()
    line.say(*(Ping(n) for n in range(1, 9)))
    told = goodbye(line)
    assert told.code is Code.FLOOD
    for _ in range(3):
        again = Line(stage)
        again.say(Hello(1, stage.token(1, 11), 11), Ping(1))
        refused = goodbye(again)
        assert refused.code is Code.FLOOD and 0 < refused.wait_ms <= told.wait_ms
        stage.wait(1)
    other = stage.connect(device=12)
    assert [type(frame) for frame in other.frames] == [Welcome], "it is the device that waits, not its owner"
    stage.wait(told.wait_ms / 1000)
    later = stage.connect(generation=2)
    assert later.closed is None
    assert [type(frame) for frame in later.frames] == [Welcome]


def test_a_fresh_token_keeps_a_socket_open_and_a_stale_one_does_not() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    stage.wait(600)
    line.say(Refresh(1, stage.token(1, 11)), Refresh(2, "nonsense"), Refresh(3, stage.token(1, 12)))
    answers = line.hear()
    assert answers[0] == Granted(1)
    assert [answer.code for answer in answers[1:] if isinstance(answer, Failed)] == [Code.UNAUTHENTICATED] * 2
    stage.wait(400)
    assert line.closed is None
    stage.wait(600)
    assert goodbye(line).code is Code.TOKEN_EXPIRED


def test_requests_are_answered_by_id_whatever_their_order() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.say(Overview(1), Search(2, "juma"))
    stage.answer(FindPerson, PersonFound(5, "juma", "Juma"))
    invited = (Invitation(9, "Chess", Role.LEARNER, 5, "Juma"),)
    stage.answer(ListSpaces, SpaceList(4, (), invited))
    assert line.hear() == [Person(2, 5, "juma", "Juma"), Spaces(1, 4, (), invited)]


def test_unanswered_requests_are_bounded_and_their_ids_are_not_reused() -> None:
    stage = Stage(CastLimits(session=SessionLimits(asks_max=2)))
    line = stage.connect()
    line.hear()
    line.say(Overview(1), Overview(1), Overview(2), Overview(3))
    assert [(f.id, f.code) for f in line.hear() if isinstance(f, Failed)] == [(1, Code.INVALID), (3, Code.BUSY)]


def test_history_goes_one_way_at_a_time() -> None:
    line = Stage().connect()
    line.hear()
    line.say(History(1, 50), History(2, 50, before=3, after=3))
    assert [f.code for f in line.hear() if isinstance(f, Failed)] == [Code.INVALID] * 2


def test_streams_followed_at_once_are_bounded() -> None:
    stage = Stage(CastLimits(session=SessionLimits(follows_max=2)))
    line = stage.connect()
    line.hear()
    line.say(Follow(1, 50, 0), Follow(2, 51, 0), Follow(3, 52, 0))
    (failed,) = line.hear()
    assert isinstance(failed, Failed) and (failed.code, failed.stream) == (Code.LIMIT, 52)


def test_spaces_watched_at_once_are_bounded() -> None:
    stage = Stage(CastLimits(session=SessionLimits(watches_max=2)))
    line = stage.connect()
    line.hear()
    line.say(Watch(1, 9, True), Watch(2, 10, True), Watch(3, 11, True))
    (failed,) = line.hear()
    assert isinstance(failed, Failed) and (failed.id, failed.code) == (3, Code.LIMIT)


def test_cursors_of_another_epoch_are_not_followed() -> None:
    stage = Stage()
    stage.connect(cursors=[Cursor(50, 3)], epoch=EPOCH + 1)
    assert not stage.asked(ReadAfter)


def test_a_draining_server_gives_each_client_its_own_delay() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.inlet.draining(10.0)
    stage.run()
    assert line.hear() == [Draining(5000)]
    line.say(Ping(1))
    assert isinstance(line.hear()[0], Pong)


def test_after_bye_nothing_is_answered_and_nobody_remembers_the_session() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.say(Bye(), Ping(1))
    assert line.closed == (Code.BYE, "BYE") and not line.frames
    line.drop(1000)
    assert stage.near.sessions.find(1) is None
    user = stage.near.users.find(1)
    assert user is not None and user._actor.passivate()  # type: ignore[attr-defined]


def test_a_session_that_crashes_says_so_and_closes_its_socket() -> None:
    stage = Stage()
    line = stage.connect()
    ref = stage.near.sessions.find(1)
    assert ref is not None
    ref.tell("nonsense")  # type: ignore[arg-type]
    stage.run()
    assert goodbye(line).code is Code.FAULT
    line.say(Ping(1))
    assert isinstance(line.frames[-1], Goodbye)


def test_typing_in_a_stream_one_does_not_follow_is_dropped() -> None:
    stage = Stage()
    line = stage.connect()
    line.say(Typing(50))
    assert not stage.link.published


def test_in_flight_mutations_are_bounded() -> None:
    stage = Stage(CastLimits(device=DeviceLimits(in_flight_max=2)))
    line = stage.connect()
    line.hear()
    for number in (1, 2, 3):
        line.mutate(number, Say(50, "x"))
    (refused,) = line.hear()
    assert isinstance(refused, Refused) and (refused.number, refused.code) == (3, Code.BUSY)
    assert refused.wait_ms > 0
