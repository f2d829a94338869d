"""The client's side of a session, over as many sockets as it takes: a table of states and inputs, and nothing that waits.

                        ┌▶ RESUMING ─Resumed─╮
                        │     ▼ TicketRefused▼
    IDLE ─▶ CONNECTING ─┴▶ GREETING ─Welcome─▶ ONLINE ─▶ DRAINING
                ▲  ▲          │ Cut             │ Cut, Goodbye ▶ LEAVING
                │  └─RENEWING◀┤                 │
                └────WAITING◀─┴─────────────────┘        ENDED: a code that says so, or the owner's wish

Whoever runs it feeds what happened (a socket opened, a frame came, a wait is over) and carries out the actions that come back.
What a code means for reconnecting stands in `protocol.codes.TABLE` alone. Waits grow by full jitter: uniform between zero and a
doubling bound, so that a crowd that lost its server together does not come back together.

Invariant: `step` is a function of its arguments. An input that the table does not list raises `IllegalInput` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from protocol.codes import TABLE, Code, Reconnect
from protocol.frames import Draining, Frame, Goodbye, Resumed, Welcome

BACKOFF_BASE_MS = 500
"""The first wait is drawn from zero to this. Half a second is below what people notice as being offline."""
BACKOFF_MAX_MS = 8_000
"""The bound stops doubling here, after four failures: however long the outage was, every client has tried within eight seconds of its
end, four on average. A refused connection costs a server next to nothing, and one that has more to bear says so itself: what its
`Goodbye` asks for comes on top."""
BACKOFF_BLAMED_MAX_MS = 60_000
"""The bound where the server ended the socket for what this client sent (`BLAMED`): the same again will end the same way, so there is no
hurry to be had, and a client with a fault is quiet soon."""
STEADY_MS = 3_000
"""A session that lasted this long was a good one: the next wait starts from the base again. A shorter one counts as a failure, or
a server that welcomes and crashes would be hammered at the base rate. Ten seconds proved too long: while a database comes and goes,
sessions live for a few seconds, and devices that had been online were still backing off when it was well again."""
HURRIED_MS = 1_000
"""A wait that the application cuts short lasts this long all the same, counted from its beginning: an application that hurries at
every turn asks once a second, no faster."""
BLAMED = frozenset({Code.BAD_FRAME, Code.ILLEGAL, Code.FLOOD})
"""Ends for which the server blames the client."""
ECHO_MS = 45_000
"""A takeover this soon after a Welcome, on a socket that followed a broken one, may be that one's doing: its Hello waited at a busy server
while this client, whose network had gone, was back already at another. To obey would leave the device with no socket at all.
So long, because a server may stand still, and then the client may read late, each for less than a heartbeat, of 45 s."""
ECHOES_MAX = 2
"""Takeovers in a row that are taken for such echoes: two programs that really share a device must not throw each other out for ever."""
RENEWALS_MAX = 3
"""Tokens renewed in a row without a Welcome. A fresh token refused this often will not be liked better the next time."""


class State(Enum):
    """Where a session stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    GREETING = "greeting"
    RESUMING = "resuming"
    ONLINE = "online"
    DRAINING = "draining"
    LEAVING = "leaving"
    WAITING = "waiting"
    RENEWING = "renewing"
    ENDED = "ended"


class Input(Struct, frozen=True):
    """Root of what can happen to a session, beside the frames `Welcome`, `Resumed`, `Draining` and `Goodbye`."""


class Began(Input, frozen=True):
    """Somebody wants this session."""


class Connected(Input, frozen=True):
    """The socket is open. `ticket`: there is one to resume with, of this epoch and of the token that would be shown."""

    ticket: bool = False


class TicketRefused(Input, frozen=True):
    """The server does not take the ticket, and waits for `Hello` on the same socket."""


class ConnectFailed(Input, frozen=True):
    """No socket could be opened."""

    detail: str = ""


class Traffic(Input, frozen=True):
    """Any frame that concerns streams, mutations or requests rather than the session itself."""


class Cut(Input, frozen=True):
    """The socket is gone. `code` is the WebSocket close code or one of `Code`; 0 and 1006 say that nobody said why.

    `online_ms` is how long the session was open, `waited_ms` how much of a delay announced by `Draining` has passed.
    """

    code: int = 0
    detail: str = ""
    online_ms: int = 0
    waited_ms: int = 0


class Waited(Input, frozen=True):
    """The wait asked for by `Wait` or `LeaveAfter` is over."""


class Renewed(Input, frozen=True):
    """There is a new access token."""


class RenewFailed(Input, frozen=True):
    """No new token could be had now, for the world's reasons."""

    detail: str = ""


