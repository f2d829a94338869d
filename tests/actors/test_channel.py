"""Claims about a channel: what followers are sent, whatever the journal, the link and the database do."""

from __future__ import annotations

import pytest

from actors.channel import HOLD_MAX_S, Channel, ChannelLimits, Follower
from actors.storage import Audience, CheckAudience, Denied, Events, Fact, Head, Heads, ListMembers, MemberList, ReadAfter, ReadHeads, Row
from protocol.codec import encode, encode_event
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.events import AuthorityChanged, Said
from protocol.frames import (
    DOWN_BYTES_GOAL,
    Event,
    Failed,
    Follow,
    Followed,
    IsTyping,
    Lagged,
    Member,
    Presence,
    Typing,
    Unfollow,
    Unfollowed,
    Watch,
)
from protocol.values import Cursor, LinkQuality, Role
from supervisors.cast import CastLimits
from tests.actors.stage import SPACE, Line, Stage, rows

STREAM = 50


def frame(seq: int) -> bytes:
    return encode_event(STREAM, seq, 9, 1_800_000_000, encode(Said(f"text {seq}")))


def hear(stage: Stage, *seqs: int, version: int = 0) -> None:
    """The link brings these events, one after the other."""
    for seq in seqs:
        stage.exchange.heard(STREAM, 99, seq, version, frame(seq))
    stage.wait(0.001)  # a busy channel gathers for some microseconds a follower


def seqs(line: Line) -> list[int]:
    """The numbers of the events that came, in order."""
    return [frame.seq for frame in line.hear() if isinstance(frame, Event)]


def follower(stage: Stage, user: int = 1, device: int = 11, head: int = 0, version: int = 0, **hello: object) -> Line:
    """Somebody who follows the stream live, from its end."""
    line = stage.connect(user, device, cursors=[Cursor(STREAM, head)], **hello)
    stage.answer(ReadAfter, Events(SPACE, head, version, (), False))
    line.hear()
    return line


def test_a_follow_brings_what_was_missed_and_then_what_comes() -> None:
    stage = Stage()
    line = stage.connect(cursors=[Cursor(STREAM, 2)])
    line.hear()
    stage.answer(ReadAfter, Events(SPACE, 4, 0, rows(3, 4), False))
    hear(stage, 5)
    three, four, followed, five = line.hear()
    assert [e.seq for e in (three, four, five) if isinstance(e, Event)] == [3, 4, 5]
    assert followed == Followed(0, STREAM, 4, True)


def test_a_follow_is_read_as_the_user_who_asks() -> None:
    stage = Stage()
    stage.connect(user=7, device=11, cursors=[Cursor(STREAM, 2)])
    (query,) = stage.asked(ReadAfter)
    assert (query.user, query.after) == (7, 2)


def test_a_follow_that_is_refused_says_which_stream_and_why() -> None:
    stage = Stage()
    line = stage.connect()
    line.say(Follow(6, STREAM, 0))
    stage.answer(ReadAfter, Denied(Code.NOT_FOUND))
    (failed,) = line.hear()[1:]
    assert isinstance(failed, Failed) and (failed.id, failed.code, failed.stream) == (6, Code.NOT_FOUND, STREAM)


def test_a_page_that_is_full_is_not_live() -> None:
    stage = Stage()
    line = stage.connect(cursors=[Cursor(STREAM, 0)])
    stage.answer(ReadAfter, Events(SPACE, 9, 0, rows(1, 3), True))
    assert line.frames[-1] == Followed(0, STREAM, 3, False)
    hear(stage, 10)
    assert line.frames[-1] == Followed(0, STREAM, 3, False)


def test_a_cursor_beyond_the_end_belongs_to_another_history() -> None:
    stage = Stage()
    line = stage.connect(cursors=[Cursor(STREAM, 8)])
    stage.answer(ReadAfter, Events(SPACE, 5, 0, (), False))
    assert isinstance(line.frames[-1], Failed) and line.frames[-1].code is Code.CONFLICT


def test_what_was_heard_while_a_page_was_read_follows_it_without_a_gap() -> None:
    stage = Stage()
    first = follower(stage, head=2)
    second = stage.connect(2, 12, cursors=[Cursor(STREAM, 0)])
    hear(stage, 3, 4)
    stage.answer(ReadAfter, Events(SPACE, 2, 0, rows(1, 2), False))
    assert seqs(first) == [3, 4]
    assert seqs(second) == [1, 2, 3, 4]


