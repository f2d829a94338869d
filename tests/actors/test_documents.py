"""Claims about who is where in a document: the last word of each person, to those whose link is worth it, and never stored."""

from __future__ import annotations

import pytest

from actors.documents import PEOPLE_MAX, Awareness
from protocol.codec import encode
from protocol.frames import Aware, IsAware
from protocol.values import LinkQuality
from tests.actors.stage import Line, Stage
from tests.actors.test_channel import STREAM, follower


def where(line: Line) -> list[bytes]:
    """What was heard of others' whereabouts, in order."""
    return [frame.data for frame in line.hear() if isinstance(frame, IsAware)]


def test_the_first_word_goes_at_once_and_of_what_follows_closely_only_the_last() -> None:
    stage = Stage()
    writer, reader = follower(stage, 1, 11), follower(stage, 2, 12)
    for word in (b"a", b"b", b"c", b"d"):
        writer.say(Aware(STREAM, word))
    assert where(reader) == [b"a"]
    stage.wait(0.11)
    assert where(reader) == [b"d"]
    assert [frame for _, _, frame in stage.link.published] == [encode(IsAware(STREAM, 1, word)) for word in (b"a", b"d")]
    stage.wait(5.0)
    assert where(reader) == [] and len(stage.link.published) == 2, "what is said is passed on once"


@pytest.mark.parametrize(
    ("quality", "heard"),
    [(LinkQuality.GOOD, [b"0", b"9"]), (LinkQuality.FAIR, [b"9"]), (LinkQuality.POOR, []), (LinkQuality.TWO_G, [])],
)
def test_a_fair_link_hears_of_it_once_a_second_and_a_poor_one_never(quality: LinkQuality, heard: list[bytes]) -> None:
    stage = Stage()
    writer, reader = follower(stage, 1, 11), follower(stage, 2, 12, link=quality)
    for word in range(10):
        writer.say(Aware(STREAM, b"%d" % word))
    stage.wait(1.2)
    assert where(reader) == heard


def test_what_another_gateway_says_is_passed_on_here_and_not_back() -> None:
    stage = Stage()
    reader = follower(stage, 2, 12)
    for word in (b"x", b"y", b"z"):
        stage.exchange.heard(STREAM, 99, 0, 0, encode(IsAware(STREAM, 3, word)))
    stage.run()
    stage.wait(0.2)
    assert where(reader) == [b"x", b"z"] and stage.link.published == []


def test_who_does_not_follow_a_document_is_nowhere_in_it() -> None:
    stage = Stage()
    reader, stranger = follower(stage, 2, 12), stage.connect(3, 13)
    stranger.say(Aware(STREAM, b"here"))
    assert where(reader) == [] and stage.link.published == []


def test_of_a_crowd_so_many_are_passed_on_and_no_more() -> None:
    awareness = Awareness()
    for user in range(PEOPLE_MAX + 10):
        awareness.say(user, b"%d" % user, mine=True)
    awareness.say(0, b"again", mine=True)
    frames, mine = awareness.take(keeps=True)
    assert len(frames) == len(mine) == PEOPLE_MAX and b"again" in frames
    assert len(awareness.take_later()) == PEOPLE_MAX and awareness.take(keeps=False) == ([], [])
