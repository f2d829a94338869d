"""What a run went through: which rows of the session tables, which messages of actors, which codes. Counted, added up, printed.

    server_session.TABLE ─┐
    client_session.RULES ─┼▶ what there is ─ Coverage counts ─▶ table ─▶ never taken ─▶ exit 1, or a reason that stands in EXCUSED
    unions, Code ─────────┘

What there is comes from the tables themselves: a row that is added tomorrow is one that has to be reached.

Invariant: counting changes nothing of what is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, get_args

from actors import session as sessions
from actors.cell import Actor
from actors.messages import ChannelMessage, CommunityMessage, DeviceMessage, SessionMessage, UserMessage
from actors.watch import WatchMessage
from protocol import client_session, server_session
from protocol.codes import Code
from protocol.frames import AnyFrame

SEEDS_FOR_ALL = 2_500
"""In so many seeds, from any first one, every row is taken: the rarest (a store found out to be copied between Goodbye and the socket's
end) about once in six hundred."""

ACTORS: dict[str, Any] = {
    "session": SessionMessage,
    "device": DeviceMessage,
    "user": UserMessage,
    "channel": ChannelMessage,
    "community": CommunityMessage,
    "headwatch": WatchMessage,
    "devicewatch": WatchMessage,
}
"""What each pool's actors understand."""

_NO_REPORTS = "nobody reports anybody in these stories; tests/system/test_between_people.py"
_NO_MODERATION = "nobody looks at what is held in these stories; tests/system/test_moderation.py"
_NO_MENTORS = "nobody looks for a mentor in these stories; tests/system/test_mentoring.py"
_NO_TRUST = "nobody's trust changes in these stories; tests/system/test_trust.py"
_NO_DOCUMENTS = "nobody writes a document in these stories; tests/system/test_documents.py"
_NO_SEARCH = "nobody searches in messages in these stories; tests/system/test_search.py"
EXCUSED: dict[str, str] = {
    "Found": _NO_SEARCH,
    **{f"{state} ─Find▶ {state}": _NO_SEARCH for state in ("ATTACHING", "RESUMING", "TURNED", "OPEN", "DRAINING")},
    **dict.fromkeys(("RELOAD", "IsAware", "DocumentPart", "DocumentVersionPage", "channel ◀ AwareBy"), _NO_DOCUMENTS),
    **{
        f"{state} ─{command}▶ {state}": _NO_DOCUMENTS
        for command in ("Aware", "LoadDocument", "DocumentVersions")
        for state in ("ATTACHING", "RESUMING", "TURNED", "OPEN", "DRAINING")
    },
    "TOO_LARGE": "only HTTP says it, of a body beyond its bound; tests/gateway/test_web_auth.py",
    "STEP_UP": "only HTTP says it; tests/gateway/test_web_mfa_whole.py",
    "MFA": "only HTTP says it; tests/gateway/test_web_mfa_whole.py",
    "BLOCKED": "nobody blocks anybody in these stories; tests/conformance/test_people_claims.py asks both databases",
    "SLOWED": "no channel is in slow mode in these stories; tests/conformance/test_people_claims.py asks both databases",
    "ReportPage": _NO_REPORTS,
    "HeldPage": _NO_MODERATION,
    **{f"{state} ─HeldItems▶ {state}": _NO_MODERATION for state in ("ATTACHING", "RESUMING", "TURNED", "OPEN", "DRAINING")},
    **{f"{state} ─Reports▶ {state}": _NO_REPORTS for state in ("ATTACHING", "RESUMING", "TURNED", "OPEN", "DRAINING")},
    **dict.fromkeys(("MentorsFound", "MentorsLater", "MentorshipPage"), _NO_MENTORS),
    **{
        f"{state} ─{command}▶ {state}": _NO_MENTORS
        for command in ("FindMentors", "Mentorships")
        for state in ("ATTACHING", "RESUMING", "TURNED", "OPEN", "DRAINING")
    },
    **{f"{actor} ◀ TrustIs": _NO_TRUST for actor in ("session", "device", "user")},
}
"""Rows and codes that no run reaches, each with the reason. A row that is reached all the same loses its excuse: the run fails."""


