"""Claims about presence and watching, and about a user's sessions."""

from __future__ import annotations

import msgspec

from actors.community import PRESENCE_TOPIC, CommunityLimits, PresenceReport
from actors.storage import Denied, Events, Fact, ListMembers, MemberList, ReadAfter
from protocol.codec import encode
from protocol.codes import Code
from protocol.events import AuthorityChanged, SessionRevoked
from protocol.frames import Failed, Frame, Goodbye, Granted, Presence, Watch
from protocol.values import Cursor, LinkQuality
from supervisors.cast import CastLimits
from tests.actors.stage import GATEWAY, SPACE, Line, Stage

STREAM = 50


def follower(stage: Stage, user: int, device: int) -> Line:
    line = stage.connect(user, device, cursors=[Cursor(STREAM, 0)])
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    line.hear()
    return line


def watcher(stage: Stage, user: int, device: int, **hello: object) -> Line:
    line = stage.connect(user, device, **hello)
    line.hear()
    line.say(Watch(1, SPACE, True))
    stage.answer(ListMembers, MemberList((), False))
    assert line.hear() == [Granted(1)]
    return line


def elsewhere(stage: Stage, origin: int, online: int, users: tuple[int, ...], *, wanted: bool = True) -> None:
    stage.exchange.announced(PRESENCE_TOPIC, msgspec.msgpack.encode(PresenceReport(SPACE, origin, online, users, wanted)))
    stage.run()


def reports(stage: Stage) -> list[PresenceReport]:
    """What was said to the other gateways since this was last asked."""
    said = [msgspec.msgpack.decode(payload, type=PresenceReport) for topic, payload in stage.link.announced if topic == PRESENCE_TOPIC]
    stage.link.announced.clear()
    return said


def presences(line: Line) -> list[Frame]:
    return [frame for frame in line.hear() if isinstance(frame, Presence)]


def test_presence_is_told_to_those_who_watch_once_an_interval() -> None:
    stage = Stage()
    line = watcher(stage, 9, 19)
    for user in (1, 2, 3):
        follower(stage, user, user + 10)
    assert not presences(line)
    stage.wait(2.1)
    assert presences(line) == [Presence(SPACE, 3, (1, 2, 3))]
    stage.wait(10)
    assert not presences(line), "nothing changed"


def test_two_devices_of_one_person_are_one_person() -> None:
    stage = Stage()
    line = watcher(stage, 9, 19)
    first, _ = follower(stage, 1, 11), follower(stage, 1, 12)
    stage.wait(2.1)
    assert presences(line) == [Presence(SPACE, 1, (1,))]
    first.drop()
    stage.wait(2.1)
    assert not presences(line)


def test_who_leaves_is_gone() -> None:
    stage = Stage()
    line = watcher(stage, 9, 19)
    guest = follower(stage, 1, 11)
    stage.wait(2.1)
    guest.drop()
    stage.wait(2.1)
    assert presences(line) == [Presence(SPACE, 1, (1,)), Presence(SPACE, 0)]


def test_a_watch_that_waits_for_a_community_that_is_given_up_is_refused_for_now() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    community = stage.near.communities.get(SPACE)
    for _ in range(4):
        community.tell("nonsense")  # type: ignore[arg-type]
    line.say(Watch(3, SPACE, True))
    (failed,) = line.hear()
    assert isinstance(failed, Failed) and (failed.id, failed.code) == (3, Code.BUSY)


def test_presence_is_for_members() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.say(Watch(3, SPACE, True))
    stage.answer(ListMembers, Denied(Code.NOT_FOUND))
    (failed,) = line.hear()
    assert isinstance(failed, Failed) and (failed.id, failed.code) == (3, Code.NOT_FOUND)
    follower(stage, 1, 12)
    stage.wait(5)
    assert not presences(line)