def test_events_out_of_order_are_delivered_in_order() -> None:
    stage = Stage()
    line = follower(stage)
    hear(stage, 2, 3, 1)
    assert seqs(line) == [1, 2, 3]
    assert not stage.asked(ReadAfter)


def test_events_heard_twice_are_delivered_once() -> None:
    stage = Stage()
    line = follower(stage)
    hear(stage, 1, 1, 2, 1, 2)
    assert seqs(line) == [1, 2]


def test_a_lost_event_is_read_from_postgres_when_the_next_one_shows_the_gap() -> None:
    stage = Stage()
    line = follower(stage)
    hear(stage, 2)
    assert not stage.asked(ReadAfter), "it may still be on its way"
    stage.wait(0.06)
    stage.answer(ReadAfter, Events(SPACE, 2, 0, rows(1, 2), False))
    assert seqs(line) == [1, 2]


def test_a_lost_last_event_is_found_by_comparing_heads() -> None:
    stage = Stage()
    stage.exchange.up()
    stage.cast.wake()
    line = follower(stage)
    stage.wait(1.9)
    assert not stage.asked(ReadHeads)
    stage.wait(0.2)
    stage.answer(ReadHeads, Heads((Head(STREAM, 1, 0),)))
    stage.answer(ReadAfter, Events(SPACE, 1, 0, rows(1, 1), False))
    assert seqs(line) == [1]


def test_a_comparison_of_heads_disturbs_only_channels_to_which_it_is_news() -> None:
    stage = Stage()
    line = follower(stage, head=3, version=2)
    turns = stage.turns.pools["channel"].counts
    before = turns.handled
    for head, version in ((3, 2), (2, 2), (3, 1)):
        stage.exchange.heads_are(Heads((Head(STREAM, head, version),)))
        stage.run()
    assert turns.handled == before
    stage.exchange.heads_are(Heads((Head(STREAM, 3, 3),)))
    stage.run()
    assert stage.asked(CheckAudience), "the same end, but not the same audience"
    stage.answer(CheckAudience, Audience(3, frozenset({1})))
    stage.exchange.heads_are(Heads((Head(STREAM, 4, 3),)))
    stage.run()
    stage.answer(ReadAfter, Events(SPACE, 4, 3, rows(4, 4), False))
    stage.wait(0.001)
    assert seqs(line) == [4]


def test_without_a_link_heads_are_compared_four_times_a_second() -> None:
    stage = Stage()
    stage.exchange.up()
    stage.exchange.down()
    stage.cast.wake()
    line = follower(stage)
    stage.wait(0.6)
    stage.answer(ReadHeads, Heads((Head(STREAM, 1, 0),)))
    stage.answer(ReadAfter, Events(SPACE, 1, 0, rows(1, 1), False))
    assert seqs(line) == [1]


def test_a_subscription_that_holds_only_now_is_compared_with_the_head() -> None:
    stage = Stage()
    line = follower(stage)
    stage.exchange.linked(STREAM)
    stage.run()
    stage.answer(ReadHeads, Heads((Head(STREAM, 1, 0),)))
    stage.answer(ReadAfter, Events(SPACE, 1, 0, rows(1, 1), False))
    assert seqs(line) == [1]


def test_a_gap_is_read_again_when_the_database_was_away() -> None:
    stage = Stage()
    line = follower(stage)
    hear(stage, 2)
    stage.wait(0.06)
    stage.answer(ReadAfter, Denied(Code.UNAVAILABLE))
    assert not stage.asked(ReadAfter)
    stage.wait(0.6)
    stage.answer(ReadAfter, Events(SPACE, 2, 0, rows(1, 2), False))
    assert seqs(line) == [1, 2]


def test_a_burst_is_one_message_and_the_same_bytes_for_everybody() -> None:
    stage = Stage()
    lines = [follower(stage, user, user + 10) for user in (1, 2, 3)]
    before = [line.messages for line in lines]
    for seq in (1, 2, 3, 4):
        stage.exchange.heard(STREAM, 99, seq, 0, frame(seq))
    stage.run()
    assert [line.messages - was for line, was in zip(lines, before, strict=True)] == [1, 1, 1]
    assert [seqs(line) for line in lines] == [[1, 2, 3, 4]] * 3


