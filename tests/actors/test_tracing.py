"""What a channel tells of followed events: each once, when it leaves, and nothing of what leaves on other ways."""

from __future__ import annotations

from actors.channel import TRACED_MAX, Channel, ChannelLimits
from actors.messages import Heard
from actors.storage import Audience, CheckAudience, Events, ReadAfter
from actors.tracing import Trace
from protocol.codec import encode, encode_event
from protocol.events import Said
from protocol.frames import Event, Follow, Lagged
from protocol.values import Cursor
from supervisors.cast import CastLimits
from tests.actors.stage import SPACE, Line, Stage, rows

STREAM = 50
TRACE = Trace(2**127 + 1, 77, 1)


class Told:
    """A tracer that writes down the spans without parts: name, number, how long ago it began, how many events left with it."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, int, float, int]] = []

    def sample(self) -> Trace | None:
        return None

    def begin(self, parent: Trace | None) -> Trace:
        return TRACE

    def end(
        self, name: str, span: Trace, parent: Trace | None = None, *, links: tuple[Trace, ...] = (), **facts: int | float | str
    ) -> None:
        """Nothing here has parts."""

    def ended(self, name: str, parent: Trace, began_ago_s: float, **facts: int | float | str) -> None:
        assert parent is TRACE
        self.spans.append((name, int(facts["seq"]), round(began_ago_s, 6), int(facts["events"])))


def followed(limits: ChannelLimits | None = None) -> tuple[Stage, Told, Line]:
    stage = Stage(CastLimits(channel=limits or ChannelLimits()))
    told = stage.near.tracer = Told()
    line = stage.connect(1, 11, cursors=[Cursor(STREAM, 0)])
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    line.hear()
    return stage, told, line


def hear(stage: Stage, *seqs: int, trace: Trace | None = TRACE, version: int = 0) -> None:
    for seq in seqs:
        frame = encode_event(STREAM, seq, 9, 1_800_000_000, encode(Said(f"text {seq}")))
        stage.near.channels.get(STREAM).tell(Heard(seq, version, frame, trace))
    stage.run()


def channel(stage: Stage) -> Channel:
    (actor,) = [actor for _, actor in stage.turns.pools["channel"].actors() if isinstance(actor, Channel)]
    return actor


def test_an_event_that_is_followed_is_told_once_when_it_leaves_with_those_that_leave_beside_it() -> None:
    stage, told, line = followed()
    hear(stage, 1)
    hear(stage, 3)
    stage.wait(0.02)
    assert told.spans == [("flush", 1, 0.0, 1)], "the third waits for the second"
    hear(stage, 2)
    hear(stage, 4, trace=None)
    stage.wait(0.001)
    assert told.spans[1:] == [("flush", 3, 0.02, 2), ("flush", 2, 0.0, 2)]
    assert [frame.seq for frame in line.hear() if isinstance(frame, Event)] == [1, 2, 3, 4]
    assert channel(stage).traced is None


def test_an_event_that_was_read_before_it_was_heard_is_not_told_with_the_next_one_that_leaves() -> None:
    stage, told, line = followed()
    other = stage.connect(2, 12)
    other.say(Follow(1, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 1, 0, rows(1, 1), False))
    stage.wait(0.1)
    assert [frame.seq for frame in line.hear() if isinstance(frame, Event)] == [1]
    hear(stage, 1)
    stage.wait(3600)
    hear(stage, 2, trace=None)
    assert told.spans == [], "an hour that nobody waited"


def test_an_event_that_was_given_up_is_not_told_with_a_later_one() -> None:
    stage, told, line = followed(ChannelLimits(held_bytes_max=20))
    hear(stage, 1, 2, 3, version=1)
    assert line.hear() == [Lagged(STREAM)], "the audience is not known, and too much waits for it"
    stage.answer(CheckAudience, Audience(1, frozenset({1})))
    line.say(Follow(1, STREAM, 3))
    stage.answer(ReadAfter, Events(SPACE, 3, 1, (), False))
    hear(stage, 4, trace=None, version=1)
    assert told.spans == [] and channel(stage).traced is None


def test_what_is_kept_of_followed_events_has_a_bound() -> None:
    stage, _, _ = followed()
    hear(stage, *range(1, TRACED_MAX + 100), version=1)
    assert len(channel(stage).traced or ()) == TRACED_MAX


def test_a_trace_is_in_no_frame() -> None:
    lines = []
    for trace in (None, TRACE):
        stage, _, line = followed()
        hear(stage, 1, trace=trace)
        lines.append(line.hear())
    assert lines[0] == lines[1] != []