class Coverage:
    """See the module. Every key is a line of text, so that counts of several processes can be added."""

    def __init__(self) -> None:
        self.server: Counter[str] = Counter()
        self.client: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.frames: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    def add(self, other: Coverage) -> None:
        for name, counts in vars(other).items():
            getattr(self, name).update(counts)

    def heard(self, code: int) -> None:
        """A peer was told this code."""
        self.codes[Code(code).name] += 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Counts what the sessions' machines of both sides do meanwhile."""
        theirs, mine = vars(sessions)["step"], client_session.step
        server, client = self.server, self.client

        def serve(state: server_session.State, input: server_session.Input) -> server_session.State:
            following: server_session.State = theirs(state, input)
            server[server_row(state, input, following)] += 1
            return following

        def go_on(session: client_session.Session, happened: Any, spread: float = 1.0) -> client_session.Step:
            step = mine(session, happened, spread)
            client[client_row(session.state, _kind(happened), step.session.state)] += 1
            return step

        setattr(sessions, "step", serve)  # noqa: B010
        client_session.step = go_on
        try:
            yield
        finally:
            setattr(sessions, "step", theirs)  # noqa: B010
            client_session.step = mine

    def counted(self, pool: str, build: Callable[[Any, Any], Actor[Any]]) -> Callable[[Any, Any], Actor[Any]]:
        """A pool's factory, whose actors' messages are counted."""
        counts = self.messages

        def build_counted(key: Any, context: Any) -> Actor[Any]:
            return _Counted(build(key, context), pool, counts)

        return build_counted


class _Counted:
    """An actor, and a count of what it received."""

    __slots__ = ("_counts", "_inner", "_pool")

    def __init__(self, inner: Actor[Any], pool: str, counts: Counter[str]) -> None:
        self._inner = inner
        self._pool = pool
        self._counts = counts

    def receive(self, message: Any) -> None:
        self._counts[f"{self._pool} ◀ {type(message).__name__}"] += 1
        self._inner.receive(message)

    def passivate(self) -> bool:
        return self._inner.passivate()

    def stopped(self) -> None:
        self._inner.stopped()


# What there is


def server_row(state: server_session.State, input: server_session.Input, following: server_session.State) -> str:
    return f"{state.name} ─{server_session.name_of(input)}▶ {following.name}"


def client_row(state: client_session.State, kind: type, following: client_session.State) -> str:
    return f"{state.name} ─{kind.__name__}▶ {following.name}"


def _kind(happened: Any) -> type:
    kind = type(happened)
    if kind not in client_session.INPUTS and not isinstance(happened, client_session.Input):
        return client_session.Traffic
    return kind


def server_rows() -> list[str]:
    return [server_row(state, input, following) for state, row in server_session.TABLE.items() for input, following in row.items()]


def client_rows() -> list[str]:
    """Each input of each state once for every state that it may lead to."""
    return [client_row(state, kind, to) for state, rules in client_session.RULES.items() for kind, rule in rules.items() for to in rule.to]


def message_rows() -> list[str]:
    return [f"{pool} ◀ {kind.__name__}" for pool, union in ACTORS.items() for kind in get_args(union)]


def frame_rows() -> list[str]:
    return [kind.__name__ for kind in get_args(AnyFrame)]


def code_rows() -> list[str]:
    return [code.name for code in Code]


# What is printed


def report(coverage: Coverage) -> tuple[str, list[str]]:
    """The tables as text, and what is wrong: rows never taken without an excuse, excuses without need, rows that no table has."""
    parts, wrong = [], []
    for title, counts, rows in (
        ("server session", coverage.server, server_rows()),
        ("client session", coverage.client, client_rows()),
        ("messages of actors", coverage.messages, message_rows()),
        ("frames that a client was sent", coverage.frames, frame_rows()),
        ("codes that a client was told", coverage.codes, code_rows()),
    ):
        taken = sum(1 for row in rows if counts[row])
        excused = sum(1 for row in rows if not counts[row] and row in EXCUSED)
        parts.append(f"{title}: {taken} of {len(rows)}, {excused} excused")
        parts += _columns([f"{counts[row]:>9}  {row}" if counts[row] else f"{'never':>9}  {row}" for row in rows])
        parts += [f"    {row} is never taken: {EXCUSED[row]}" for row in rows if not counts[row] and row in EXCUSED]
        wrong += [f"{title}: {row} was never taken" for row in rows if not counts[row] and row not in EXCUSED]
        wrong += [f"{title}: {row} was taken {counts[row]} times and has an excuse" for row in rows if counts[row] and row in EXCUSED]
        unknown = sorted(
            row for row in set(counts) - set(rows) if not row.endswith("Poison")
        )  # which crashes actors, and is none of theirs
        wrong += [f"{title}: {row} stands in no table" for row in unknown]
    return "\n".join(parts), wrong


def _columns(lines: Iterable[str], width: int = 138) -> list[str]:
    """In as many columns as the width has, read downwards."""
    lines = list(lines)
    column = max(map(len, lines)) + 2
    columns = max(1, width // column)
    height = -(-len(lines) // columns)
    return ["".join(line.ljust(column) for line in lines[row::height]).rstrip() for row in range(height)]