def test_what_this_gateway_commits_is_published_once_and_delivered_here() -> None:
    stage = Stage()
    line = follower(stage)
    stage.exchange.committed([Fact(STREAM, 1, 9, 1_800_000_000, encode(Said("text 1")), 0)])
    stage.run()
    assert seqs(line) == [1]
    assert stage.link.published == [(STREAM, 1, frame(1))]


def test_a_slow_follower_is_told_to_come_again_and_delays_nobody() -> None:
    stage = Stage()
    slow, quick = follower(stage, 1, 11), follower(stage, 2, 12)
    slow.refuses = True
    hear(stage, 1)
    hear(stage, 2)
    assert slow.hear() == [Lagged(STREAM)]
    assert seqs(quick) == [1, 2]
    slow.refuses = False
    slow.say(Follow(4, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 2, 0, rows(1, 2), False))
    assert seqs(slow) == [1, 2]


def test_a_follower_that_stays_stuck_is_closed_and_one_that_recovers_is_not() -> None:
    stage = Stage()
    stuck, better = follower(stage, 1, 11), follower(stage, 2, 12)
    stuck.refuses = better.refuses = True
    hear(stage, 1)
    stage.wait(30)
    better.inlet.drained()
    stage.wait(40)
    assert stuck.closed is not None and stuck.closed[0] == Code.SLOW
    assert better.closed is None


def test_a_page_is_small_where_the_socket_is_full() -> None:
    stage = Stage()
    line = stage.connect()
    line.queued_bytes = 63 * 1024
    line.say(Follow(1, STREAM, 0))
    line.queued_bytes = 70 * 1024
    line.say(Follow(2, STREAM + 1, 0))
    assert [query.bytes_max for query in stage.asked(ReadAfter)] == [1024, 0]


def test_what_comes_close_together_in_a_busy_channel_leaves_together() -> None:
    stage = Stage()
    lines = [follower(stage, user, user + 10) for user in range(1, 101)]
    hear(stage, 1)
    before = lines[0].messages
    for seq in range(2, 12):
        stage.exchange.heard(STREAM, 99, seq, 0, frame(seq))
        stage.wait(0.0002)
    assert lines[0].messages == before, "100 followers at 8 µs, three times: held for 2.4 ms"
    stage.wait(0.0008)
    assert lines[0].messages == before + 1
    assert seqs(lines[0]) == list(range(1, 12))


@pytest.mark.parametrize(("after_s", "held"), [(0.0007, True), (0.0078, True), (0.0082, False), (1.0, False)])
def test_a_channel_is_busy_for_ten_times_what_its_last_flush_cost(after_s: float, held: bool) -> None:
    stage = Stage()
    lines = [follower(stage, user, user + 10) for user in range(1, 101)]
    hear(stage, 1)
    stage.wait(1.0)
    stage.exchange.heard(STREAM, 99, 2, 0, frame(2))
    stage.run()
    assert seqs(lines[0]) == [1, 2]
    stage.wait(after_s)  # 100 followers at 8 µs
    stage.exchange.heard(STREAM, 99, 3, 0, frame(3))
    stage.run()
    assert seqs(lines[0]) == ([] if held else [3])


def test_nothing_is_held_for_longer_than_the_bound_however_many_follow() -> None:
    stage = Stage()
    lines = [follower(stage, user, user + 10) for user in range(1, 1501)]
    hear(stage, 1)
    stage.wait(0.001)
    stage.exchange.heard(STREAM, 99, 2, 0, frame(2))
    stage.run()
    stage.wait(HOLD_MAX_S)
    assert seqs(lines[0]) == [1, 2]


def test_a_calm_channel_waits_for_nothing() -> None:
    stage = Stage()
    lines = [follower(stage, user, user + 10) for user in range(1, 101)]
    for seq in (1, 2, 3):
        stage.wait(0.01)
        stage.exchange.heard(STREAM, 99, seq, 0, frame(seq))
        stage.run()
        assert seqs(lines[0]) == [seq]


def test_a_changed_audience_is_known_before_anything_more_is_delivered() -> None:
    stage = Stage()
    stays, goes = follower(stage, 1, 11), follower(stage, 2, 12)
    hear(stage, 1, version=1)
    assert not stays.frames and not goes.frames
    stage.answer(CheckAudience, Audience(1, frozenset({1})))
    assert seqs(stays) == [1]
    assert goes.hear() == [Unfollowed(STREAM, Code.FORBIDDEN)]
    hear(stage, 2, version=1)
    assert seqs(stays) == [2]
    assert not goes.frames