class TokenRefused(Input, frozen=True):
    """The right to renew is itself refused: somebody has to log in again."""

    detail: str = ""


class Broken(Input, frozen=True):
    """This device cannot go on, because of `code` (for example a store that was copied)."""

    code: Code
    detail: str = ""


class Stopped(Input, frozen=True):
    """The owner is done with this session."""


class Action(Struct, frozen=True):
    """Root of what whoever runs the session does next."""


class Connect(Action, frozen=True):
    """Open a socket: then `Connected` or `ConnectFailed`."""


class Greet(Action, frozen=True):
    """Send `Hello`."""


class ShowTicket(Action, frozen=True):
    """Send the frame `Resume`."""


class Resume(Action, frozen=True):
    """Send what is unanswered, follow what is wanted. `reset`: the database was restored, and every cursor is void."""

    last_number: int
    reset: bool


class LeaveAfter(Action, frozen=True):
    """Keep working, and feed `Waited` after this long."""

    ms: int


class Leave(Action, frozen=True):
    """Send `Bye` and close the socket: then `Cut`."""


class Close(Action, frozen=True):
    """Close the socket, without a word: then `Cut`."""


class Wait(Action, frozen=True):
    """Without a socket: feed `Waited` after this long; after `least_ms` already if the application is in a hurry.

    What the server asked for is never cut short.
    """

    ms: int
    least_ms: int = 0


class Renew(Action, frozen=True):
    """Get a new access token: then `Renewed`, `RenewFailed` or `TokenRefused`."""


class End(Struct, frozen=True):
    """Why a session is over for good. `code` 0 is the owner's wish."""

    code: int
    detail: str = ""


class Session(Struct, frozen=True):
    """All that the machine remembers. `failures` counts attempts without a steady session, `echoes` takeovers that were not believed;
    `told` is the server's parting word, `moving` says that this side leaves a draining server of its own accord, `by_ticket` that a ticket
    was shown on this socket and is not taken yet, `token_first` that no ticket is shown until the token was taken."""

    state: State = State.IDLE
    epoch: int = 0
    failures: int = 0
    echoes: int = 0
    renewals: int = 0
    renew_first: bool = False
    delay_ms: int = 0
    moving: bool = False
    by_ticket: bool = False
    token_first: bool = False
    told: Goodbye | None = None
    end: End | None = None


class Step(Struct, frozen=True):
    """The session after an input, and what to do."""

    session: Session
    actions: tuple[Action, ...] = ()


class IllegalInput(Exception):
    """An input that the present state does not know: a fault of the server's, or of whoever runs the machine. Nothing has changed."""

    def __init__(self, state: State, name: str, legal: tuple[str, ...]) -> None:
        super().__init__(f"{name} in {state.name}; legal here: {', '.join(legal)}")
        self.state = state
        self.name = name
        self.legal = legal


def backoff_ms(failures: int, spread: float, bound_ms: int = BACKOFF_MAX_MS) -> int:
    """Full jitter: uniform in [0, base · 2^failures), bounded. `spread` is the uniform number in [0, 1)."""
    return int(spread * min(bound_ms, BACKOFF_BASE_MS * 2 ** min(failures, 16)))


def reconnect_rule(code: int) -> Reconnect:
    """What to do after a socket ended with `code`; codes that this table does not know are taken for weather."""
    try:
        row = TABLE[Code(code)]
    except ValueError:
        return Reconnect.WAIT
    return row.reconnect or Reconnect.WAIT


def step(session: Session, happened: Input | Frame, spread: float = 1.0) -> Step:
    """What `happened` makes of `session`. `spread` is uniform in [0, 1) and used for waits. Raises `IllegalInput`."""
    rules = RULES[session.state]
    kind = type(happened)
    rule = rules.get(Traffic if kind not in INPUTS and isinstance(happened, Frame) else kind)
    if rule is None:
        raise IllegalInput(session.state, kind.__name__, tuple(sorted(legal.__name__ for legal in rules)))
    return rule.decide(session, happened, spread)


def draw() -> str:
    """The table as lines of `STATE ─Input▶ STATE, STATE`."""
    lines = []
    for state, rules in RULES.items():
        for kind, rule in rules.items():
            lines.append(f"{state.name} ─{kind.__name__}▶ {', '.join(to.name for to in rule.to)}")
    return "\n".join(lines)


# Decisions


def _connect(session: Session, _: object, __: float) -> Step:
    return Step(replace(session, state=State.CONNECTING, renew_first=False, told=None), (Connect(),))


def _begin(session: Session, connected: Connected, _: float) -> Step:
    if connected.ticket and not session.token_first:
        return Step(replace(session, state=State.RESUMING, by_ticket=True), (ShowTicket(),))
    return Step(replace(session, state=State.GREETING), (Greet(),))


