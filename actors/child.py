"""Child specs: what long-running services a node has, and how each is started, stopped and restarted. Values, not machinery.

    Supervisor("educonnect", ONE_FOR_ONE,
        Worker("postgres", run)          started in this order, each once the one before it said `task_status.started()`;
        Supervisor("gateway", …)         stopped in reverse, each given its grace
        Worker("listener", run, close))

A spec can be drawn, compared and tested before anything runs; `supervisors.tree` runs it. The words are OTP's.

How a worker is told to stop: `close` is called, if it has one (synchronous: it asks the service to finish, as by setting an event that
`run` awaits), and `run` gets `shutdown_s` to return. Without `close`, or when that time is over, `run` is cancelled, and again gets
`shutdown_s`: trio cannot kill, so a worker that shields its last words must bound them itself. One that is still there is reported.

Invariant: names are unique among siblings, so a path names one node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from typing import Protocol

import trio
from msgspec import Struct


class Run(Protocol):
    """What a worker does: starts, says `task_status.started()`, and goes on until it is cancelled, closed or done."""

    def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[None]: ...


class Restart(Enum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"
    """Always: even a normal end is a fault of a service that should be there."""

    TRANSIENT = "transient"
    """After a crash only: it has a job and may finish it. (Siblings that are restarted as a group take it along, as in OTP.)"""

    TEMPORARY = "temporary"
    """Never. Its crash is kept as a cause but counts against nobody."""


class Strategy(Enum):
    """Who is restarted with a child that crashed."""

    ONE_FOR_ONE = "one_for_one"
    """It alone."""

    ONE_FOR_ALL = "one_for_all"
    """All its siblings: they share state that is void now."""

    REST_FOR_ONE = "rest_for_one"
    """Those that were started after it, since they may build on it."""


class Backoff(Struct, frozen=True):
    """How long to wait before a restart: `first_s`, doubling up to `max_s` with every crash in a row, less a random share.

    A world that is away (a database restarting) makes a worker crash at once, again and again; without a wait that would burn
    the supervisor's intensity within a second. A worker that should be tried for ever stands under a supervisor with an intensity
    of at least `crashes_max(period_s)`, summed over the workers that share it; one whose crashes should escalate soon needs a shorter wait.
    """

    first_s: float = 0.05
    max_s: float = 5.0
    jitter: float = 0.5
    """Share of the wait that is random, so that all nodes do not return at the same instant."""
    stable_s: float = 10.0
    """A child that ran this long before it crashed begins with `first_s` again."""

    def __post_init__(self) -> None:
        if not (0 <= self.first_s <= self.max_s and 0 <= self.jitter <= 1):
            raise ValueError(f"{self}: allowed are 0 <= first_s <= max_s and 0 <= jitter <= 1")

    def delay_s(self, crashes_in_a_row: int, random: float) -> float:
        """The wait after the given crash (1, 2, 3 …). `random`: uniform in [0, 1)."""
        # 2.0**1023 is the last power that a float holds; max_s is reached long before.
        whole_s = min(self.max_s, self.first_s * 2.0 ** min(crashes_in_a_row - 1, 1023))
        return whole_s * (1.0 - self.jitter * random)

    def crashes_max(self, period_s: float) -> int:
        """The most crashes that these waits let happen within `period_s`, for a worker that crashes as soon as it starts."""
        at_s, crashes = 0.0, 1
        while (wait_s := self.delay_s(crashes, random=1.0)) > 0 and at_s + wait_s < period_s:
            at_s += wait_s
            crashes += 1
        if wait_s <= 0:
            raise ValueError(f"{self} may not wait at all, so nothing bounds its crashes")
        return crashes


class Worker(Struct, frozen=True):
    """One long-running service."""

    name: str
    run: Run
    close: Callable[[], None] | None = None
    """Asks `run` to finish in its own way. None: cancelling is how. A group's restart closes workers too, and then runs them again:
    an event that is set here must be a new one in the next run."""
    restart: Restart = Restart.PERMANENT
    start_s: float = 60.0
    """How long it may take to say `started()`."""
    shutdown_s: float = 5.0
    """Grace after `close`, and again after being cancelled."""
    backoff: Backoff = Backoff()
    hosts: tuple[str, ...] = ()
    """Names of the actor pools that live in this worker, for the drawing."""

    def __post_init__(self) -> None:
        _check_name(self.name)


class Supervisor(Struct, frozen=True):
    """Children, and what to do when one of them ends."""

    name: str
    children: tuple[Worker | Supervisor, ...]
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 3
    """Restarts within `period_s` that are still bad luck. One more: stop all children and pass the crash, with its causes, upwards."""
    period_s: float = 10.0
    restart: Restart = Restart.PERMANENT
    """What its own supervisor does when this one gave up."""
    backoff: Backoff = Backoff()

    def __post_init__(self) -> None:
        _check_name(self.name)
        names = [child.name for child in self.children]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"supervisor {self.name!r} has several children named {', '.join(twice)}")
        if self.intensity < 0 or self.period_s <= 0:
            raise ValueError(f"supervisor {self.name!r}: allowed are intensity >= 0 and period_s > 0")


Child = Worker | Supervisor


def walk(child: Child, above: str = "") -> Iterator[tuple[str, Child]]:
    """Every node with its path (`educonnect/gateway/listener`), each before its children, in the order of starting."""
    path = f"{above}/{child.name}" if above else child.name
    yield path, child
    if isinstance(child, Supervisor):
        for inner in child.children:
            yield from walk(inner, path)


def _check_name(name: str) -> None:
    if not name or "/" in name:
        raise ValueError(f"{name!r} cannot name a node: allowed is anything without a slash, and not nothing")
