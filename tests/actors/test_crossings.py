"""Claims about what crosses on its way: something ends while its beginning is still being asked for, on this gateway or another."""

from __future__ import annotations

import msgspec
import pytest

from actors.community import PRESENCE_TOPIC, PresenceReport
from actors.device import TAKEOVER_TOPIC, takeover_payload
from actors.storage import CONTROL_STREAM, Attach, Denied, Events, Fact, ListMembers, MemberList, ReadAfter
from protocol.codec import encode, join
from protocol.codes import TABLE, Code, Reconnect
from protocol.events import SessionRevoked
from protocol.frames import Command, Event, Follow, Followed, Goodbye, Hello, Lagged, Mutate, Presence, Unfollow, Watch, Welcome
from protocol.operations import Say
from protocol.values import Cursor
from tests.actors.stage import SPACE, Line, Stage, attached

STREAM = 50
SESSION = 511
"""Device 11's, as the stage numbers them."""


def greet(stage: Stage) -> Line:
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11))
    return line


def say_and_vanish(stage: Stage, line: Line, *commands: Command) -> None:
    """The socket's last words and its end are there before anybody had a turn."""
    line.inlet.received(join([encode(command) for command in commands]))
    line.inlet.closed(1006, "")
    stage.run()


def revoke(stage: Stage, session: int = SESSION) -> None:
    stage.exchange.controlled([Fact(CONTROL_STREAM, 1, 0, 0, encode(SessionRevoked(1, session)), 0)])
    stage.run()


def test_a_session_that_is_revoked_while_it_attaches_is_not_welcomed() -> None:
    stage = Stage()
    line = greet(stage)
    revoke(stage)
    stage.answer(Attach, attached())
    (goodbye,) = line.hear()
    assert isinstance(goodbye, Goodbye) and goodbye.code is Code.REVOKED
    assert line.closed is not None


def test_a_device_that_is_taken_over_elsewhere_while_it_attaches_is_not_welcomed() -> None:
    stage = Stage()
    line = greet(stage)
    stage.exchange.announced(TAKEOVER_TOPIC, takeover_payload(11, 6))
    stage.run()
    stage.answer(Attach, attached(generation=5))
    (goodbye,) = line.hear()
    assert isinstance(goodbye, Goodbye) and goodbye.code is Code.TAKEN_OVER


@pytest.mark.parametrize("generation", [6, 7])
def test_a_device_that_attaches_after_it_was_taken_over_elsewhere_is_welcomed(generation: int) -> None:
    stage = Stage()
    line = greet(stage)
    stage.exchange.announced(TAKEOVER_TOPIC, takeover_payload(11, 6))
    stage.run()
    stage.answer(Attach, attached(generation))
    assert isinstance(line.hear()[0], Welcome)


@pytest.mark.parametrize("vanishes", [True, False])
def test_whoever_leaves_while_asking_to_watch_is_no_watcher(vanishes: bool) -> None:
    stage = Stage()
    line = stage.connect()
    line.say(Watch(1, SPACE, True))
    line.drop() if vanishes else line.say(Watch(2, SPACE, False))
    stage.answer(ListMembers, MemberList((), False))
    line.hear()
    stage.exchange.announced(PRESENCE_TOPIC, msgspec.msgpack.encode(PresenceReport(SPACE, 99, 1, (7,))))
    stage.run()
    stage.wait(3)
    assert not [frame for frame in line.hear() if isinstance(frame, Presence)]
    stage.wait(300)
    assert stage.near.communities.find(SPACE) is None, "nothing holds it in memory"


def test_a_socket_that_asks_to_watch_and_vanishes_leaves_nothing_behind() -> None:
    stage = Stage()
    line = stage.connect()
    say_and_vanish(stage, line, Watch(1, SPACE, True))
    for _ in stage.asked(ListMembers):
        stage.answer(ListMembers, MemberList((), False))
    stage.wait(300)
    assert stage.near.communities.find(SPACE) is None


def test_a_socket_that_asks_to_follow_and_vanishes_leaves_nothing_behind() -> None:
    stage = Stage()
    line = stage.connect()
    say_and_vanish(stage, line, Follow(1, STREAM, 0))
    for _ in stage.asked(ReadAfter):
        stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    stage.wait(300)
    assert stage.near.channels.find(STREAM) is None and stage.link.subscribed == set()
    assert stage.near.communities.find(SPACE) is None, "nobody is present"


def test_follow_and_unfollow_in_one_message_end_unfollowed() -> None:
    stage = Stage()
    line = stage.connect()
    line.say(Follow(1, STREAM, 0), Unfollow(2, STREAM))
    for _ in stage.asked(ReadAfter):
        stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    line.hear()
    stage.exchange.heard(STREAM, 99, 1, 0, encode(Event(STREAM, 1, 9, 0, msgspec.Raw(b"\x91\x0c"))))  # type: ignore[arg-type]
    stage.run()
    assert line.hear() == []


