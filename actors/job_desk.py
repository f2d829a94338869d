"""The jobs' desk: what an operator sees of queues, failures and schedules, and may do about them.

    overview ─▶ a line a kind      find ─▶ jobs and dead letters, newest first      schedules
    retry ─▶ a dead letter is a job again      cancel ─▶ a waiting job is gone, a running one is told, a dead letter is forgotten

Invariant: payloads are shown to nobody: they may hold links that open accounts.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Protocol

from msgspec import Meta, Struct

COUNT_MAX: Final = 200_000
"""Rows that an overview counts; where there are more its figures say at least how many."""
PAGE_MAX: Final = 200

REGIONS_MAX: Final = 100
"""Regions without a worker that are named."""

State = Literal["ready", "delayed", "running", "dead"]
STATES: Final[tuple[State, ...]] = ("ready", "delayed", "running")
"""As the table numbers them; dead letters have a table of their own."""

REASONS: Final = {1: "failed too often", 2: "too late", 3: "hopeless", 4: "its workers were lost"}


class KindFigures(Struct, frozen=True):
    """One kind now, and in this hour and the one before."""

    kind: str
    ready: int = 0
    delayed: int = 0
    running: int = 0
    dead: int = 0
    failing: int = 0
    """Of those that wait: tried before, and failed."""
    oldest_s: float = 0.0
    """How long the oldest ready one has been ready."""
    done: int = 0
    failed: int = 0
    """Attempts."""
    cancelled: int = 0
    run_ms: float = 0.0
    """Mean of a run."""


class RegionFigures(Struct, frozen=True):
    """A region of which no living worker takes jobs: how many wait, and how long the first has been due (below 0: until it is)."""

    region: str
    waiting: int
    oldest_s: float


class JobView(Struct, frozen=True):
    """One job or dead letter. Times are Unix seconds, 0 where there is none."""

    id: int
    kind: str
    state: State
    priority: int
    key: str
    space: int
    attempts: int
    created_at: float
    due_at: float
    """Ready since, or when it is; of a dead letter: when it died."""
    begun_at: float
    worker: str
    done: int
    total: int
    words: str
    reason: str
    error: str
    payload_bytes: int
    effect_key: str


class ScheduleView(Struct, frozen=True):
    """One schedule. Times are Unix seconds, 0 where there is none."""

    name: str
    kind: str
    timing: str
    next_at: float
    fired_at: float
    fired: int
    skipped: int
    ended_at: float
    error: str


class JobsWanted(Struct, frozen=True):
    """Which jobs: of a kind, in a state, before a number."""

    kind: str = ""
    state: State | None = None
    before: int = 0
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 50


Cancelled = Literal["gone", "told", "forgotten", "unknown"]


class Desk(Protocol):
    """All may raise `StorageError`. `actor`: who does it, for the audit; 0 is whoever has the machine. `address`: from where."""

    async def overview(self) -> list[KindFigures]: ...

    async def unserved(self) -> list[RegionFigures]:
        """At most `REGIONS_MAX`, in their order."""
        ...

    async def find(self, wanted: JobsWanted) -> list[JobView]: ...

    async def show(self, id: int) -> JobView | None: ...

    async def schedules(self) -> list[ScheduleView]: ...

    async def retry(self, ids: list[int], *, actor: int = 0, address: str = "") -> int:
        """Dead letters are jobs again, with all attempts before them, under the effect keys that they had; how many there were."""
        ...

    async def retry_kind(self, kind: str, *, actor: int = 0, address: str = "") -> int:
        """The oldest `PAGE_MAX` dead letters of a kind."""
        ...

    async def cancel(self, id: int, *, actor: int = 0, address: str = "") -> Cancelled:
        """`told`: it runs; its effect in the database happens no more, and its run ends within a second."""
        ...
