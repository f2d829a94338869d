"""`make bench`: what the system costs, beside what people would pick instead.

    python -m bench [NAME …] [--no-peers] [--rounds N] [--quick]      measures, prints, writes bench/results/latest.json and the page
    python -m bench --list                                            what there is to measure
    python -m bench --page                                            writes docs/benchmarks.md from the results, without measuring

A measure whose run lost something, or that lacks something here, has no figure; the others go on, and the exit status says so. What was
measured again takes the place of all that its measure said before; other measures' rows stay.

`--quick` is small and shows that everything works; it writes nothing down, nor do `--no-peers`, `--only` and `--site`.
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

from bench import bytes as byte_rows
from bench import (
    crowd,
    documents,
    fanout,
    growth,
    inbound,
    jobs,
    latency,
    links,
    login,
    matching,
    memory,
    models,
    moderation,
    page,
    pair,
    posts,
    posts_two,
    search,
    storm,
    sync_link,
    sync_load,
    wire,
)
from bench.figures import Measured, describe_machine, held, keep, load, merge, our_versions, save, table, tally
from bench.generator import CompilerMissing, GeneratorFailed
from bench.link import LinkMissing
from bench.ours import ENVIRONMENT
from bench.peer import PeerMissing, version
from bench.peer_nats import nats_name, pinned
from bench.peer_plain import uws_name, uws_version
from bench.report import write_page
from bench.stage import Options
from bench.sync_link_systems import POUCHDB

Measure = Callable[[Options, Callable[[str], None]], Awaitable[list[Measured]]]
MEASURES: Final[dict[str, Measure]] = {
    "fanout": fanout.measure,
    "pair": pair.measure,
    "inbound": inbound.measure,
    "links": links.measure,
    "memory": memory.measure,
    "wire": wire.measure,
    "bytes": byte_rows.measure,
    "posts": posts.measure,
    "posts_two": posts_two.measure,
    "jobs": jobs.measure,
    "storm": storm.measure,
    "latency": latency.measure,
    "login": login.measure,
    "matching": matching.measure,
    "moderation": moderation.measure,
    "models": models.measure,
    "growth": growth.measure,
    "documents": documents.measure,
    "search": search.measure,
    "page": page.measure,
    "crowd": crowd.measure,
    "sync_link": sync_link.measure,
    "sync_load": sync_load.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 measured, 1 a delivery was wrong, 2 something is missing here, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], metavar="NAME", help=f"{', '.join(MEASURES)} (all, by default)")
    parser.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="beside what people would pick instead (or nothing is written down)",
    )
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (5; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="small, and nothing is written down")
    parser.add_argument("--traces", default="", metavar="FOLDER", help="where the editing traces are that `documents` replays")
    parser.add_argument("--only", default="", choices=[*page.PARTS, ""], metavar="PART", help=f"of `page`: {', '.join(page.PARTS)}")
    parser.add_argument("--site", default="", metavar="FOLDER", help="another build of the app for `page` (or nothing is written down)")
    parser.add_argument("--list", action="store_true", help="what there is to measure")
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md from the results, without measuring")
    asked = parser.parse_args(arguments)
    if asked.list:
        print(describe_measures())
        return 0
    if asked.page:
        write_page(load())
        return 0
    rounds = asked.rounds or (1 if asked.quick else 5)
    options = Options(rounds, asked.quick, asked.peers, asked.traces, asked.only, asked.site)
    # It is written down for every machine: a place is named as the usage names it.
    spoken = [one.replace(asked.traces, "FOLDER") for one in arguments] if asked.traces else arguments
    command = shlex.join(["python", "-m", "bench", *spoken])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    machine = describe_machine()
    print(header(command, machine, options))
    run = Run(options, command, machine)
    try:
        trio.run(run.measure_all, asked.names or list(MEASURES))
    except* KeyboardInterrupt:
        run.failures.append("interrupted: what was measured until then is kept")
        run.status = 130
    print(f"\n{table(run.measured)}\n\n{tally(run.measured)}")
    for line in run.failures:
        print(line, file=sys.stderr)
    return run.status


class Run:
    """One call of the program: measures one after the other, each with servers of its own."""

    def __init__(self, options: Options, command: str, machine: str) -> None:
        self.measured: list[Measured] = []
        self.failures: list[str] = []
        self.status = 0
        self._options = options
        self._command = command
        self._machine = machine

    async def measure_all(self, names: Sequence[str]) -> None:
        """Writes down each measure's rows when it has them: hours must not be lost with the last of them."""
        for name in names:
            try:
                measured = await MEASURES[name](self._options, lambda line: print(line, flush=True))
            except* GeneratorFailed as failed:
                self._fail(1, f"{name}: nothing is measured by a run that lost something: {_first(failed)}")
            except* (PeerMissing, CompilerMissing, LinkMissing) as missing:
                self._fail(2, f"{name}: {_first(missing)} (--no-peers measures ours alone)")
            else:
                self.measured += measured
                if self._options.whole:
                    write_down(name, measured, self._command, self._machine)

    def _fail(self, status: int, line: str) -> None:
        print(f"\n{line}", file=sys.stderr, flush=True)
        self.failures.append(line)
        self.status = self.status or status


def header(command: str, machine: str, options: Options) -> str:
    """What a reader must know of the run, before its first figure."""
    changed = "\n".join(f"  {name}={value}" for name, value in ENVIRONMENT.items())
    peer = (
        f"Socket.IO {version('socket.io')}, its Redis adapter {version('@socket.io/redis-adapter')}, node ws {version('ws')} on node"
        f" {node_version()}; {nats_name()}; {uws_name()}; a loop of send in C;"
        f" of sync_link PouchDB {version('pouchdb-core', POUCHDB)} and JSON over HTTPS"
        if options.peers
        else "none"
    )
    return f"""{command}
{machine}
peers: {peer}
server CPU is user + system of every process: ours gateways, jobs, Postgres, Valkey; the peers' their own, Valkey included
{options.rounds} interleaved rounds; figures are medians; every delivery's content and order is checked
our servers run with these settings, otherwise with defaults (docs/settings.md):
{changed}
"""


def node_version() -> str:
    try:
        return f"{subprocess.run(['node', '--version'], capture_output=True, text=True, check=True).stdout.strip()}"
    except (OSError, subprocess.CalledProcessError):
        return "none"


def write_down(name: str, measured: Sequence[Measured], command: str, machine: str) -> None:
    """Into the results, the page and its plots."""
    peers = [version for one in measured if one.peer for version in peer_versions(one.peer)]
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    new = keep(name, measured, command, date, machine, our_versions() | dict(peers))
    with held():
        figures = merge(load(), new)
        save(figures)
        write_page(figures)


def peer_versions(peer: str) -> list[tuple[str, str]]:
    """What a peer of this name runs on."""
    node = ("node", node_version())
    if peer.startswith("Socket.IO"):
        return [("socket.io", version("socket.io")), ("@socket.io/redis-adapter", version("@socket.io/redis-adapter")), node]
    if peer.startswith("node ws"):
        return [("ws", version("ws")), node]
    if peer == nats_name():
        return [("nats-server", pinned().version)]
    return [("socketify", uws_version())] if peer == uws_name() else []


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
