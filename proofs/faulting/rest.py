"""What a gateway holds when nobody is there: descriptors, actors, sockets. What is left when all have gone was leaked.

    /proc/PID/fd, /proc/PID/status, GET /metrics ─▶ Rest      before ─▶ leaks ◀─ after

Invariant: looking changes nothing: the connection that asks is closed before descriptors are counted.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

import httpx
import psutil
import trio
from msgspec import Struct

from proofs.faulting.stage import Stage

SOCKETS_REST_S = 45.0
"""A client that vanished without a word is missed after a heartbeat and its patience, 25 s."""
ACTORS_REST_S = 200.0
"""Actors leave memory after a minute of idling, a quarter of it late at most; communities only after their channels."""
BACK_S = 60.0
FDS_SLACK = 12
"""Connections to Postgres come and go with load: a pool of ten, and one that is being opened."""
TASKS_SLACK = 4
"""An HTTP request that is being served, such as the one that asks, has some of its own."""
METRIC = re.compile(r"^(\w+)(?:\{(\w+)=\"([^\"]+)\"\})? ([0-9.e+]+)$", re.MULTILINE)
CRASHES = {
    "educonnect_actor_restarts_total": "crashed actor:",
    "educonnect_actor_give_ups_total": "actor given up:",
    "educonnect_hook_failures_total": "crash while an actor was put away",
    "educonnect_journal_poisoned_total": "entry that the database cannot take",
    "educonnect_http_crashes_total": "crashed HTTP connection",
}
"""Counters of what is always a fault of ours."""
POOLS_AT_REST = ("session",)
POOLS_AT_LONG_REST = ("session", "device", "user", "channel", "community")


class Rest(Struct, frozen=True):
    """One gateway."""

    gateway: int
    pid: int
    age_s: float
    fds: int
    rss_mib: float
    sockets: int
    actors: dict[str, int]
    threads: int
    tasks: int
    crashes: dict[str, int] = {}
    """By what crashed: actors and entries of the journal, which no fault of the world is to bring down."""

    def __str__(self) -> str:
        actors = ", ".join(f"{count} {name}" for name, count in sorted(self.actors.items()) if count) or "none"
        return (
            f"gateway {self.gateway + 1}, {self.age_s:.0f} s old: {self.sockets} sockets, {self.fds} descriptors, {self.tasks} tasks,"
            f" {self.threads} threads, {self.rss_mib:.0f} MiB, actors: {actors}"
        )


async def look_at_rest(stage: Stage, like: Sequence[Rest] = (), *, thorough: bool = False) -> list[Rest]:
    """Every gateway, as soon as it holds nothing, or after a while as it is. `thorough`: the actors are given the time to go, too."""
    found: list[Rest] = []
    with trio.move_on_after(ACTORS_REST_S if thorough else SOCKETS_REST_S):
        while True:
            found = [await look(stage, number) for number in range(stage.gateways)]
            if not leaks(like or found, found, thorough=thorough):
                return found
            await trio.sleep(0.5)
    return found


async def look(stage: Stage, number: int) -> Rest:
    """One gateway as it is now."""
    with trio.fail_after(BACK_S):
        await stage.wait_gateway(number)
    pid = stage.gateway_pid(number)
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{stage.ports[number]}/metrics")).text
    sockets, tasks, actors = 0, 0, {}
    crashes: dict[str, int] = {}
    for name, _, label, figure in METRIC.findall(text):
        if name == "educonnect_sockets":
            sockets = int(float(figure))
        elif name == "educonnect_tasks":
            tasks = int(float(figure))
        elif name in CRASHES and float(figure):
            crashes[f"{CRASHES[name]} {label}".strip()] = int(float(figure))
        elif name == "educonnect_actors":
            actors[label] = int(float(figure))
    await trio.sleep(0.2)
    process = psutil.Process(pid)
    return Rest(
        number,
        pid,
        time.time() - process.create_time(),
        len(os.listdir(f"/proc/{pid}/fd")),
        process.memory_info().rss / 2**20,
        sockets,
        actors,
        process.num_threads(),
        tasks,
        crashes,
    )


def leaks(before: Sequence[Rest], after: Sequence[Rest], *, thorough: bool = False) -> list[str]:
    """What is there that should not be."""
    wrong = []
    pools = POOLS_AT_LONG_REST if thorough else POOLS_AT_REST
    fds, tasks = max(rest.fds for rest in before), max(rest.tasks for rest in before)
    for rest in after:
        if rest.sockets:
            wrong.append(f"leak: gateway {rest.gateway + 1} still has {rest.sockets} sockets")
        wrong += [
            f"leak: gateway {rest.gateway + 1} still has {rest.actors[pool]} {pool} actors" for pool in pools if rest.actors.get(pool)
        ]
        if rest.tasks > tasks + TASKS_SLACK:
            wrong.append(f"leak: gateway {rest.gateway + 1} has {rest.tasks} tasks; before anybody came there were {tasks}")
        if rest.fds > fds + FDS_SLACK:
            wrong.append(f"leak: gateway {rest.gateway + 1} has {rest.fds} descriptors; before anybody came there were {fds}")
    return wrong
