"""What a device does of its own to keep its records: which streams there are, what of them is here, what has to be asked.

    inbox, outcomes, refusals ─▶ due ─▶ Overview ─▶ SyncStreams ─▶ plan ─▶ fetch (snapshot), follow, give up
                                  └───▶ Conflicts ─▶ OpenConflicts

Invariant: what is due is asked on this socket or the next; what was left is dropped, but for changes without an outcome.
"""

from __future__ import annotations

from collections.abc import Callable

from client.keeping import Keeping
from client.mutations import RESTORED, Mutations
from client.open_conflicts import OpenConflicts
from client.questions import Questions
from client.replica import Replica
from client.snapshots import Snapshots
from client.store import Store
from client.streams import Streams
from client.subscription import Fact
from client.sync_status import Behind
from client.sync_streams import SyncStreams
from protocol.codes import Code
from protocol.entities import PRIORITIES, Priority
from protocol.events import ConflictNoted, SpaceEntered, SpaceLeft
from protocol.frames import AnyFrame, Event, Overview, Spaces
from protocol.merge import Outcome, read_outcome
from protocol.operations import Change, Claim, CreateCommunity, Join, Leave, Release, Reopen, Resolve, SetBack

OVERVIEW = "overview due"
"""Noted from when an overview is due until it is answered: a process that is killed in between asks when it comes back."""

_JOINING = frozenset(int(kind.__struct_config__.tag) for kind in (Join, Leave, CreateCommunity))  # type: ignore[arg-type]
_DECIDING = frozenset(int(kind.__struct_config__.tag) for kind in (Claim, Reopen, Resolve, Release, SetBack, Change))  # type: ignore[arg-type]


