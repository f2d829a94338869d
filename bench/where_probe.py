"""Where the time of a message goes: user and system time of each process, how often it was woken, and how often displaced.

    python -m bench.where_probe room|rooms|pair|pairs|inbound [--durable] [--system ours|socketio|uws|nats|ws|floor] [--times N]

One of the loads of `python -m bench fanout`, `pair` and `inbound`, on one system alone. Of a gateway, user time is Python; system time is
the kernel's: a `send` for each member, above all, and waking. A process that is displaced by another finds its caches cold, so a busy
machine makes user time dear: that number says how busy it was. The kernel counts these times in hundredths of a second.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import psutil
import structlog
import trio

from bench import fanout, inbound, pair
from bench.generator import Generator, Report
from bench.stage import OTHERS, Load, System, open_loads, open_stage


class Span(msgspec.Struct, frozen=True):
    """One load: so many rooms, members in each, messages outstanding, authors, and messages in each room of a run."""

    rooms: int
    members: int
    outstanding: int
    authors: int
    messages: int


def _fan_out(shape: fanout.Shape) -> Span:
    return Span(shape.rooms, shape.members, shape.outstanding, fanout.POSTERS, shape.notices)


def _pairs(shape: pair.Shape) -> Span:
    return Span(shape.pairs, 2, 1, 1, shape.notices)


SPANS: Final = {
    "room": _fan_out(fanout.SHAPES[0]),
    "rooms": _fan_out(fanout.SHAPES[1]),
    "pair": _pairs(pair.SHAPES[0]),
    "pairs": _pairs(pair.SHAPES[1]),
    "inbound": Span(1, inbound.SOCKETS, 1, 0, inbound.QUESTIONS),
}


class Used(msgspec.Struct, frozen=True):
    """What a process and its children had used and suffered until one moment."""

    user_s: float
    system_s: float
    woken: int
    displaced: int


def read(pids: Sequence[int]) -> Used:
    """The sum over these processes and their descendants."""
    processes = [process for pid in pids for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    times = [process.cpu_times() for process in processes]
    switches = [process.num_ctx_switches() for process in processes]
    return Used(
        sum(one.user for one in times),
        sum(one.system for one in times),
        sum(one.voluntary for one in switches),
        sum(one.involuntary for one in switches),
    )


def describe(name: str, before: Used, after: Used, report: Report) -> str:
    """A line, of what one part used for each message and each delivery."""
    user_us, system_us = ((getattr(after, key) - getattr(before, key)) * 1e6 for key in ("user_s", "system_s"))
    each = f"{user_us / report.messages:8.1f} user + {system_us / report.messages:7.1f} system a message"
    if report.deliveries:
        each += f", {user_us / report.deliveries:6.2f} + {system_us / report.deliveries:5.2f} a delivery"
    woken, displaced = ((getattr(after, key) - getattr(before, key)) / report.messages for key in ("woken", "displaced"))
    return f"  {name:12} µs: {each}; woken {woken:.2f} and displaced {displaced:.2f} times a message"


async def look(kind: str, span: Span, durable: bool, times: int) -> None:
    """Warms up, runs, and prints a line for each process of the system of this kind."""
    others = (kind,) if kind in OTHERS else ()
    servers = 1 if span.authors == 0 else 2

    async def run(generator: Generator) -> Report:
        if span.authors == 0:
            return await generator.ask(span.messages * times, span.outstanding)
        if durable:
            return await generator.say(span.messages * times, span.outstanding, span.authors)
        return await generator.type(span.messages * times, span.outstanding, span.authors)

    async with open_stage(servers=servers, people=span.rooms * span.members, peers=kind != "ours", others=others) as stage:
        for _, reason in stage.missing.values():
            raise SystemExit(reason)
        system = next(one for one in stage.systems if one.kind == kind)
        async with open_loads(stage, await stage.ours.rooms(span.rooms, span.members), systems=[system]) as (load,):
            await _look_at(load, system, run)


async def _look_at(load: Load, system: System, run: Callable[[Generator], Awaitable[Report]]) -> None:
    await run(load.generator)
    roots = {
        f"{part} {number + 1}" if len(pids) > 1 else part: [pid] for part, pids in system.parts().items() for number, pid in enumerate(pids)
    }
    before = {part: read(pids) for part, pids in roots.items()}
    report = await run(load.generator)
    after = {part: read(pids) for part, pids in roots.items()}
    print(f"{system.name}: {report.messages:,} messages, {report.deliveries:,} deliveries in {report.wall_s:.1f} s, all checked")
    for part in roots:
        print(describe(part, before[part], after[part], report))
    own = report.cpu_s / report.messages * 1e6
    print(
        f"  the generator took {own:.1f} µs a message and received {(report.deliveries or report.messages) / report.receives:.2f} at a time"
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.where_probe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("load", choices=SPANS)
    parser.add_argument("--durable", action="store_true", help="posts, committed and acknowledged, instead of typing notices")
    parser.add_argument("--system", choices=["ours", "socketio", *OTHERS], default="ours")
    parser.add_argument("--times", type=int, default=4, help="as many rounds of the measure in one")
    asked = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    trio.run(look, asked.system, SPANS[asked.load], asked.durable, asked.times)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
