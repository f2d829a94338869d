"""The server's side of a session, as a table: which frame is legal when, and what follows.

    NEW ──Hello───▶ ATTACHING ──ATTACHED──▶ OPEN ──DRAIN──▶ DRAINING
     │                  ▲ Hello │ Bye, CLOSE ▲ │ Bye, CLOSE      │ Bye, CLOSE
     │ Resume           │       ▼            │ ▼                 ▼
     │               TURNED   CLOSED ◀───────┼───────────────────
     │                  ▲ TURN               │
     └─▶ RESUMING ──────┴─────────ATTACHED───╯

A client need not wait for `Welcome`: what it sends while the session attaches is legal and is held until it is open, because a
round trip on a 2G link costs most of a second.

Invariant: an illegal input raises `Illegal`, which names what would have been legal, and leaves the state as it was.
"""

from __future__ import annotations

from enum import Enum

from protocol.frames import (
    Aware,
    Bye,
    Chunk,
    Command,
    Conflicts,
    DocumentVersions,
    Find,
    FindMentors,
    Follow,
    HeldItems,
    Hello,
    History,
    Holding,
    Inherit,
    LoadDocument,
    Members,
    Mentorships,
    Mutate,
    Overview,
    Ping,
    Refresh,
    Reports,
    Resume,
    Search,
    Snapshot,
    TakeTicket,
    Typing,
    Unapplied,
    Unfollow,
    Versions,
    Watch,
)


class State(Enum):
    """Where a session stands."""

    NEW = "NEW"
    """Connected; nothing is known of the peer."""
    ATTACHING = "ATTACHING"
    """The token is good; the device is being taken over. Commands are held."""
    RESUMING = "RESUMING"
    """The same, for a ticket: or it is no good, and the session turns to what `Hello` says."""
    TURNED = "TURNED"
    """The ticket was not taken: only `Hello` helps. What was sent behind the ticket is passed over."""
    OPEN = "OPEN"
    DRAINING = "DRAINING"
    """As open, but the client has been told when to come back elsewhere."""
    CLOSED = "CLOSED"


class Signal(Enum):
    """What happens to a session other than a frame from its client."""

    ATTACHED = "ATTACHED"
    TURN = "TURN"
    DRAIN = "DRAIN"
    CLOSE = "CLOSE"


Input = type[Command] | Signal

WORK: tuple[type[Command], ...] = (
    Ping,
    Refresh,
    Mutate,
    Follow,
    Unfollow,
    Overview,
    History,
    Typing,
    Watch,
    Members,
    Search,
    Chunk,
    Snapshot,
    Conflicts,
    Unapplied,
    Versions,
    Inherit,
    Holding,
    TakeTicket,
    Reports,
    HeldItems,
    Mentorships,
    FindMentors,
    Aware,
    LoadDocument,
    DocumentVersions,
    Find,
)
"""The commands of a session that is open."""


def _stay(state: State) -> dict[Input, State]:
    return {command: state for command in WORK}


TABLE: dict[State, dict[Input, State]] = {
    State.NEW: {
        Hello: State.ATTACHING,
        Resume: State.RESUMING,
        Bye: State.CLOSED,
        Signal.DRAIN: State.NEW,
        Signal.CLOSE: State.CLOSED,
    },
    State.ATTACHING: {
        **_stay(State.ATTACHING),
        Bye: State.CLOSED,
        Signal.ATTACHED: State.OPEN,
        Signal.DRAIN: State.ATTACHING,
        Signal.CLOSE: State.CLOSED,
    },
    State.RESUMING: {
        **_stay(State.RESUMING),
        Bye: State.CLOSED,
        Signal.ATTACHED: State.OPEN,
        Signal.TURN: State.TURNED,
        Signal.DRAIN: State.RESUMING,
        Signal.CLOSE: State.CLOSED,
    },
    State.TURNED: {
        **_stay(State.TURNED),
        Hello: State.ATTACHING,
        Bye: State.CLOSED,
        Signal.DRAIN: State.TURNED,
        Signal.CLOSE: State.CLOSED,
    },
    State.OPEN: {
        **_stay(State.OPEN),
        Bye: State.CLOSED,
        Signal.DRAIN: State.DRAINING,
        Signal.CLOSE: State.CLOSED,
    },
    State.DRAINING: {
        **_stay(State.DRAINING),
        Bye: State.CLOSED,
        Signal.DRAIN: State.DRAINING,
        Signal.CLOSE: State.CLOSED,
    },
    State.CLOSED: {
        Signal.ATTACHED: State.CLOSED,
        Signal.DRAIN: State.CLOSED,
        Signal.CLOSE: State.CLOSED,
    },
}


def name_of(input: Input) -> str:
    """A frame's or signal's name, as people read it."""
    return input.value if isinstance(input, Signal) else input.__name__


class Illegal(Exception):
    """An input that the table does not have for this state."""

    def __init__(self, state: State, input: Input) -> None:
        legal = ", ".join(sorted(name_of(i) for i in TABLE[state] if not isinstance(i, Signal))) or "nothing"
        super().__init__(f"{name_of(input)} in {state.value}; legal here: {legal}")
        self.state = state
        self.input = input


def step(state: State, input: Input) -> State:
    """The state after `input`. Raises `Illegal`."""
    following = TABLE[state].get(input)
    if following is None:
        raise Illegal(state, input)
    return following


def diagram() -> str:
    """The table as a Mermaid state diagram: one arrow for each pair of states, labelled with what leads from one to the other."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for state, row in TABLE.items():
        for input, following in row.items():
            arrows.setdefault((state, following), []).append(name_of(input))
    lines = ["stateDiagram-v2", f"    [*] --> {State.NEW.value}"]
    lines += [f"    {a.value} --> {b.value}: {', '.join(sorted(names))}" for (a, b), names in arrows.items() if a is not b]
    lines.append(f"    {State.CLOSED.value} --> [*]")
    return "\n".join(lines)
