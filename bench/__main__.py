"""`make bench`: what the system costs, beside what people would pick instead.

    python -m bench [NAME …] [--no-peers] [--rounds N] [--quick]      measures, prints, writes bench/results/latest.json and the page
    python -m bench --list                                            what there is to measure
    python -m bench --page                                            writes docs/benchmarks.md from the results, without measuring

`--quick` is small, shows that everything works, and writes nothing down.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import logging
import shlex
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
import trio

from bench import fanout, inbound, memory, pair, posts, posts_two, storm, sync_link, sync_load, wire
from bench.figures import Measured, describe_machine, keep, load, merge, our_versions, save, table
from bench.generator import CompilerMissing, GeneratorFailed
from bench.link import LinkMissing
from bench.ours import ENVIRONMENT
from bench.page import write_page
from bench.peer import PeerMissing, version
from bench.stage import Options
from bench.sync_link_systems import POUCHDB

Measure = Callable[[Options, Callable[[str], None]], Awaitable[list[Measured]]]
MEASURES: Final[dict[str, Measure]] = {
    "fanout": fanout.measure,
    "pair": pair.measure,
    "inbound": inbound.measure,
    "memory": memory.measure,
    "wire": wire.measure,
    "posts": posts.measure,
    "posts_two": posts_two.measure,
    "storm": storm.measure,
    "sync_link": sync_link.measure,
    "sync_load": sync_load.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 measured, 1 a delivery was wrong, 2 something is missing here."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], metavar="NAME", help=f"{', '.join(MEASURES)} (all, by default)")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="beside what people would pick instead")
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (5; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="small, and nothing is written down")
    parser.add_argument("--list", action="store_true", help="what there is to measure")
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md from the results, without measuring")
    asked = parser.parse_args(arguments)
    if asked.list:
        print(describe_measures())
        return 0
    if asked.page:
        write_page(load())
        return 0
    options = Options(rounds=asked.rounds or (1 if asked.quick else 5), quick=asked.quick, peers=asked.peers)
    command = shlex.join(["python", "-m", "bench", *arguments])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    machine = describe_machine()
    print(header(command, machine, options))
    status = 0
    measured: list[Measured] = []
    try:
        measured = trio.run(measure_all, asked.names or list(MEASURES), options)
    except* GeneratorFailed as failed:
        print(f"\nNothing is measured by a run that lost something: {_first(failed)}", file=sys.stderr)
        status = 1
    except* (PeerMissing, CompilerMissing, LinkMissing) as missing:
        print(f"\n{_first(missing)} (--no-peers measures ours alone)", file=sys.stderr)
        status = 2
    if status:
        return status
    print(f"\n{table(measured)}")
    if not options.quick:
        write_down(measured, command, machine)
    return 0


async def measure_all(names: Sequence[str], options: Options) -> list[Measured]:
    """Each measure with servers of its own, one after the other."""
    measured: list[Measured] = []
    for name in names:
        measured += await MEASURES[name](options, lambda line: print(line, flush=True))
    return measured


def header(command: str, machine: str, options: Options) -> str:
    """What a reader must know of the run, before its first figure."""
    changed = "\n".join(f"  {name}={value}" for name, value in ENVIRONMENT.items())
    peer = (
        f"Socket.IO {version('socket.io')}, its Redis adapter {version('@socket.io/redis-adapter')}, {node_version()};"
        f" of sync_link PouchDB {version('pouchdb-core', POUCHDB)} and JSON over HTTPS"
        if options.peers
        else "none"
    )
    return f"""{command}
{machine}
peer: {peer}
server CPU is user + system of every process: ours gateways, jobs, Postgres, Valkey; theirs node processes and Valkey
{options.rounds} interleaved rounds; figures are medians; every delivery's content and order is checked
our servers run with these settings, otherwise with defaults (docs/settings.md):
{changed}
"""


def node_version() -> str:
    try:
        return f"{subprocess.run(['node', '--version'], capture_output=True, text=True, check=True).stdout.strip()}"
    except (OSError, subprocess.CalledProcessError):
        return "none"


def write_down(measured: Sequence[Measured], command: str, machine: str) -> None:
    """Into the results and the page."""
    versions = our_versions()
    if any(one.peer and one.peer.startswith("Socket.IO") for one in measured):
        versions |= {
            "socket.io": version("socket.io"),
            "@socket.io/redis-adapter": version("@socket.io/redis-adapter"),
            "node": node_version(),
        }
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    figures = merge(load(), keep(measured, command, date, machine, versions))
    save(figures)
    write_page(figures)


def describe_measures() -> str:
    """The names to give, and the probes of single parts that are programs of their own; each with its first line."""
    here = Path(__file__).parent
    lines = [f"{name:18} {_first_line(here / f'{name}.py')}" for name in MEASURES]
    probes = [f"python -m bench.{path.stem:24} {_first_line(path)}" for path in sorted(here.glob("*_probe.py"))]
    return "\n".join(["measures of the whole system (python -m bench NAME):", *lines, "", "probes of single parts:", *probes])


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