def test_a_poor_link_is_told_numbers_only() -> None:
    stage = Stage()
    line = watcher(stage, 9, 19, link=LinkQuality.TWO_G)
    follower(stage, 1, 11)
    stage.wait(2.1)
    assert presences(line) == [Presence(SPACE, 1)]


def test_gateways_tell_each_other_and_forget_who_is_silent() -> None:
    stage = Stage()
    line = watcher(stage, 9, 19)
    follower(stage, 1, 11)
    elsewhere(stage, 99, 2, (1, 5))
    stage.wait(2.1)
    assert presences(line) == [Presence(SPACE, 2, (1, 5))]
    assert reports(stage)[-1] == PresenceReport(SPACE, GATEWAY, 1, (1,), wanted=True)
    stage.wait(60)
    assert presences(line) == [Presence(SPACE, 1, (1,))]


def test_what_nobody_watches_is_counted_and_costs_nothing() -> None:
    stage = Stage()
    for user in range(1, 21):
        follower(stage, user, user + 100)
    timers = len(stage.turns.alarms)
    stage.wait(65)
    assert not reports(stage)
    assert len(stage.turns.alarms) == timers
    elsewhere(stage, 99, 3, (1, 5, 6), wanted=False)
    stage.wait(65)
    assert not reports(stage), "a gateway that only tells wants no answer"
    assert len(stage.turns.alarms) == timers


def test_the_first_who_watches_has_the_other_gateways_asked_at_once() -> None:
    stage = Stage()
    follower(stage, 1, 11)
    watcher(stage, 9, 19)
    assert reports(stage) == [PresenceReport(SPACE, GATEWAY, 1, (1,), wanted=True)]
    watcher(stage, 8, 18)
    assert not reports(stage)


def test_what_somebody_watches_elsewhere_is_told_at_once_when_it_changes_and_again_for_those_who_missed_it() -> None:
    stage = Stage()
    first = follower(stage, 1, 11)
    elsewhere(stage, 99, 0, ())
    assert reports(stage) == [PresenceReport(SPACE, GATEWAY, 1, (1,), wanted=False)]
    follower(stage, 2, 12)
    stage.wait(2.1)
    first.drop()
    stage.wait(2.1)
    assert [report.users for report in reports(stage)] == [(1, 2), (2,)]
    for _ in range(4):
        stage.wait(20)
        elsewhere(stage, 99, 0, ())
    assert 3 <= len(reports(stage)) <= 5
    stage.wait(60)
    reports(stage)
    follower(stage, 3, 13)
    stage.wait(60)
    assert not reports(stage), "nobody has wanted it for longer than a silent gateway is remembered"


def test_who_comes_where_nobody_was_is_told_to_the_gateway_that_wants_to_know() -> None:
    stage = Stage()
    elsewhere(stage, 99, 0, ())
    stage.wait(5)
    assert not reports(stage), "there was nothing to tell"
    follower(stage, 1, 11)
    stage.wait(2.1)
    assert reports(stage) == [PresenceReport(SPACE, GATEWAY, 1, (1,), wanted=False)]


def test_a_gateway_of_the_previous_version_wants_to_know_always() -> None:
    stage = Stage()
    follower(stage, 1, 11)
    stage.exchange.announced(PRESENCE_TOPIC, msgspec.msgpack.encode((SPACE, 99, 1, (7,))))
    stage.run()
    assert [report.online for report in reports(stage)] == [1]


def test_a_crowd_is_a_number() -> None:
    stage = Stage(CastLimits(community=CommunityLimits(named_max=2)))
    line = watcher(stage, 9, 19)
    elsewhere(stage, 99, 500, (5, 6))
    stage.wait(2.1)
    assert presences(line) == [Presence(SPACE, 500)]


def test_watching_ends_when_asked_and_with_the_socket() -> None:
    stage = Stage()
    line = watcher(stage, 9, 19)
    line.say(Watch(2, SPACE, False))
    assert line.hear() == [Granted(2)]
    follower(stage, 1, 11)
    stage.wait(3)
    assert not presences(line)


