"""`educonnect jobs`: queues, failures and schedules in a terminal, and what may be done about them.

    jobs                    a line a kind          jobs list [--kind K] [--state S]     jobs show ID
    jobs retry ID… | --kind K                      jobs cancel ID                       jobs schedules

What is done here is written into the audit as the system's: whoever has the machine has the database.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from actors.job_desk import PAGE_MAX, STATES, JobsWanted, JobView
from actors.storage_port import StorageError
from persistence.bridge import Bridge, BridgeOptions
from persistence.jobs.desk import PostgresDesk

Say = Callable[[str], None]

NOT_FOUND: Final = 1
UNREACHABLE: Final = 1


def add_jobs(command: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Adds what `educonnect jobs` takes."""
    command.set_defaults(ask=overview)
    add_config(command)
    command.add_argument("--json", action="store_true", help="as JSON")
    commands = command.add_subparsers(metavar="what")

    def add(name: str, ask: Callable[..., Awaitable[int]], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(ask=ask)
        # Given before or after the word: what was given before it is not set back.
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")
        sub.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        return sub

    listing = add("list", listed, "jobs and dead letters, newest first")
    listing.add_argument("--kind", default="", help="only of this kind")
    listing.add_argument("--state", choices=(*STATES, "dead"), default=None, help="only in this state")
    listing.add_argument("--before", type=int, default=0, metavar="ID", help="only older ones: go on from the end of a page")
    listing.add_argument(
        "--limit", type=int, default=50, choices=range(1, PAGE_MAX + 1), metavar="N", help=f"at most so many (1 to {PAGE_MAX})"
    )
    one = add("show", shown, "one job, with its last error; never its payload, which may hold secrets")
    one.add_argument("id", type=int)
    again = add("retry", retried, "make dead letters jobs again")
    again.add_argument("ids", type=int, nargs="*", metavar="ID")
    again.add_argument("--kind", default="", help=f"the oldest {PAGE_MAX} of this kind")
    away = add("cancel", cancelled, "cancel a job, waiting or running; forget a dead letter")
    away.add_argument("id", type=int)
    add("schedules", scheduled, "what is done by the clock, and when")


def run_jobs(parsed: argparse.Namespace, dsn: str, say: Say, complain: Callable[[object], None]) -> int:
    """Carries out one of them; the exit status."""

    async def ask() -> int:
        bridge = Bridge(BridgeOptions(dsn, connections_max=1))
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            try:
                status: int = await parsed.ask(PostgresDesk(bridge), parsed, say, complain)
            except StorageError as error:
                complain(f"the database cannot be asked: {error}")
                status = UNREACHABLE
            nursery.cancel_scope.cancel()
        return status

    return trio.run(ask)


async def overview(desk: PostgresDesk, parsed: argparse.Namespace, say: Say, complain: Say) -> int:
    figures, unserved = await desk.overview(), await desk.unserved()
    if parsed.json:
        say(as_json({"kinds": figures, "unserved": unserved}))
        return 0
    head = ("kind", "ready", "oldest", "delayed", "failing", "running", "dead", "done", "failed", "cancelled", "run")
    rows = [
        (
            one.kind,
            one.ready,
            lasting(one.oldest_s) if one.ready else "",
            one.delayed,
            one.failing,
            one.running,
            one.dead,
            one.done,
            one.failed,
            one.cancelled,
            f"{one.run_ms:.0f} ms" if one.done + one.failed else "",
        )
        for one in figures
    ]
    say(table(head, rows) if rows else "no jobs, and none in the last two hours")
    if rows:
        say("done, failed (attempts) and cancelled: since the beginning of the last hour")
    for one in unserved:
        say(f"{one.waiting} wait for region {one.region!r}, of which no living process takes jobs (node.region; docs/sovereignty.md)")
    return 0


async def listed(desk: PostgresDesk, parsed: argparse.Namespace, say: Say, complain: Say) -> int:
    views = await desk.find(JobsWanted(parsed.kind, parsed.state, parsed.before, parsed.limit))
    if parsed.json:
        say(as_json(views))
        return 0
    now = time.time()
    rows = [(one.id, one.kind, one.state, one.attempts, moment(one, now), one.key, _first_line(one)) for one in views]
    say(table(("id", "kind", "state", "attempts", "when", "key", "last said"), rows) if rows else "none")
    if len(views) == parsed.limit:
        say(f"older ones: --before {views[-1].id}")
    return 0


async def shown(desk: PostgresDesk, parsed: argparse.Namespace, say: Say, complain: Say) -> int:
    view = await desk.show(parsed.id)
    if view is None:
        complain(f"there is no job {parsed.id}: it is done, or never was")
        return NOT_FOUND
    if parsed.json:
        say(as_json(view))
        return 0
    told = msgspec.structs.asdict(view)
    for name in ("created_at", "due_at", "begun_at"):
        told[name] = clock(told[name])
    say("\n".join(f"{name:14} {value}" for name, value in told.items() if value not in ("", None)))
    return 0


async def retried(desk: PostgresDesk, parsed: argparse.Namespace, say: Say, complain: Say) -> int:
    if bool(parsed.ids) == bool(parsed.kind):
        complain("retry takes numbers of dead letters, or --kind")
        return 2
    count = await (desk.retry(parsed.ids) if parsed.ids else desk.retry_kind(parsed.kind))
    say(f"{count} of {len(parsed.ids)} are jobs again" if parsed.ids else f"{count} are jobs again")
    return 0 if count else NOT_FOUND


async def cancelled(desk: PostgresDesk, parsed: argparse.Namespace, say: Say, complain: Say) -> int:
    answer = await desk.cancel(parsed.id)
    if answer == "unknown":
        complain(f"there is no job {parsed.id}: it is done, or never was")
        return NOT_FOUND
    words = {"gone": "it waited, and is gone", "told": "it runs, and was told to end", "forgotten": "the dead letter is forgotten"}
    say(words[answer])
    return 0


async def scheduled(desk: PostgresDesk, parsed: argparse.Namespace, say: Say, complain: Say) -> int:
    views = await desk.schedules()
    if parsed.json:
        say(as_json(views))
        return 0
    head = ("schedule", "kind", "timing (UTC)", "next", "last", "ended", "jobs", "skipped", "last error")
    rows = [
        (
            one.name,
            one.kind,
            one.timing,
            clock(one.next_at),
            clock(one.fired_at),
            clock(one.ended_at),
            one.fired,
            one.skipped,
            one.error.partition("\n")[0][:60],
        )
        for one in views
    ]
    say(table(head, rows) if rows else "none: no node of the jobs role has started yet")
    return 0


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be; numbers to the right."""
    cells = [tuple(map(str, row)) for row in rows]
    widths = [max(len(row[at]) for row in (head, *cells)) for at in range(len(head))]
    numeric = [all(isinstance(row[at], int) for row in rows) for at in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()

    return "\n".join(line(row) for row in (head, *cells))


def moment(view: JobView, now: float) -> str:
    """What a reader wants to know of its time, by its state."""
    match view.state:
        case "ready":
            return f"for {lasting(now - view.due_at)}"
        case "delayed":
            return f"in {lasting(view.due_at - now)}"
        case "running":
            steps = f", {view.done}/{view.total or '?'}" if view.done or view.total else ""
            return f"since {lasting(now - view.begun_at)}{steps}"
        case "dead":
            return f"{lasting(now - view.due_at)} ago"


def lasting(seconds: float) -> str:
    """A time span in its two largest units."""
    left = max(0, round(seconds))
    for unit, size, smaller, part in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if left >= size:
            return f"{left // size}{unit}{left % size // part}{smaller}"
    return f"{left}s"


def clock(at: float) -> str:
    """A moment in UTC, to the second; nothing for none."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def as_json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _first_line(view: JobView) -> str:
    said = view.words if view.state == "running" else view.error or view.reason
    return said.partition("\n")[0][:80]
