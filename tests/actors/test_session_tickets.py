"""Claims about a session that is resumed by its ticket: one answer for all cursors, before all else; for a bad ticket a word."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channel import Channel, ChannelLimits
from actors.messages import Heard, Recheck, Revoke
from actors.session import SessionLimits
from actors.storage import Attach, Audience, CheckAudience, Denied, Events, ListSpaces, ReadAfter, SpaceList
from actors.tail import RECENT_EVENTS_MAX
from protocol.codec import encode, encode_event
from protocol.codes import Code
from protocol.cursors import pack
from protocol.entities import SCHEMA
from protocol.events import Said
from protocol.frames import (
    Bye,
    Command,
    Draining,
    Event,
    Failed,
    Follow,
    Followed,
    Frame,
    Goodbye,
    Granted,
    Hello,
    Lagged,
    Overview,
    Ping,
    Pong,
    Refresh,
    Resume,
    Resumed,
    Spaces,
    TakeTicket,
    Ticket,
    Typing,
    Unfollow,
    Unfollowed,
    Watch,
    Welcome,
)
from protocol.operations import Say
from protocol.values import Cursor, LinkQuality
from supervisors.cast import CastLimits
from tests.actors.stage import EPOCH, SPACE, Line, Stage, attached, rows

STREAMS = (7, 8, 9)
CURSORS = tuple(Cursor(stream, 5) for stream in STREAMS)
LEFT_S = 600


def ticket_for(stage: Stage, user: int = 1, device: int = 11) -> bytes:
    """What a client was given on its socket before this one, which is gone."""
    line = stage.connect(user, device)
    line.say(TakeTicket(9))
    (ticket,) = [frame for frame in line.hear() if isinstance(frame, Ticket)]
    line.drop()
    return ticket.ticket


def resume(stage: Stage, ticket: bytes, cursors: tuple[Cursor, ...] = (), *behind: Frame, **more: object) -> Line:
    """A client that shows a ticket, and says something behind it in the same message."""
    line = Line(stage)
    line.say(Resume(ticket, LEFT_S * 1000, pack(cursors), schema=SCHEMA, **more), *behind)  # type: ignore[arg-type]
    return line


def read(stage: Stage, head: int = 5, first: int = 0, version: int = 0) -> None:
    """Answers the oldest read: nothing was missed, or from `first` on."""
    stage.answer(ReadAfter, Events(SPACE, head, version, rows(first, head) if first else (), False))


def test_a_ticket_says_who_comes_and_the_answer_what_goes_on() -> None:
    stage = Stage()
    ticket = ticket_for(stage)
    line = resume(stage, ticket, heartbeat_s=100, link=LinkQuality.POOR)
    (attach,) = stage.asked(Attach)
    assert (attach.user, attach.device, attach.session) == (1, 11, 511)
    stage.answer(Attach, attached(generation=2, last_number=7))
    # The token was good for 900 s, so by the device's clock it is 300 s later, by ours nothing.
    assert line.hear() == [Resumed(7, -300_000, 100)]
    assert line.heartbeat_s == 100


def test_cursors_that_missed_nothing_are_answered_by_one_frame_in_one_message() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    stage.answer(Attach, attached(2))
    for _ in STREAMS[1:]:
        read(stage)
        assert line.hear() == []
    read(stage)
    assert line.hear() == [Resumed(0, -300_000, 45)] and line.messages == 1
    stage.near.channels.get(8).tell(Heard(6, 0, encode_event(8, 6, 9, 1, encode(Said("live")))))
    stage.run()
    assert [(frame.stream, frame.seq) for frame in line.hear() if isinstance(frame, Event)] == [(8, 6)]


def test_what_was_missed_comes_behind_the_answer_which_says_for_which_cursors() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    stage.answer(Attach, attached(2))
    read(stage)
    read(stage, head=7, first=6)
    resumed, *events, followed = line.hear()
    assert resumed == Resumed(0, -300_000, 45, (1, 2)), "the third one is not known yet"
    assert [frame.seq for frame in events if isinstance(frame, Event)] == [6, 7] and followed == Followed(0, 8, 7, True)
    read(stage)
    assert line.hear() == [Followed(0, 9, 5, True)]


def test_an_event_for_a_cursor_that_is_live_waits_for_the_answer_and_makes_it_come() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    stage.answer(Attach, attached(2))
    read(stage)
    stage.near.channels.get(7).tell(Heard(6, 0, encode_event(7, 6, 9, 1, encode(Said("at once")))))
    stage.run()
    resumed, event = line.hear()
    assert resumed == Resumed(0, -300_000, 45, (1, 2)) and isinstance(event, Event) and event.seq == 6


def test_a_read_that_takes_its_time_does_not_hold_the_answer_back() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    stage.answer(Attach, attached(2))
    read(stage)
    assert line.hear() == []
    stage.wait(0.11)
    assert line.hear() == [Resumed(0, -299_900, 45, (1, 2))]
    read(stage)
    read(stage)
    assert line.hear() == [Followed(0, 8, 5, True), Followed(0, 9, 5, True)]


@pytest.mark.parametrize(("result", "code"), [(Denied(Code.NOT_FOUND), Code.NOT_FOUND), (Events(SPACE, 4, 0, (), False), Code.CONFLICT)])
def test_a_cursor_that_cannot_be_followed_is_refused_by_itself(result: Events | Denied, code: Code) -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    stage.answer(Attach, attached(2))
    stage.answer(ReadAfter, result)
    resumed, failed = line.hear()
    assert resumed == Resumed(0, -300_000, 45, (0, 1, 2))
    assert isinstance(failed, Failed) and (failed.id, failed.code, failed.stream) == (0, code, 7)


def test_what_was_sent_behind_the_ticket_is_done_when_the_session_goes_on() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS, Ping(3), Overview(4))
    assert line.hear() == []
    stage.answer(Attach, attached(2))
    line.mutate(1, Say(7, "hello"))
    stage.decide(value=6)
    stage.answer(ListSpaces, SpaceList(0, (), ()))
    heard = line.hear()
    assert heard[0] == Resumed(0, -300_000, 45, (0, 1, 2)), "nobody waits for a read whose answers are due"
    assert [type(frame) for frame in heard[1:]] == [Pong, type(heard[2]), Spaces]


def test_a_ticket_is_good_as_often_as_need_be_and_the_older_socket_is_told() -> None:
    stage = Stage()
    ticket = ticket_for(stage)
    lines = []
    for generation in (2, 3, 4):
        lines.append(resume(stage, ticket))
        stage.answer(Attach, attached(generation))
    assert [line.closed and line.closed[0] for line in lines] == [Code.TAKEN_OVER, Code.TAKEN_OVER, None]


def test_a_ticket_prolongs_nothing_the_resumed_socket_ends_when_the_token_would_have() -> None:
    stage = Stage()
    ticket = ticket_for(stage)
    stage.wait(800)
    line = resume(stage, ticket)
    stage.answer(Attach, attached(2))
    stage.wait(100)
    assert line.closed is None
    stage.wait(11)
    assert line.closed is not None and line.closed[0] == Code.TOKEN_EXPIRED
    late = resume(stage, ticket)
    assert late.hear() == [Failed(0, Code.TICKET)] and not stage.asked(Attach)


def test_a_refreshed_token_prolongs_a_resumed_socket_and_its_ticket_says_so() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage))
    stage.answer(Attach, attached(2))
    line.hear()
    stage.wait(500)
    line.say(Refresh(1, stage.token(1, 11)), TakeTicket(2))
    granted, ticket = line.hear()
    assert granted == Granted(1) and isinstance(ticket, Ticket)
    stage.wait(800)
    assert line.closed is None
    again = resume(stage, ticket.ticket)
    stage.answer(Attach, attached(3))
    assert isinstance(again.hear()[0], Resumed)


@pytest.mark.parametrize("what", ["forged", "of another epoch", "of other terms", "expired"])
def test_a_bad_ticket_costs_one_word_and_hello_is_heard_on_the_same_socket(what: str) -> None:
    stage = Stage()
    ticket = ticket_for(stage)
    match what:
        case "forged":
            ticket = b"nonsense|"
        case "of another epoch":
            stage.tokens.epoch = EPOCH + 1
        case "of other terms":
            ticket = ticket[:-2]
        case "expired":
            stage.wait(901)
    line = resume(stage, ticket, CURSORS, Ping(1), Follow(2, 7, 5))
    assert line.hear() == [Failed(0, Code.TICKET)] and line.closed is None
    assert not stage.asked(Attach) and not stage.asked(ReadAfter)
    line.say(Hello(1, stage.token(1, 11), 11, CURSORS[:1]), Ping(3))
    stage.answer(Attach, attached(2))
    read(stage)
    welcome, *rest = line.hear()
    assert isinstance(welcome, Welcome)
    assert sorted(type(frame).__name__ for frame in rest) == ["Followed", "Pong"], "what was sent behind the ticket was passed over"


def test_a_stranger_shows_one_ticket_and_has_ten_seconds_for_a_token() -> None:
    stage = Stage()
    line = resume(stage, b"nonsense|")
    line.say(Resume(b"more nonsense|", 0))
    assert line.closed is not None and line.closed[0] == Code.ILLEGAL
    late = resume(stage, b"nonsense|")
    stage.wait(10.1)
    assert late.closed is not None and late.closed[0] == Code.HELLO_LATE


def test_a_stranger_who_shows_a_token_late_has_the_time_that_attaching_takes() -> None:
    stage = Stage()
    line = resume(stage, b"nonsense|")
    stage.wait(9.9)
    line.hear()
    line.say(Hello(1, stage.token(1, 11), 11))
    stage.wait(1.0)
    stage.answer(Attach, attached(1))
    assert line.closed is None and isinstance(line.hear()[0], Welcome)


def test_by_a_resumed_devices_clock_is_judged_when_something_was_written() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage))
    stage.answer(Attach, attached(2))
    line.mutate(1, Say(7, "by a clock that is five minutes ahead"))
    ((entry, _),) = stage.journal.entries
    assert entry.skew_s == -300


def test_what_a_stranger_says_behind_a_bad_ticket_is_bounded_and_kept_by_nobody() -> None:
    stage = Stage(CastLimits(session=SessionLimits(held_frames_max=4)))
    line = resume(stage, b"nonsense|", (), Ping(1), Ping(2), Ping(3))
    assert line.closed is None
    line.say(Ping(4))
    assert line.closed is not None and line.closed[0] == Code.FLOOD


def test_a_stranger_may_leave_and_the_server_may_drain_while_hello_is_awaited() -> None:
    stage = Stage()
    line = resume(stage, b"nonsense|")
    line.inlet.draining(20.0)
    stage.run()
    line.say(Bye())
    assert line.closed is not None and line.closed[0] == Code.BYE


def test_a_device_that_is_never_attached_is_told_to_come_back() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage))
    stage.wait(10.1)
    assert line.closed is not None and line.closed[0] == Code.OVERLOAD


@pytest.mark.parametrize("code", [Code.REVOKED, Code.UNAUTHENTICATED])
def test_a_session_that_is_over_is_not_resumed(code: Code) -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    stage.answer(Attach, Denied(code))
    assert line.closed is not None and line.closed[0] == code
    assert [type(frame) for frame in line.hear()] == [Goodbye] and not stage.asked(ReadAfter)


@pytest.mark.parametrize("attaches_first", [True, False])
def test_a_revocation_finds_a_session_that_is_being_resumed(attaches_first: bool) -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    if attaches_first:
        stage.answer(Attach, attached(2))
    stage.near.users.get(1).tell_control(Revoke(511))
    stage.run()
    assert line.closed is not None and line.closed[0] == Code.REVOKED
    assert not any(isinstance(frame, Event | Followed) for frame in line.hear())


def test_a_database_that_was_restored_meanwhile_resumes_nobody() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    answer = attached(2)
    stage.answer(Attach, type(answer)(2, 0, 2, EPOCH + 1, 2_000_000, "Amina", 0))
    assert line.closed is not None and line.closed[0] == Code.OVERLOAD and not stage.asked(ReadAfter)


@pytest.mark.parametrize("cursors", [(1,), (0, 5), (7, -1), (7, 5, 0, 5), (7, 5, -8, 5), (2**53 - 1, 1, 1, 1)])
def test_cursors_that_are_none_end_the_socket_before_anybody_is_asked(cursors: tuple[int, ...]) -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Resume(ticket_for(stage), 0, cursors))
    assert line.closed is not None and line.closed[0] == Code.BAD_FRAME and not stage.asked(Attach)


def test_a_drain_is_told_behind_the_answer() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    stage.answer(Attach, attached(2))
    line.inlet.draining(20.0)
    stage.run()
    assert [type(frame) for frame in line.hear()] == [Resumed, Draining]


def test_a_crash_of_a_channel_that_was_met_takes_its_promise_back() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS[:2])
    stage.answer(Attach, attached(2))
    read(stage)
    stage.near.channels.get(7).tell_control(object())  # type: ignore[arg-type]
    stage.run()
    assert stage.crashes and [type(frame).__name__ for frame in line.hear()] == ["Resumed", "Lagged"]


def test_a_cursor_whose_channel_is_given_up_is_refused_behind_the_answer() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS[:2])
    channel = stage.near.channels.get(7)
    for _ in range(4):
        channel.tell(object())  # type: ignore[arg-type]
    stage.answer(Attach, attached(2))
    resumed, failed = line.hear()
    assert resumed == Resumed(0, -300_000, 45, (0, 1))
    assert isinstance(failed, Failed) and (failed.id, failed.code, failed.stream) == (0, Code.BUSY, 7)


def test_a_cursor_with_a_long_way_to_go_is_brought_behind_the_answer_page_by_page() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS[:2])
    stage.answer(Attach, attached(2))
    stage.answer(ReadAfter, Events(SPACE, 9, 0, rows(6, 7), True))
    resumed, *events, followed = line.hear()
    assert resumed == Resumed(0, -300_000, 45, (0, 1)) and followed == Followed(0, 7, 7, False)
    assert [frame.seq for frame in events if isinstance(frame, Event)] == [6, 7]


def test_a_cursor_that_fell_behind_while_it_was_read_is_answered_behind_the_answer() -> None:
    stage = Stage()
    other = stage.connect(2, 12, cursors=[CURSORS[0]])
    read(stage)
    line = resume(stage, ticket_for(stage), CURSORS[:2])
    stage.answer(Attach, attached(2))
    for seq in range(6, 7 + RECENT_EVENTS_MAX):
        stage.near.channels.get(7).tell(Heard(seq, 0, encode_event(7, seq, 9, 1, encode(Said("meanwhile")))))
    stage.run()
    assert other.hear() and line.hear() == []
    read(stage)
    assert line.hear() == [Resumed(0, -300_000, 45, (0, 1)), Followed(0, 7, 5, False)]


@pytest.mark.parametrize("command", [Follow(9, 7, 5), Unfollow(9, 7), Typing(7), Watch(9, SPACE, True)])
def test_a_command_that_needs_no_answer_yet_makes_the_answer_come_before_what_it_brings(command: Command) -> None:
    """Followed anew, a stream would come by itself: nobody would know any more that something is to be said first."""
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS[:2])
    stage.answer(Attach, attached(2))
    line.say(command)
    assert line.hear()[0] == Resumed(0, -300_000, 45, (0, 1))


def test_a_crash_of_a_channel_that_still_reads_is_told_behind_the_answer() -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS[:2])
    stage.answer(Attach, attached(2))
    stage.near.channels.get(7).tell_control(object())  # type: ignore[arg-type]
    stage.run()
    assert line.hear() == [Resumed(0, -300_000, 45, (0, 1)), Lagged(7)]


@pytest.mark.parametrize("end", ["may not read it any more", "too much waits for the audience"])
def test_who_is_live_by_the_answer_and_is_not_before_it_came_hears_both_in_order(end: str) -> None:
    stage = Stage(CastLimits(channel=ChannelLimits(held_bytes_max=1)))
    line = resume(stage, ticket_for(stage), CURSORS[:2])
    stage.answer(Attach, attached(2))
    read(stage)
    assert line.hear() == []
    if end == "may not read it any more":
        stage.near.channels.get(7).tell_control(Recheck(1))
        stage.run()
        stage.answer(CheckAudience, Audience(1, frozenset()))
        last: Frame = Unfollowed(7, Code.FORBIDDEN)
    else:
        stage.near.channels.get(7).tell(Heard(6, 1, encode_event(7, 6, 9, 1, encode(Said("held")))))
        stage.run()
        last = Lagged(7)
    assert line.hear() == [Resumed(0, -300_000, 45, (1,)), last]


def test_who_leaves_before_the_answer_leaves_nothing_behind_in_the_channels_that_were_met() -> None:
    stage = Stage()
    ticket = ticket_for(stage)
    other = stage.connect(2, 12)
    other.say(Follow(1, STREAMS[0], 5))
    read(stage)
    (channel,) = [actor for _, actor in stage.turns.pools["channel"].actors() if isinstance(actor, Channel)]
    gone = []
    for number in range(20):
        line = resume(stage, ticket, CURSORS[:2])
        stage.answer(Attach, attached(3 + number))
        read(stage)
        assert line.hear() == [], "the second cursor is not read yet"
        if number % 5:
            read(stage)
            assert line.hear()
        line.drop()
        stage.store.asked.clear()
        gone.append(weakref.ref(line))
        del line
    gc.collect()
    assert [ref for ref in gone if ref() is not None] == [], "a quiet channel keeps no socket that is gone"
    assert len(channel.greetings or ()) <= 1


STEPS = st.sampled_from(["read", "read more", "deny", "hear 7", "hear 8", "hear 9", "wait", "ping", "recheck", "audience"])


@given(st.lists(STEPS, min_size=1, max_size=14))
def test_in_whatever_order_things_happen_the_answer_is_first_and_every_cursor_is_answered_once(steps: list[str]) -> None:
    stage = Stage()
    line = resume(stage, ticket_for(stage), CURSORS)
    stage.answer(Attach, attached(2))
    ends = dict.fromkeys(STREAMS, 5)
    for step in (*steps, *["read", "audience"] * 4):
        match step.split():
            case ["hear", stream]:
                ends[int(stream)] += 1
                seq = ends[int(stream)]
                stage.near.channels.get(int(stream)).tell(Heard(seq, 0, encode_event(int(stream), seq, 9, 1, encode(Said("x")))))
                stage.run()
            case ["wait"]:
                stage.wait(0.06)
            case ["ping"]:
                line.say(Ping(1))
            case ["recheck"]:
                stage.near.channels.get(8).tell_control(Recheck(0))
                stage.run()
            case ["audience"] if stage.asked(CheckAudience):
                stage.answer(CheckAudience, Audience(0, frozenset({1})))
            case ["read" | "deny", *_] if stage.asked(ReadAfter):
                asked = stage.asked(ReadAfter)[0]
                if step == "deny" and asked.user:
                    stage.answer(ReadAfter, Denied(Code.NOT_FOUND))
                    ends[asked.stream] = -1
                    continue
                head = max(ends[asked.stream], asked.after)
                if step == "read more" and asked.user:
                    head = ends[asked.stream] = head + 1
                missed = rows(asked.after + 1, head)
                stage.answer(ReadAfter, Events(SPACE, head, 0, missed, False))
    stage.wait(2.0)
    while stage.asked(ReadAfter) or stage.asked(CheckAudience):
        if stage.asked(CheckAudience):
            stage.answer(CheckAudience, Audience(0, frozenset({1})))
            continue
        asked = stage.asked(ReadAfter)[0]
        head = max(ends[asked.stream], asked.after)
        stage.answer(ReadAfter, Events(SPACE, head, 0, rows(asked.after + 1, head), False))
        stage.wait(1.0)
    heard = line.hear()
    first = heard[0]
    assert isinstance(first, Resumed) and sum(isinstance(frame, Resumed) for frame in heard) == 1
    for place, cursor in enumerate(CURSORS):
        answers = [frame for frame in heard if isinstance(frame, Followed | Failed) and frame.stream == cursor.stream]
        assert len(answers) == (place in first.rest), cursor
        seqs = [frame.seq for frame in heard if isinstance(frame, Event) and frame.stream == cursor.stream]
        if not any(isinstance(answer, Failed) for answer in answers):
            assert seqs == list(range(6, ends[cursor.stream] + 1)), "gapless from the cursor to the end"
    assert not stage.crashes