def test_the_last_words_of_a_socket_reach_the_journal() -> None:
    stage = Stage()
    line = stage.connect()
    say_and_vanish(stage, line, Mutate(1, msgspec.Raw(encode(Say(STREAM, "bye")))))
    assert [entry.number for entry, _ in stage.journal.entries] == [1]


def test_a_clock_that_is_set_back_does_not_make_a_token_last_for_ever() -> None:
    stage = Stage()
    line = stage.connect()
    stage.turns.wall = lambda: stage.now + 1_000_000 - 60
    stage.wait(912)
    assert line.closed is None, "by the clock on the wall it is good"
    stage.wait(70)
    closed: object = line.closed
    assert closed is not None and isinstance(line.frames[-1], Goodbye)


def test_whoever_follows_a_channel_that_crashes_is_present_once() -> None:
    stage = Stage()
    watcher, guest = stage.connect(9, 19), stage.connect(1, 11, cursors=[Cursor(STREAM, 0)])
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    watcher.say(Watch(1, SPACE, True))
    stage.answer(ListMembers, MemberList((), False))
    channel = stage.near.channels.find(STREAM)
    assert channel is not None
    channel.tell_control("no message of a channel's")  # type: ignore[arg-type]
    stage.run()
    assert [pool for pool, _, _ in stage.crashes] == ["channel"]
    guest.say(Follow(2, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    guest.drop()
    watcher.hear()
    stage.wait(3)
    assert [frame for frame in watcher.hear() if isinstance(frame, Presence)][-1] == Presence(SPACE, 0)


def test_a_watch_that_is_denied_leaves_nothing_behind() -> None:
    stage = Stage()
    line = stage.connect()
    line.say(Watch(1, SPACE, True))
    stage.answer(ListMembers, Denied(Code.NOT_FOUND))
    stage.wait(300)
    assert stage.near.communities.find(SPACE) is None


def test_what_is_held_while_the_audience_is_unknown_is_bounded_and_nobody_misses_it() -> None:
    stage = Stage()
    line = stage.connect(cursors=[Cursor(STREAM, 0)])
    stage.answer(ReadAfter, Events(SPACE, 0, 1, (), False))
    line.hear()
    frame = bytes(8 * 1024)
    for seq in range(1, 130):  # the first of them says that the audience has changed, and the database does not answer
        stage.exchange.heard(STREAM, 99, seq, 2, frame)
        stage.run()
    assert line.hear() == [Lagged(STREAM)]
    line.say(Follow(2, STREAM, 0))
    assert [query.after for query in stage.asked(ReadAfter)] == [0]


def test_a_device_that_a_vanished_socket_attached_late_is_not_lost_to_the_socket_that_lives() -> None:
    stage = Stage()
    gone, line = greet(stage), greet(stage)
    gone.drop()
    late, early = stage.store.asked
    stage.store.asked[:] = [early, late]  # two workers of the store: the later question came to the database first
    stage.answer(Attach, attached(generation=5))
    assert isinstance(line.hear()[0], Welcome)
    stage.answer(Attach, attached(generation=6))
    (goodbye,) = line.hear()
    assert isinstance(goodbye, Goodbye) and TABLE[goodbye.code].reconnect is Reconnect.WAIT


def test_a_socket_elsewhere_hears_of_an_attachment_that_came_too_late() -> None:
    stage = Stage()
    greet(stage).drop()
    stage.answer(Attach, attached(generation=6, previous_gateway=99))
    assert stage.link.announced == [(TAKEOVER_TOPIC, takeover_payload(11, 6))]


def test_a_socket_whose_device_never_answers_is_told_to_come_back() -> None:
    stage = Stage()
    line = greet(stage)
    stage.wait(9)
    assert line.closed is None
    stage.wait(2)
    (goodbye,) = line.hear()
    assert isinstance(goodbye, Goodbye) and goodbye.code is Code.OVERLOAD


def test_a_socket_that_was_welcomed_outlives_the_time_for_attaching() -> None:
    stage = Stage()
    line = stage.connect()
    stage.wait(60)
    assert line.closed is None


def test_a_follow_that_fails_does_not_take_the_next_one_along() -> None:
    stage = Stage()
    line = stage.connect()
    line.say(Follow(1, STREAM, 0))
    line.inlet.received(encode(Follow(2, STREAM, 0)))
    stage.answer(ReadAfter, Denied(Code.UNAVAILABLE))
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    assert line.hear()[-1] == Followed(2, STREAM, 0, True)
    line.drop()
    stage.wait(300)
    assert stage.near.channels.find(STREAM) is None, "the session knew what to take back"