def _greet(session: Session, _: object, __: float) -> Step:
    return Step(replace(session, state=State.GREETING, by_ticket=False), (Greet(),))


def _open(session: Session, welcome: Welcome, _: float) -> Step:
    reset = session.epoch not in (0, welcome.epoch)
    online = replace(session, state=State.ONLINE, epoch=welcome.epoch, renewals=0, token_first=False)
    return Step(online, (Resume(welcome.last_number, reset),))


def _resume(session: Session, resumed: Resumed, _: float) -> Step:
    """A ticket is of one epoch: nothing was restored since."""
    return Step(replace(session, state=State.ONLINE, renewals=0, by_ticket=False), (Resume(resumed.last_number, False),))


def _stay(session: Session, _: object, __: float) -> Step:
    return Step(session)


def _drain(session: Session, draining: Draining, _: float) -> Step:
    delay_ms = max(0, draining.delay_ms)
    return Step(replace(session, state=State.DRAINING, delay_ms=delay_ms), (LeaveAfter(delay_ms),))


def _move(session: Session, _: object, __: float) -> Step:
    """The announced delay is over: go of one's own accord, and come back at once."""
    return Step(replace(session, state=State.LEAVING, delay_ms=0, moving=True), (Leave(),))


def _hear_goodbye(session: Session, goodbye: Goodbye, _: float) -> Step:
    return Step(replace(session, state=State.LEAVING, moving=False, told=goodbye), (Close(),))


def _wait(session: Session, floor_ms: int, spread: float, bound_ms: int = BACKOFF_MAX_MS) -> Step:
    waiting = replace(session, state=State.WAITING, failures=session.failures + 1, delay_ms=0, told=None)
    ms = floor_ms + backoff_ms(session.failures, spread, bound_ms)
    return Step(waiting, (Wait(ms, min(ms, max(floor_ms, HURRIED_MS))),))


def _retry(session: Session, _: ConnectFailed, spread: float) -> Step:
    return _wait(session, 0, spread)


def _renew_later(session: Session, _: RenewFailed, spread: float) -> Step:
    return _wait(replace(session, renew_first=True), 0, spread)


def _lose(session: Session, cut: Cut, spread: float) -> Step:
    """The socket is gone: what the server said last decides, else the close code."""
    followed_a_broken_one = session.failures > 0
    if cut.online_ms >= ECHO_MS:
        session = replace(session, echoes=0)
    if cut.online_ms >= STEADY_MS:
        session = replace(session, failures=0)
    told = session.told
    code, floor_ms = (int(told.code), max(0, told.wait_ms)) if told is not None else (cut.code, 0)
    rule = reconnect_rule(code)
    by_ticket, session = session.by_ticket, replace(session, by_ticket=False)
    if code == Code.REVOKED and by_ticket:
        # The ticket may be of a session that a later login put an end to: whether there is one, the token decides.
        return _wait(replace(session, token_first=True), floor_ms, spread)
    if code == Code.TAKEN_OVER and followed_a_broken_one and cut.online_ms < ECHO_MS and session.echoes < ECHOES_MAX:
        return _wait(replace(session, echoes=session.echoes + 1), floor_ms, spread)
    if rule is Reconnect.NO:
        return Step(replace(session, state=State.ENDED, end=End(code, told.detail if told is not None else cut.detail)))
    if rule is Reconnect.REFRESH:
        if session.renewals >= RENEWALS_MAX:
            return Step(replace(session, state=State.ENDED, end=End(code, "a fresh token was refused again and again; log in again")))
        return Step(replace(session, state=State.RENEWING, renewals=session.renewals + 1, told=None), (Renew(),))
    if rule is Reconnect.NOW and session.failures == 0:
        return Step(replace(session, state=State.WAITING, failures=1, told=None), (Wait(floor_ms, floor_ms),))
    return _wait(session, floor_ms, spread, BACKOFF_BLAMED_MAX_MS if code in BLAMED else BACKOFF_MAX_MS)


def _lose_while_draining(session: Session, cut: Cut, spread: float) -> Step:
    """Cut before the announced delay was over: its rest is still owed, unless the code says something stronger."""
    if reconnect_rule(cut.code) in (Reconnect.NO, Reconnect.REFRESH):
        return _lose(session, cut, spread)
    owed_ms = max(0, session.delay_ms - cut.waited_ms)
    return Step(replace(session, state=State.WAITING, failures=0, delay_ms=0), (Wait(owed_ms, owed_ms),))


def _left(session: Session, cut: Cut, spread: float) -> Step:
    """After a move of our own the way back is at once; otherwise the server's goodbye decides."""
    if session.moving:
        return Step(replace(session, state=State.CONNECTING, failures=0, moving=False), (Connect(),))
    return _lose(session, cut, spread)