def test_an_older_answer_about_the_audience_is_not_believed() -> None:
    stage = Stage()
    line = follower(stage)
    hear(stage, 1, version=2)
    stage.answer(CheckAudience, Audience(1, frozenset({1})))
    assert not line.frames
    stage.answer(CheckAudience, Audience(2, frozenset()))
    assert line.hear() == [Unfollowed(STREAM, Code.FORBIDDEN)]


def test_the_audience_is_asked_for_again_when_the_database_was_away() -> None:
    stage = Stage()
    line = follower(stage)
    hear(stage, 1, version=1)
    stage.answer(CheckAudience, Denied(Code.UNAVAILABLE))
    stage.wait(0.6)
    stage.answer(CheckAudience, Audience(1, frozenset({1})))
    assert seqs(line) == [1]


def test_the_control_stream_makes_channels_check_again_without_any_event_in_them() -> None:
    stage = Stage()
    line = follower(stage, user=1)
    stage.exchange.controlled([Fact(1, 1, 0, 0, encode(AuthorityChanged(SPACE, 1)), 0)])
    stage.run()
    stage.answer(CheckAudience, Audience(1, frozenset()))
    assert line.hear() == [Unfollowed(STREAM, Code.FORBIDDEN)]


def test_who_joins_while_the_audience_is_checked_waits_for_the_answer() -> None:
    stage = Stage()
    follower(stage, 1, 11)
    late = stage.connect(2, 12, cursors=[Cursor(STREAM, 0)])
    hear(stage, 1, version=1)
    stage.answer(ReadAfter, Events(SPACE, 1, 1, rows(1, 1), False))
    assert seqs(late) == [1]
    assert not any(isinstance(frame, Followed) for frame in late.frames)
    stage.answer(CheckAudience, Audience(1, frozenset({1})))
    stage.answer(ReadAfter, Events(SPACE, 1, 1, (), False))
    assert late.hear() == [Followed(0, STREAM, 1, True)]


def test_a_page_that_was_read_before_the_audience_changed_is_read_again() -> None:
    stage = Stage()
    follower(stage, 1, 11)
    late = stage.connect(2, 12, cursors=[Cursor(STREAM, 0)])
    late.hear()
    hear(stage, 1, version=1)
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    assert not late.frames
    stage.answer(ReadAfter, Denied(Code.NOT_FOUND))
    assert isinstance(late.hear()[0], Failed)