class Upkeep:
    """See the module. `records`: whether records are kept at all."""

    def __init__(
        self,
        store: Store,
        replica: Replica,
        mutations: Mutations,
        streams: Streams,
        questions: Questions,
        wake: Callable[[], None],
        changed: Callable[[], None],
        records: bool,
    ) -> None:
        self._store = store
        self._mutations = mutations
        self._streams = streams
        self._questions = questions
        self._wake = wake
        self._records = records
        self.sync_streams = SyncStreams(store)
        self.conflicts = OpenConflicts(store, changed)
        self.keeping = Keeping(store, self.sync_streams, replica, self._is_held)
        self.snapshots = Snapshots(replica, self._complete, self._refused)
        mutations.decided = self._decided
        streams.records = lambda stream: stream in self.sync_streams
        streams.news = self._news
        streams.refused = self._refused
        self.heads: dict[int, int] = {}
        """The last event of streams, where an answer told."""
        self._fetched: set[int] = set()
        self._overview_due = self._overview_noted = bool(store.noted(OVERVIEW))
        self._overview_asked = False
        self._plan_due = records and self.sync_streams.told
        self._restoring = bool(store.noted(RESTORED))
        self._rank()

    @property
    def has_something(self) -> bool:
        """Whether there is something to ask for that was not due when it was last asked."""
        return self._plan_due or self._overview_due

    @property
    def is_complete(self) -> bool:
        """Nothing is due, asked, or being fetched."""
        known = self.conflicts.is_known or not self._records
        return known and not (self._overview_due or self._overview_asked or self._plan_due or self.snapshots.wanted)

    def plan_again(self) -> None:
        """What is kept was chosen anew."""
        self._plan_due = True
        self._wake()

    def restore(self) -> None:
        """The database is back at an earlier time: streams of records begin with a snapshot of it, once all is up."""
        self._store.note(RESTORED, b"1")
        self._restoring = True
        self.conflicts.void()
        self._want_overview()
        for one in self.sync_streams.all():
            self._streams.positions.forget(one.stream)
        for size in self._store.sizes():
            if size.stream not in self.sync_streams:
                self._store.forget(size.stream)

    def welcome(self) -> None:
        """A socket is open."""
        self._overview_due = self._records and (self._overview_due or not self.sync_streams.told)
        self._plan_due = self._records and self.sync_streams.told

    def cut(self) -> None:
        """The socket is gone; what was asked and not answered is due again."""
        self._overview_due = self._overview_due or self._overview_asked
        self._overview_asked = False
        self.snapshots.cut()
        self._fetched.clear()
        self.conflicts.cut()

    def unasked(self) -> list[int]:
        """The streams to follow or to fetch a page of, the most urgent first."""
        # An outcome of before that is heard after a snapshot would be waited for as an event, and that event was before the snapshot.
        fetching = [] if self._is_uploading() or self._mutations.is_learning else self.snapshots.unasked()
        following = [stream for stream in self._streams.positions.unasked() if stream not in self.snapshots]
        return sorted([*following, *fetching], key=self._priority)

    def behind(self) -> tuple[Behind, ...]:
        """The streams that are not up to date, the most urgent first."""
        positions = self._streams.positions
        missing = dict.fromkeys([*self.snapshots.wanted, *positions.missing()])
        found = []
        for stream in sorted(missing, key=self._priority):
            known = self.sync_streams.get(stream)
            if known is not None:
                events = max(0, max(known.head, self.heads.get(stream, 0)) - positions.cursor(stream))
                found.append(Behind(stream, known.kind, known.community, events, stream in self.snapshots))
        return tuple(found)

    def ask_what_is_due(self) -> None:
        """Asks for what became due."""
        self.carry_out_plan()
        if self._overview_due and not self._overview_asked:
            self._overview_due, self._overview_asked = False, True
            self._questions.wonder(Overview, self._hear_overview)
        if self._records and self.conflicts.stale:
            self.conflicts.ask(self._questions)

    def _is_uploading(self) -> bool:
        """After a restore everything goes up before snapshots come down: they would show a state without it."""
        if self._restoring and not self._mutations.upload.pending:
            self._store.note(RESTORED, b"")
            self._restoring = False
        return self._restoring

    # What follows from what was heard

    def _news(self, fact: Fact, taken: bool) -> None:
        """An event was taken; or there is one in a stream that nobody reads, which for the inbox means: ask what it would have said."""
        body = fact.body if isinstance(fact, Event) else None
        if not taken:
            if self._streams.positions.priorities.get(fact.stream) == Priority.INBOX and self._records:
                self._want_overview()
                self.conflicts.doubt()
                self._wake()
            return
        match body:
            case SpaceLeft(space):
                self._lose(self.sync_streams.leave(space))
                self._want_overview()
            case SpaceEntered():
                self._want_overview()
            case ConflictNoted():
                self.conflicts.doubt()
            case _:
                return
        self._wake()

    def _decided(self, operation: bytes, code: int, value: int) -> None:
        """A mutation has its outcome: what it may have changed is asked for."""
        if code != Code.OK or len(operation) < 2:
            return
        tag = operation[1]
        if tag in _JOINING:
            self._want_overview()
        elif tag in _DECIDING and (tag != Change.__struct_config__.tag or read_outcome(value)[0] is Outcome.REVIEW):
            self.conflicts.doubt()

    def _hear_overview(self, answer: AnyFrame) -> None:
        self._overview_asked = False
        if isinstance(answer, Spaces):
            self._lose(self.sync_streams.learn(answer))
            self._rank()
            self._plan_due = True
            self._wake()
            if self._overview_noted and not self._overview_due:
                self._overview_noted = False
                self._store.note(OVERVIEW, b"")

    def _want_overview(self) -> None:
        self._overview_due = self._records
        if self._records and not self._overview_noted:
            self._overview_noted = True
            self._store.note(OVERVIEW, b"1")

    def carry_out_plan(self) -> None:
        """Fetches what is to be kept and is not here, and drops what is not to be kept."""
        if not self._plan_due:
            return
        self._plan_due = False
        plan = self.keeping.plan()
        for step in plan.give_up:
            self.keeping.gave_up(step.stream)
            self._drop([step.stream])
        for step in plan.keep:
            if step.stream not in self.snapshots:
                self._streams.follow(step.stream)
        for step in plan.fetch:
            self.snapshots.want(step.stream)

    def _is_held(self, stream: int) -> bool:
        return stream in self._streams.positions or stream in self.snapshots

    def _complete(self, stream: int, head: int) -> None:
        self._fetched.add(stream)
        self._streams.start_at(stream, head)
        self._plan_due = True

    def _refused(self, stream: int, code: int) -> bool:
        """A stream of records cannot be had: from this position (true: a snapshot goes on from it), or at all."""
        if stream not in self.sync_streams or not self._records:
            return False
        self._wake()
        if code == Code.RESET:
            # Once a socket: a server that refuses the head of its own snapshot would be asked without end.
            if stream in self._fetched:
                return False
            self._streams.positions.forget(stream)
            self.snapshots.want(stream)
            return True
        self._lose([stream])
        self.sync_streams.drop([stream])
        self._want_overview()
        return False

    def _lose(self, streams: list[int]) -> None:
        """They may be read no longer: nothing of them stays, also not what their conflicts say of them."""
        self._drop(streams)
        self.conflicts.forget(streams)

    def _drop(self, streams: list[int]) -> None:
        """Their records go from this device; changes without an outcome stay, and are sent."""
        for stream in streams:
            self.snapshots.forget(stream)
            self._streams.unfollow(stream, forget=True)

    def _rank(self) -> None:
        for one in self.sync_streams.all():
            self._streams.positions.priorities[one.stream] = PRIORITIES.get(one.kind, Priority.COMMUNITY)

    def _priority(self, stream: int) -> int:
        return self._streams.positions.priorities.get(stream, Priority.COMMUNITY)