def _waited(session: Session, waited: Waited, spread: float) -> Step:
    if session.renew_first:
        return Step(replace(session, state=State.RENEWING, renew_first=False), (Renew(),))
    return _connect(session, waited, spread)


def _refuse_token(session: Session, refused: TokenRefused, _: float) -> Step:
    return Step(replace(session, state=State.ENDED, end=End(int(Code.UNAUTHENTICATED), refused.detail)))


def _break(session: Session, broken: Broken, _: float) -> Step:
    return Step(replace(session, state=State.ENDED, end=End(int(broken.code), broken.detail)), (Close(),))


def _stop(session: Session, _: object, __: float) -> Step:
    leaving: tuple[Action, ...] = (Leave(),) if session.state in (State.ONLINE, State.DRAINING) else (Close(),)
    return Step(replace(session, state=State.ENDED, end=End(0)), leaving)


class Rule(Struct, frozen=True):
    """Where an input may lead, and who decides."""

    to: tuple[State, ...]
    decide: Callable[[Session, Any, float], Step]


_CUT = Rule((State.WAITING, State.RENEWING, State.ENDED), _lose)
_STOP = Rule((State.ENDED,), _stop)

RULES: dict[State, dict[type, Rule]] = {
    State.IDLE: {
        Began: Rule((State.CONNECTING,), _connect),
        Stopped: _STOP,
    },
    State.CONNECTING: {
        Connected: Rule((State.GREETING, State.RESUMING), _begin),
        ConnectFailed: Rule((State.WAITING,), _retry),
        RenewFailed: Rule((State.WAITING,), _renew_later),
        TokenRefused: Rule((State.ENDED,), _refuse_token),
        Stopped: _STOP,
    },
    State.GREETING: {
        Welcome: Rule((State.ONLINE,), _open),
        Goodbye: Rule((State.LEAVING,), _hear_goodbye),
        Cut: _CUT,
        Stopped: _STOP,
    },
    State.RESUMING: {
        Resumed: Rule((State.ONLINE,), _resume),
        TicketRefused: Rule((State.GREETING,), _greet),
        Goodbye: Rule((State.LEAVING,), _hear_goodbye),
        Cut: _CUT,
        Stopped: _STOP,
    },
    State.ONLINE: {
        Traffic: Rule((State.ONLINE,), _stay),
        Draining: Rule((State.DRAINING,), _drain),
        Goodbye: Rule((State.LEAVING,), _hear_goodbye),
        Cut: _CUT,
        Broken: Rule((State.ENDED,), _break),
        Stopped: _STOP,
    },
    State.DRAINING: {
        Traffic: Rule((State.DRAINING,), _stay),
        Draining: Rule((State.DRAINING,), _drain),
        Waited: Rule((State.LEAVING,), _move),
        Goodbye: Rule((State.LEAVING,), _hear_goodbye),
        Cut: Rule((State.WAITING, State.RENEWING, State.ENDED), _lose_while_draining),
        Broken: Rule((State.ENDED,), _break),
        Stopped: _STOP,
    },
    # Frames that were on their way when the end was decided are still good; a wait that ends now comes too late to matter.
    State.LEAVING: {
        Traffic: Rule((State.LEAVING,), _stay),
        Draining: Rule((State.LEAVING,), _stay),
        Goodbye: Rule((State.LEAVING,), _hear_goodbye),
        Waited: Rule((State.LEAVING,), _stay),
        Cut: Rule((State.CONNECTING, State.WAITING, State.RENEWING, State.ENDED), _left),
        Broken: Rule((State.ENDED,), _break),
        Stopped: _STOP,
    },
    State.WAITING: {
        Waited: Rule((State.CONNECTING, State.RENEWING), _waited),
        Stopped: _STOP,
    },
    State.RENEWING: {
        Renewed: Rule((State.CONNECTING,), _connect),
        RenewFailed: Rule((State.WAITING,), _renew_later),
        TokenRefused: Rule((State.ENDED,), _refuse_token),
        Stopped: _STOP,
    },
    # What was still on its way when the end was decided changes nothing.
    State.ENDED: {
        Traffic: Rule((State.ENDED,), _stay),
        Draining: Rule((State.ENDED,), _stay),
        Goodbye: Rule((State.ENDED,), _stay),
        Waited: Rule((State.ENDED,), _stay),
        Cut: Rule((State.ENDED,), _stay),
        Stopped: Rule((State.ENDED,), _stay),
    },
}

INPUTS: frozenset[type] = frozenset(kind for rules in RULES.values() for kind in rules)
"""Every input that some state knows; other frames count as `Traffic`."""
