"""What channels and sessions count for whoever watches: each figure moves when what it names happens, and not otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channel import Channel
from actors.histogram import SECONDS, Histogram
from actors.storage import Audience, CheckAudience, Events, Head, Heads, ReadAfter, ReadHeads
from actors.tallies import Farewell, LineSums
from protocol.codec import encode, encode_event
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.events import Said
from protocol.frames import Bye, Ping
from protocol.values import Cursor, LinkQuality
from tests.actors.stage import SPACE, Line, Stage, rows

VALUES = st.lists(st.floats(min_value=0, max_value=20), max_size=50)


@given(VALUES)
def test_a_histogram_holds_each_value_at_the_first_bound_that_is_not_below_it(values: list[float]) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.observe(value)
    assert histogram.total == len(values) and histogram.sum == pytest.approx(sum(values))
    for place, bound in enumerate(SECONDS):
        assert sum(histogram.counts[: place + 1]) == sum(value <= bound for value in values)


@given(VALUES, st.floats(min_value=0.01, max_value=1.0))
def test_a_quantile_is_the_least_bound_with_so_many_values_below_it(values: list[float], share: float) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.observe(value)
    bounds = (*SECONDS, float("inf"))
    wanted = [bound for bound in bounds if values and sum(value <= bound for value in values) >= share * len(values)]
    assert histogram.quantile(share) == (next((bound for bound in wanted if any(value <= bound for value in values)), 0.0))


STREAM = 50


def frame(seq: int) -> bytes:
    return encode_event(STREAM, seq, 9, 1_800_000_000, encode(Said("text")))


def follower(stage: Stage, user: int = 1, device: int = 11, **hello: object) -> Line:
    line = stage.connect(user, device, cursors=[Cursor(STREAM, 0)], **hello)
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    return line


def hear(stage: Stage, *seqs: int, version: int = 0) -> None:
    for seq in seqs:
        stage.exchange.heard(STREAM, 99, seq, version, frame(seq))
    stage.run()
    stage.wait(0.02)


def channel(stage: Stage) -> Channel:
    return next(actor for key, actor in stage.turns.pools["channel"].actors() if key == STREAM)


def test_a_burst_counts_its_events_once_and_a_delivery_for_each_follower() -> None:
    stage = Stage()
    follower(stage, 1, 11)
    follower(stage, 2, 12)
    hear(stage, 1, 2, 3)
    tallies = stage.near.tallies
    assert (tallies.events, tallies.flush_events.total, tallies.flush_events.sum) == (3, 1, 3.0)
    assert tallies.deliveries == 2 and tallies.flush_wait_s.total == 1
    assert (channel(stage).events, channel(stage).pushed) == (3, 2)


def test_a_follower_that_does_not_take_it_is_counted_as_lagging_and_not_as_a_delivery() -> None:
    stage = Stage()
    slow = follower(stage, 1, 11)
    follower(stage, 2, 12)
    slow.refuses = True
    hear(stage, 1)
    tallies = stage.near.tallies
    assert (tallies.deliveries, tallies.lagged) == (1, 1)


def test_a_gap_that_the_link_closes_is_no_repair_and_one_that_postgres_closes_is() -> None:
    stage = Stage()
    follower(stage)
    tallies = stage.near.tallies
    stage.exchange.heard(STREAM, 99, 2, 0, frame(2))
    stage.run()
    assert channel(stage).behind_s(stage.now + 1.0) > 0
    hear(stage, 1)
    stage.wait(0.1)
    assert (tallies.gaps, tallies.repairs, tallies.behind_s.total) == (1, 0, 1)
    hear(stage, 4)
    stage.wait(0.1)
    stage.answer(ReadAfter, Events(SPACE, 4, 0, rows(3, 4), False))
    assert (tallies.gaps, tallies.repairs, tallies.behind_s.total) == (2, 1, 2)
    assert channel(stage).behind_s(stage.now) == 0.0


def test_a_last_event_that_only_the_heads_show_is_counted_and_the_stream_is_behind_until_it_is_read() -> None:
    stage = Stage()
    follower(stage)
    stage.exchange.linked(STREAM)
    stage.run()
    stage.answer(ReadHeads, Heads((Head(STREAM, 1, 0),)))
    assert stage.near.tallies.tails_lost == 1 and channel(stage).behind_s(stage.now + 2.0) >= 2.0
    stage.answer(ReadAfter, Events(SPACE, 1, 0, rows(1, 1), False))
    assert channel(stage).behind_s(stage.now) == 0.0


def test_a_stream_is_behind_while_it_is_not_known_who_may_read() -> None:
    stage = Stage()
    follower(stage)
    hear(stage, 1, version=7)
    assert channel(stage).behind_s(stage.now + 3.0) >= 3.0
    stage.answer(CheckAudience, Audience(7, frozenset({1})))
    assert channel(stage).behind_s(stage.now) == 0.0


def test_sessions_are_counted_by_schema_and_link_from_their_welcome_to_their_end() -> None:
    stage = Stage()
    sessions = stage.near.tallies.sessions
    line = stage.connect(1, 11, link=LinkQuality.POOR, schema=SCHEMA)
    stage.connect(2, 12, link=LinkQuality.POOR, schema=SCHEMA)
    assert sessions == {(SCHEMA, LinkQuality.POOR): 2}
    line.drop()
    assert sessions == {(SCHEMA, LinkQuality.POOR): 1}
    stage.turns.reset()
    assert sessions == {(SCHEMA, LinkQuality.POOR): 0}


def test_a_session_says_farewell_once_with_its_sums() -> None:
    stage = Stage()
    told: list[Farewell] = []
    stage.near.farewell = told.append
    line = stage.connect(1, 11, link=LinkQuality.FAIR, schema=SCHEMA)
    stage.wait(12.0)
    line.say(Ping(1, 0))
    line.sums = LineSums(700, 900, 2, 0.2)
    line.drop(1006)
    [farewell] = told
    assert (farewell.user, farewell.device, farewell.code, farewell.frames_in) == (1, 11, 1006, 2)
    assert farewell.seconds == 12.0 and farewell.quality is LinkQuality.FAIR and farewell.line == line.sums


def test_a_session_that_ended_itself_says_its_own_code_whatever_the_line_says_later() -> None:
    stage = Stage()
    told: list[Farewell] = []
    stage.near.farewell = told.append
    line = stage.connect()
    line.say(Bye())
    line.drop(1006)
    assert [farewell.code for farewell in told] == [int(Code.BYE)]


def test_who_never_said_hello_is_nobody_in_the_farewell_and_in_the_counts() -> None:
    stage = Stage()
    told: list[Farewell] = []
    stage.near.farewell = told.append
    Line(stage).drop()
    assert [(farewell.user, farewell.device, farewell.frames_in) for farewell in told] == [(0, 0, 0)]
    assert not any(stage.near.tallies.sessions.values())


def test_a_wait_is_that_of_the_event_that_came_first_and_not_of_one_that_left_before() -> None:
    """Who joins a busy channel makes leave what is held: what comes next waits from its own coming on."""
    stage = Stage()
    for user in range(1, 101):
        follower(stage, user, user + 10)
    for seq in (1, 2):
        stage.exchange.heard(STREAM, 99, seq, 0, frame(seq))
        stage.run()
    stage.wait(0.0014)
    late = stage.connect(200, 210, cursors=[Cursor(STREAM, 2)])
    stage.answer(ReadAfter, Events(SPACE, 2, 0, (), False))
    late.hear()
    before = stage.near.tallies.flush_wait_s.sum
    assert before == pytest.approx(0.0014)
    stage.wait(0.0006)
    stage.exchange.heard(STREAM, 99, 3, 0, frame(3))
    stage.run()
    stage.wait(0.0005)
    assert len(late.hear()) == 1, "the third has left, when the second would have"
    assert stage.near.tallies.flush_wait_s.sum - before == pytest.approx(0.0004)
