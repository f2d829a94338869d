"""What one process shows of itself at one moment, as a value: made inside it, sent through its porthole, drawn in another terminal.

    Node ─ supervisors.looking ─▶ NodeView ─ JSON, a unix socket ─▶ supervisors.live_drawing ─▶ text
                                          ╰────────────────────────▶ `tree --live --once --json`

Rates are of the window that the look took, so that nothing need be kept where nobody looks.

Invariant: every list in it has a bound; names of people and texts of messages are nowhere in it.
"""

from __future__ import annotations

from msgspec import Struct

from supervisors.tree_state import TreeState
from supervisors.troubles import Trouble

LISTED_MAX = 8
"""Of streams, readers and troubles: what fits on a screen."""


class ProcessView(Struct, frozen=True):
    """The process. `cpu_share` is of one core."""

    pid: int
    cpu_share: float
    memory_bytes: int
    descriptors: int
    turn_delay_p50_s: float
    turn_delay_p99_s: float
    """How late the event loop was in the last ten seconds."""
    turn_delay_max_s: float
    collected_s: float
    """How long garbage collection stopped it, in the window."""


class PoolView(Struct, frozen=True):
    """One kind of actor."""

    name: str
    cells: int
    waiting: int
    deepest: int
    deepest_key: str
    handled_per_s: float
    restarts: int
    give_ups: int
    drops: int
    dead_letters: int


class StreamView(Struct, frozen=True):
    """A stream with followers here."""

    stream: int
    space: int
    followers: int
    events_per_s: float
    share: float
    """Its part of all that this gateway flushed to followers."""
    behind_s: float
    """How long its followers have been missing something that exists, or waiting until it is known who may read."""


class ReaderView(Struct, frozen=True):
    """A socket whose peer does not take what is sent."""

    session: int
    user: int
    device: int
    queued_bytes: int
    age_s: float
    """Since the kernel took no more."""
    lags: int
    """Streams that it was dropped from so far."""
    quality: str


class SocketsView(Struct, frozen=True):
    """The open sockets."""

    open: int
    queued_bytes: int
    backed_up: int
    """How many do not take what is sent."""
    accepted_per_s: float
    refused_per_s: float
    messages_in_per_s: float
    messages_out_per_s: float
    bytes_out_per_s: float
    messages_a_send: float
    by_quality: dict[str, int]


class JournalView(Struct, frozen=True):
    """The one write path."""

    queued: int
    waits_s: float
    entries_per_s: float
    entries_a_batch: float
    commit_s: float
    """Mean, in the window."""
    interval_s: float
    repeated: int
    """Batches sent again because of conflicts or a lost answer, since the start."""


class LinkView(Struct, frozen=True):
    """The way to the other gateways."""

    heard_per_s: float
    published_per_s: float
    dropped: int
    losses: int
    deaf: int
    silent: int


class ModelView(Struct, frozen=True):
    """A model as who asks it sees it. `failed`: how its questions ended without an answer, by why."""

    name: str
    breaker: str
    asked_per_s: float
    answered: int
    failed: dict[str, int]


class VersionView(Struct, frozen=True):
    """A version of a model, in the process that serves it. `part`: what it is there for; counts are since it was begun."""

    title: str
    part: str
    phase: str
    pid: int
    memory_mib: float
    waiting: int
    answered_per_s: float
    items_a_batch: float
    batch_s: float
    start_s: float
    fed: int
    answered: int
    broken: int
    late: int
    shed: int
    crashes: int
    last_cause: str
    compared: int = 0
    """Of a shadow: answers beside which its own was held."""
    apart: float = 0.0
    """How far they were apart in the mean, from 0 to 1."""


class NodeView(Struct, frozen=True):
    """One process in one role. Without what only a gateway or a jobs process has, it is the parent of them: `educonnect dev`."""

    role: str
    at: float
    window_s: float
    tree: TreeState
    process: ProcessView
    states: dict[str, str] = {}
    """What each thing it depends on is: `up`, or what is wrong."""
    troubles: tuple[Trouble, ...] = ()
    pools: tuple[PoolView, ...] = ()
    sockets: SocketsView | None = None
    streams: tuple[StreamView, ...] = ()
    streams_live: int = 0
    streams_behind: int = 0
    readers: tuple[ReaderView, ...] = ()
    journal: JournalView | None = None
    link: LinkView | None = None
    models: tuple[ModelView, ...] = ()
    """That were asked from here."""
    versions: tuple[VersionView, ...] = ()
    """That are served here."""
    store_waiting: int = 0
    bridge_calls: dict[str, int] = {}
    """Under way or waiting for a connection, by lane."""
