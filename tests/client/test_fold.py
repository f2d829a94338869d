"""The law of states: a snapshot and the events after it are a fresh snapshot."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from client.fold import Desk, OutOfOrder, Room
from protocol import events as e
from protocol.codec import encode
from protocol.frames import Event, Invitation, Page, PageEvent, Spaces, SpaceState, StreamState
from protocol.values import Role, SpaceKind, StreamKind
from tests.client.fake_server import rewrite

Step = tuple[str, int, int, str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "post", "edit", "delete", "react", "unreact", "clear"]),
        st.integers(1, 3),
        st.integers(0, 9),
        st.sampled_from("abcd"),
    ),
    max_size=40,
)


def play(steps: list[Step]) -> tuple[list[Event], list[list[Event]]]:
    """The events as they came, and the server's whole log (rewritten by edits and deletions) after each of them."""
    came: list[Event] = []
    log: list[Event] = []
    logs: list[list[Event]] = [[]]
    for kind, user, back, text in steps:
        messages = [event.seq for event in log if isinstance(event.body, e.Said | e.Posted)]
        target = messages[-1 - back % len(messages)] if messages else 0
        body: e.AnyBody
        match kind:
            case "edit" if target:
                body = e.Edited(target, text)
            case "delete" if target:
                body = e.Deleted(target)
            case "react" | "unreact" if target:
                body = e.Reacted(target, text, kind == "react")
            case "clear":
                body = e.Cleared(user if back else 0, max(1, len(log)))
            case "post":
                body = e.Posted(text, target)
            case _:
                body = e.Said(text)
        rewrite(log, body)
        event = Event(50, len(log) + 1, user, 1000 + len(log), body)
        log.append(event)
        came.append(event)
        logs.append(list(log))
    return came, logs


def fold(events: list[Event], after: int = 0) -> Room:
    room = Room.beginning_after(50, after)
    for event in events[after:]:
        room.apply(event)
    return room


def page_of(log: list[Event], first: int, last: int) -> Page:
    events = tuple(PageEvent(event.seq, event.author, event.at, Raw(encode(event.body))) for event in log[first:last])
    return Page(1, 50, events, first > 0)


@given(STEPS, st.integers(0, 40))
def test_a_rooms_snapshot_and_the_events_after_it_are_a_fresh_snapshot(steps: list[Step], at: int) -> None:
    came, logs = play(steps)
    at = min(at, len(came))
    room = fold(logs[at])
    for event in came[at:]:
        room.apply(event)
    assert room == fold(logs[-1]) == fold(came)


@given(STEPS, st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_an_older_page_put_in_front_is_as_if_it_had_been_there(steps: list[Step], start: int, joined: int, first: int) -> None:
    """The page may come at any time after the room was begun, and shows the log as it is then."""
    came, logs = play(steps)
    start = min(start, len(came))
    joined = min(max(joined, start), len(came))
    first = min(first, start)
    room = fold(logs[joined][:joined], start)
    room.put_in_front(page_of(logs[joined], first, start))
    for event in came[joined:]:
        room.apply(event)
    whole = fold(came)
    assert room.messages == {seq: message for seq, message in whole.messages.items() if seq > first}
    for seq in room.messages:
        assert room.reactions_to(seq) == whole.reactions_to(seq)


@given(STEPS, st.integers(1, 10))
def test_a_room_that_forgets_keeps_its_newest_messages_as_they_are(steps: list[Step], count: int) -> None:
    came, _ = play(steps)
    whole = fold(came)
    room = copy.deepcopy(whole)
    room.keep_newest(count)
    newest = sorted(whole.messages)[-count:]
    assert room.messages == {seq: whole.messages[seq] for seq in newest}
    assert all(room.reactions_to(seq) == whole.reactions_to(seq) for seq in newest)


@given(
    st.lists(
        st.one_of(
            st.builds(e.SpaceLeft, st.integers(1, 3)),
            st.builds(e.ReadUpTo, st.integers(10, 33), st.integers(1, 9)),
            st.builds(e.Invited, st.integers(1, 3), st.just("a space"), st.sampled_from(Role), st.integers(1, 3)),
            st.builds(e.PersonBlocked, st.integers(1, 3), st.booleans()),
            st.integers(1, 3).map(
                lambda space: e.SpaceEntered(
                    space, SpaceKind.COMMUNITY, f"space {space}", Role.LEARNER, (e.StreamInfo(space * 10, StreamKind.CHANNEL, "general"),)
                )
            ),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_an_overview_and_the_inbox_after_it_are_a_fresh_overview(bodies: list[e.AnyBody], at: int) -> None:
    at = min(at, len(bodies))
    inbox = [Event(1001, seq, 0, 0, body) for seq, body in enumerate(bodies, 1)]

    def overview(upto: int) -> Spaces:
        """The server's own tables after `upto` entries."""
        spaces: dict[int, str] = {}
        read: dict[int, int] = {}
        invited: dict[int, Invitation] = {}
        blocked: set[int] = set()
        for body in bodies[:upto]:
            match body:
                case e.SpaceEntered(space=space, name=name):
                    spaces[space] = name
                    invited.pop(space, None)
                case e.Invited(space, name, role, by):
                    invited[space] = Invitation(space, name, role, by)
                case e.SpaceLeft(space):
                    if spaces.pop(space, None):
                        read.pop(space * 10, None)
                case e.ReadUpTo(stream, seq):
                    read[stream] = max(seq, read.get(stream, 0))
                case e.PersonBlocked(user, True):
                    blocked.add(user)
                    invited = {space: invitation for space, invitation in invited.items() if invitation.by != user}
                case e.PersonBlocked(user, False):
                    blocked.discard(user)
                case _:
                    pass
        return Spaces(
            1,
            upto,
            tuple(
                SpaceState(
                    space,
                    SpaceKind.COMMUNITY,
                    name,
                    Role.LEARNER,
                    (StreamState(space * 10, StreamKind.CHANNEL, "general", 0, read.get(space * 10, 0), True),),
                )
                for space, name in spaces.items()
            ),
            tuple(reversed(invited.values())),
            tuple(sorted(blocked)),
        )

    def visible(desk: Desk) -> tuple[object, ...]:
        streams = {stream for place in desk.places.values() for stream in place.streams}
        return desk.upto, desk.places, {stream: seq for stream, seq in desk.read.items() if stream in streams}

    desk = Desk.from_overview(overview(at))
    for event in inbox[at:]:
        desk.apply(event)
    fresh = Desk.from_overview(overview(len(bodies)))
    assert visible(desk)[:2] == visible(fresh)[:2]
    assert desk.invitations == fresh.invitations
    assert desk.blocked == fresh.blocked


def test_an_event_that_is_not_the_next_is_never_folded_in() -> None:
    room = fold([Event(50, 1, 1, 0, e.Said("one"))])
    with pytest.raises(OutOfOrder):
        room.apply(Event(50, 3, 1, 0, e.Said("three")))
    assert room.upto == 1 and list(room.messages) == [1]
