"""The trees, as values: which services a process has, in which order, and what happens when one of them ends.

`Node` and `Installation` fill in what each worker runs; `educonnect tree` draws them without running anything. The drawing in
docs/architecture.md is compared with these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import trio

from actors.child import Backoff, Restart, Run, Strategy, Supervisor, Worker
from supervisors.cast import POOLS

PATIENT: Final = Backoff(first_s=0.2, max_s=4.0)
"""For what depends on the world: retried for ever, a few seconds apart. Its supervisor's intensity is made to outlast it (`_patient`)."""

UNTIL_THERE_S: Final = float("inf")
"""For what has started when the database has answered: a process that gave up would be started again ever later by whoever minds it, and
be away when the database is back."""

GROUND: Final = (
    "bridge",
    "commands",
    "link",
    "limits",
    "models",
    "journal",
    "store",
    "control",
    "outbox",
    "moderator",
    "indexer",
    "sessions",
    "matchmaker",
    "jobwatch",
    "epoch",
    "actors",
)
"""The services of every node; those of a role come on top."""

Runs = Mapping[str, Run]


def node_tree(role: str, runs: Runs, *, drain: Callable[[], None] | None = None, drain_s: float = 5.0) -> Supervisor:
    """The tree of one process. `jobs` is a gateway without a door: the same services, and nobody connects."""
    redis = _patient(
        "redis",
        *(Worker(name, runs[name], backoff=PATIENT) for name in ("commands", "link")),
        Worker("limits", runs["limits"]),
        Worker("models", runs["models"], backoff=PATIENT),  # who asks them; they are elsewhere
    )
    storage = _patient(
        "storage",
        Worker("journal", runs["journal"]),
        Worker("store", runs["store"]),
        Worker("control", runs["control"], start_s=UNTIL_THERE_S, backoff=PATIENT),
        Worker("outbox", runs["outbox"]),
        Worker("moderator", runs["moderator"]),
        Worker("indexer", runs["indexer"]),
        Worker("sessions", runs["sessions"]),
        Worker("matchmaker", runs["matchmaker"]),
        Worker("jobwatch", runs["jobwatch"]),
    )
    # It ends when the database is restored: what is above it then remembers a history that is no more, and is built anew.
    epoch = Worker("epoch", runs["epoch"], start_s=UNTIL_THERE_S, backoff=PATIENT)
    ground = (Worker("bridge", runs["bridge"]), redis, storage, epoch, Worker("actors", runs["actors"], hosts=POOLS))
    if role == "jobs":
        top: tuple[Worker, ...] = (
            Worker("couriers", runs["couriers"]),
            Worker("foreman", runs["foreman"]),
            Worker("timetable", runs["timetable"]),
            Worker("webhooks", runs["webhooks"]),
        )
    else:
        top = (Worker("http", runs["http"]), Worker("listener", runs["listener"], close=drain, shutdown_s=drain_s))
    return Supervisor(role, (*ground, *top), strategy=Strategy.REST_FOR_ONE)


def ml_tree(runs: Runs) -> Supervisor:
    """The tree of an ML process: what is fed to models, the models, and last who brings the questions."""
    return Supervisor(
        "ml",
        (
            Worker("bridge", runs["bridge"]),
            Worker("models", runs["models"], start_s=UNTIL_THERE_S, backoff=PATIENT, shutdown_s=10.0),
            Worker("line", runs["line"], backoff=PATIENT),
            *([Worker("port", runs["port"], backoff=PATIENT)] if "port" in runs else []),
        ),
        strategy=Strategy.REST_FOR_ONE,
        intensity=3 * PATIENT.crashes_max(10.0) + 3,
    )


def dev_tree(gateways: int, runs: Runs, *, demo: bool, ml: bool) -> Supervisor:
    """The tree of `educonnect dev`: servers and processes of ours, on one machine."""
    names = tuple(f"gateway-{n + 1}" for n in range(gateways))
    processes = tuple(Worker(name, runs[name], backoff=PATIENT, shutdown_s=20.0) for name in names)
    servers = (Worker(name, runs[name], backoff=PATIENT, shutdown_s=20.0) for name in ("postgres", "valkey"))
    # Under a supervisor of their own: as siblings of the gateways, each fall of them would take those along, and whoever is connected.
    beside = (Worker(name, runs[name], backoff=PATIENT, shutdown_s=20.0) for name in ("jobs", *(["ml"] if ml else [])))
    return Supervisor(
        "dev",
        (
            _patient("servers", *servers),
            Worker("prepare", runs["prepare"], restart=Restart.TRANSIENT),
            _patient("beside", *beside),
            _patient("gateways", *processes),
            *([Worker("demo", runs["demo"], restart=Restart.TEMPORARY)] if demo else []),
        ),
        strategy=Strategy.REST_FOR_ONE,
        intensity=10,
        period_s=60.0,
    )


def _patient(name: str, *children: Worker, period_s: float = 10.0) -> Supervisor:
    """A supervisor that outlasts any absence of what its patient children depend on: only impatient ones can exhaust it."""
    intensity = sum(child.backoff.crashes_max(period_s) for child in children if child.backoff is PATIENT)
    return Supervisor(name, children, intensity=intensity + 3, period_s=period_s)


async def _never(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    raise AssertionError("a blueprint is drawn, not run")


def blueprint(role: str) -> Supervisor:
    """The tree of a role as it would be: `gateway`, `jobs`, `ml`, or `dev` with two gateways."""
    names = (
        *GROUND,
        "http",
        "listener",
        "couriers",
        "foreman",
        "timetable",
        "webhooks",
        "postgres",
        "valkey",
        "prepare",
        "jobs",
        "ml",
        "line",
        "port",
        "gateway-1",
        "gateway-2",
        "demo",
    )
    runs = dict.fromkeys(names, _never)
    if role == "dev":
        return dev_tree(2, runs, demo=True, ml=True)
    return ml_tree(runs) if role == "ml" else node_tree(role, runs)