def test_a_community_that_crashes_knows_again_who_is_there_and_who_watches() -> None:
    stage = Stage()
    line = watcher(stage, 9, 19)
    follower(stage, 1, 11)
    stage.wait(2.1)
    line.hear()
    community = stage.near.communities.find(SPACE)
    assert community is not None
    community.tell("nonsense")  # type: ignore[arg-type]
    stage.run()
    stage.answer(ListMembers, MemberList((), False))
    follower(stage, 2, 12)
    stage.wait(2.1)
    assert presences(line)[-1] == Presence(SPACE, 2, (1, 2))


def test_a_watch_is_answered_once_also_when_its_owners_authority_is_looked_at_again() -> None:
    stage = Stage()
    line = watcher(stage, 9, 19)
    for answer in (MemberList((), False), Denied(Code.NOT_FOUND)):
        stage.exchange.controlled([Fact(1, 1, 0, 0, encode(AuthorityChanged(SPACE, 9)), 0)])
        stage.run()
        stage.answer(ListMembers, answer)
        assert not [frame for frame in line.hear() if isinstance(frame, Granted | Failed)]


def test_a_watch_that_was_looked_into_when_the_community_crashed_is_answered_all_the_same() -> None:
    stage = Stage()
    line = stage.connect(9, 19)
    line.hear()
    line.say(Watch(7, SPACE, True))
    community = stage.near.communities.find(SPACE)
    assert community is not None
    community.tell("nonsense")  # type: ignore[arg-type]
    stage.run()
    stage.answer(ListMembers, MemberList((), False))  # what the crashed one had asked
    assert not line.hear()
    stage.answer(ListMembers, MemberList((), False))
    assert line.hear() == [Granted(7)]


def test_a_watch_that_is_turned_off_before_it_was_looked_into_is_answered_too() -> None:
    stage = Stage()
    line = stage.connect(9, 19)
    line.hear()
    line.say(Watch(7, SPACE, True))
    line.say(Watch(8, SPACE, False))
    stage.answer(ListMembers, MemberList((), False))
    assert sorted(frame.id for frame in line.hear() if isinstance(frame, Granted)) == [7, 8]
    follower(stage, 1, 11)
    stage.wait(3)
    assert not presences(line)


def test_a_revoked_session_ends_and_the_others_do_not() -> None:
    stage = Stage()
    phone, laptop, other = stage.connect(1, 11), stage.connect(1, 12), stage.connect(2, 13)
    stage.exchange.controlled([Fact(1, 1, 0, 0, encode(SessionRevoked(1, 511)), 0)])
    stage.run()
    assert isinstance(phone.frames[-1], Goodbye) and phone.frames[-1].code is Code.REVOKED
    assert laptop.closed is None and other.closed is None
    stage.exchange.controlled([Fact(1, 2, 0, 0, encode(SessionRevoked(1, 0)), 0)])
    stage.run()
    assert laptop.closed is not None and laptop.closed[0] == Code.REVOKED
    assert other.closed is None


def test_a_user_that_crashes_still_hears_of_revocation() -> None:
    stage = Stage()
    line = stage.connect(1, 11)
    user = stage.near.users.find(1)
    assert user is not None
    user.tell("nonsense")  # type: ignore[arg-type]
    stage.run()
    assert line.closed is None
    stage.exchange.controlled([Fact(1, 1, 0, 0, encode(SessionRevoked(1, 0)), 0)])
    stage.run()
    assert line.closed is not None and line.closed[0] == Code.REVOKED


def test_a_revocation_committed_here_is_looked_up_at_once_and_hinted_at() -> None:
    stage = Stage()
    stage.exchange.committed([Fact(1, 1, 0, 0, encode(SessionRevoked(1, 0)), 0)])
    assert stage.pokes == 1
    assert stage.link.announced == [("control", b"")]