def test_a_number_that_a_client_made_up_costs_no_subscription() -> None:
    stage = Stage()
    line = stage.connect()
    line.say(Follow(6, STREAM, 0))
    stage.answer(ReadAfter, Denied(Code.NOT_FOUND))
    assert not stage.link.subscribed
    line.say(Follow(7, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    assert stage.link.subscribed == {STREAM}


def test_after_unfollow_nothing_comes() -> None:
    stage = Stage()
    line = follower(stage)
    line.say(Unfollow(1, STREAM))
    line.hear()
    hear(stage, 1)
    assert not line.frames


def test_a_socket_that_is_gone_is_sent_nothing_and_the_channel_leaves_memory() -> None:
    stage = Stage()
    line = follower(stage)
    line.drop()
    hear(stage, 1)
    assert not line.frames
    assert STREAM in stage.link.subscribed
    stage.wait(100)
    assert stage.near.channels.find(STREAM) is None
    assert STREAM not in stage.link.subscribed


def test_an_answer_to_a_channel_that_crashed_is_none_to_whoever_asks_the_one_in_its_place() -> None:
    stage = Stage()
    member, stranger = stage.connect(1, 11), stage.connect(2, 12)
    member.say(Follow(7, STREAM, 0))
    channel = stage.near.channels.find(STREAM)
    assert channel is not None
    channel.tell("nonsense")  # type: ignore[arg-type]
    stage.run()
    stranger.hear()
    stranger.say(Follow(8, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 3, 1, rows(1, 3), False))  # what the member had asked for
    assert not stranger.hear() and len(stage.crashes) == 1
    stage.answer(ReadAfter, Denied(Code.FORBIDDEN))
    (failed,) = stranger.hear()
    assert isinstance(failed, Failed) and (failed.id, failed.code) == (8, Code.FORBIDDEN)


def test_a_channel_that_crashes_sends_its_followers_back_to_their_cursors() -> None:
    stage = Stage()
    line = follower(stage)
    channel = stage.near.channels.find(STREAM)
    assert channel is not None
    channel.tell("nonsense")  # type: ignore[arg-type]
    stage.run()
    assert line.hear() == [Lagged(STREAM)]
    line.say(Follow(2, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 1, 0, rows(1, 1), False))
    assert seqs(line) == [1]
    hear(stage, 2)
    assert seqs(line) == [2]


def test_a_follow_that_waits_for_a_channel_that_is_given_up_is_refused_for_now() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    channel = stage.near.channels.get(STREAM)
    for _ in range(4):
        channel.tell("nonsense")  # type: ignore[arg-type]
    line.say(Follow(5, STREAM, 0))
    (failed,) = line.hear()
    assert isinstance(failed, Failed) and (failed.id, failed.code, failed.stream) == (5, Code.BUSY, STREAM)
    stage.wait(10.1)
    line.say(Follow(6, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 1, 0, rows(1, 1), False))
    assert seqs(line) == [1]


def test_a_crash_over_a_page_sends_also_whose_page_it_was_back_to_the_cursor() -> None:
    stage = Stage()
    line = follower(stage)
    joining = stage.connect(2, 12, cursors=[Cursor(STREAM, 0)])
    joining.hear()
    stage.answer(ReadAfter, Events(SPACE, 1, 0, (Row(1, 9, 1, None),), False))  # type: ignore[arg-type]
    assert len(stage.crashes) == 1
    assert line.hear() == joining.hear() == [Lagged(STREAM)]
    joining.say(Follow(2, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 1, 0, rows(1, 1), False))
    assert seqs(joining) == [1]


def test_a_crash_over_one_of_those_who_wait_sends_all_of_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    line = follower(stage, version=1)
    hear(stage, 1, version=2)
    waiting = [stage.connect(user, user + 10, cursors=[Cursor(STREAM, 1)]) for user in (2, 3, 4)]
    for other in waiting:
        stage.answer(ReadAfter, Events(SPACE, 1, 2, (), False))
        other.hear()
    met: list[int] = []

    def answer(channel: Channel, follower: Follower, upto: int, *, live: bool) -> None:
        met.append(follower.user)
        raise RuntimeError("over the first of them")

    monkeypatch.setattr(Channel, "_answer", answer)
    stage.answer(CheckAudience, Audience(2, frozenset({1, 2, 3, 4})))
    assert met == [2] and len(stage.crashes) == 1
    assert [type(frame) for frame in line.hear()] == [Event, Lagged]
    assert [other.hear() for other in waiting] == [[Lagged(STREAM)]] * 3


@pytest.mark.parametrize(("quality", "told"), [(LinkQuality.GOOD, True), (LinkQuality.TWO_G, False)])
def test_typing_reaches_good_links_only(quality: LinkQuality, told: bool) -> None:
    stage = Stage()
    typist, reader = follower(stage, 1, 11), follower(stage, 2, 12, link=quality)
    typist.say(Typing(STREAM))
    assert (reader.hear() == [IsTyping(STREAM, 1)]) is told
    assert stage.link.published == [(STREAM, 0, encode(IsTyping(STREAM, 1)))]


def test_typing_is_passed_on_at_most_every_two_seconds() -> None:
    stage = Stage()
    typist, reader = follower(stage, 1, 11), follower(stage, 2, 12)
    typist.say(Typing(STREAM), Typing(STREAM))
    stage.wait(2.1)
    typist.say(Typing(STREAM))
    assert len(reader.hear()) == 2


def test_where_one_blocks_the_other_neither_is_seen_typing_or_present_until_it_is_over() -> None:
    stage = Stage()
    typist, reader = follower(stage, 1, 11), follower(stage, 2, 12)
    reader.say(Watch(9, SPACE, True))
    stage.answer(ListMembers, MemberList((Member(2, Role.LEARNER, "two"),), False))
    for version, silent, online in ((1, True, 0), (2, False, 2)):
        hear(stage, version, version=version)
        stage.answer(CheckAudience, Audience(version, frozenset({1, 2}), silent))
        stage.wait(5.0)
        present = [frame for frame in reader.hear() if isinstance(frame, Presence)]
        assert present[-1].online == online
        typist.say(Typing(STREAM))
        stage.wait(0.1)
        assert [frame for frame in reader.hear() if isinstance(frame, IsTyping)] == ([] if silent else [IsTyping(STREAM, 1)])


def test_what_is_ephemeral_is_dropped_where_there_is_no_room() -> None:
    stage = Stage()
    line = follower(stage)
    line.refuses = True
    stage.exchange.heard(STREAM, 99, 0, 0, encode(IsTyping(STREAM, 3)))
    stage.wait(0.001)
    line.refuses = False
    hear(stage, 1)
    assert seqs(line) == [1]


def test_messages_for_streams_that_nobody_follows_here_wake_nobody() -> None:
    stage = Stage()
    hear(stage, 1)
    assert stage.near.channels.find(STREAM) is None


# Bad links


def said_rows(first: int, last: int, length: int) -> tuple[Row, ...]:
    return tuple(Row(seq, 9, 1_800_000_000, encode(Said("x" * length))) for seq in range(first, last + 1))


def test_a_page_leaves_in_messages_that_a_slow_link_can_finish() -> None:
    stage = Stage()
    line = stage.connect(cursors=[Cursor(STREAM, 0)], link=LinkQuality.TWO_G)
    line.hear()
    sizes: list[int] = []
    take = line._take

    def measure(payload: bytes) -> None:
        sizes.append(len(payload))
        take(payload)

    line._take = measure  # type: ignore[method-assign]
    stage.answer(ReadAfter, Events(SPACE, 20, 0, said_rows(1, 20, 1000), True))
    assert max(sizes) <= DOWN_BYTES_GOAL
    assert sum(sizes) > 20_000 and len(sizes) == 4  # three of seven events at most, and Followed
    assert seqs(line) == list(range(1, 21))


@pytest.mark.parametrize(
    ("link", "schema", "at"),
    [(LinkQuality.TWO_G, SCHEMA, -2), (LinkQuality.FAIR, SCHEMA, -2), (LinkQuality.GOOD, SCHEMA, -1), (LinkQuality.TWO_G, SCHEMA - 1, -1)],
)
def test_on_a_bad_link_a_page_says_how_far_it_goes_while_its_last_message_is_under_way(link: LinkQuality, schema: int, at: int) -> None:
    stage = Stage(CastLimits(channel=ChannelLimits(message_bytes_goal=500)))
    line = stage.connect(cursors=[Cursor(STREAM, 0)], link=link, schema=schema)
    line.hear()
    stage.answer(ReadAfter, Events(SPACE, 20, 0, said_rows(1, 4, 450), True))
    heard = line.hear()
    assert heard[at] == Followed(0, STREAM, 4, False)
    assert [frame.seq for frame in heard if isinstance(frame, Event)] == [1, 2, 3, 4]


def test_a_page_of_one_message_says_how_far_it_goes_behind_it() -> None:
    stage = Stage()
    line = stage.connect(cursors=[Cursor(STREAM, 0)], link=LinkQuality.TWO_G, schema=SCHEMA)
    line.hear()
    stage.answer(ReadAfter, Events(SPACE, 20, 0, said_rows(1, 4, 100), True))
    assert line.hear()[-1] == Followed(0, STREAM, 4, False)


def test_one_event_alone_may_be_longer_than_a_message_should_be() -> None:
    stage = Stage(CastLimits(channel=ChannelLimits(message_bytes_goal=500)))
    line = stage.connect(cursors=[Cursor(STREAM, 0)])
    stage.answer(ReadAfter, Events(SPACE, 3, 0, said_rows(1, 3, 1000), False))
    assert seqs(line) == [1, 2, 3]


@pytest.mark.parametrize(
    ("link", "bytes_max"),
    [
        (LinkQuality.UNKNOWN, 32 * 1024),
        (LinkQuality.EXCELLENT, 32 * 1024),
        (LinkQuality.GOOD, 32 * 1024),
        (LinkQuality.FAIR, 16 * 1024),
        (LinkQuality.POOR, 16 * 1024),
        (LinkQuality.TWO_G, 16 * 1024),
    ],
)
def test_a_page_is_shorter_on_a_link_that_is_no_better_than_fair(link: LinkQuality, bytes_max: int) -> None:
    stage = Stage()
    stage.connect(cursors=[Cursor(STREAM, 0)], link=link)
    assert [query.bytes_max for query in stage.asked(ReadAfter)] == [bytes_max]


def test_a_cursor_older_than_what_is_kept_is_told_to_take_a_snapshot() -> None:
    stage = Stage()
    line = stage.connect()
    line.hear()
    line.say(Follow(4, STREAM, 1))
    stage.answer(ReadAfter, Denied(Code.RESET))
    assert line.hear() == [Failed(4, Code.RESET, stream=STREAM)]
