"""A day's sync over 2G: bytes, and seconds through an emulated link, beside JSON over HTTPS and PouchDB on the same link.

    bytes     1 and 200 progress mutations, a mixed day's 200, and their outcomes, as messages of the protocol
    seconds   200 mutations up, 500 messages of 60 characters down, from nothing: name known, TCP, TLS, handshake, resume
    cut       the same with the link cut every 8 s for 2 s

The link is bench/link.py: real kernels, two network namespaces; each run has a seed of its own for its losses, the same for all systems.
All clients are programs that run already; an app that has just been brought to the front. The certificate chain is as long for everybody.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import trio

from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.link import Conditions, LinkCounts, open_link
from bench.peer import PeerMissing, read_line
from bench.stage import Options
from bench.sync_link_bytes import measure_bytes
from bench.sync_link_day import make_day
from bench.sync_link_ends import Done
from bench.sync_link_systems import Ground, System, open_client, open_json, open_ours, open_pouchdb
from bench.sync_link_tls import make_tls

SEED: Final = 1
RUNS_PER_ROUND: Final = 3
"""Of ours; five rounds are fifteen."""
CUT_EVERY_S: Final = 8.0
CUT_S: Final = 2.0
GIVE_UP_S: Final = 300.0
CLEAN: Final = Conditions(rate_bit_s=1e8, round_trip_ms=0, loss=0)
"""Between runs: what the last one left behind ends quickly."""
REST_S: Final = 0.5
MEDIAN_GOAL: Final = Goal(figure_max=15.0)
P95_GOAL: Final = Goal(figure_max=25.0)


class Run(msgspec.Struct, frozen=True):
    """One sync, and what it cost the link."""

    done: Done
    counts: LinkCounts

    def __str__(self) -> str:
        up, down = self.counts.up, self.counts.down
        marks = " ".join(f"{name} {at:.1f}" for name, at in self.done.marks.items())
        traffic = f"IP {up.bytes / 1000:.1f} kB up, {down.bytes / 1000:.1f} kB down, {up.lost + down.lost} packets lost"
        cuts = f", {self.counts.cuts} cuts, {self.done.sockets} sockets, {self.done.twice_bytes} B twice" if self.counts.cuts else ""
        return f"{self.done.took_s:.1f} s ({marks}; {traffic}{cuts})"


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """All three. Raises `LinkMissing`, `PeerMissing`, `GeneratorFailed`."""
    measured = measure_bytes(say)
    runs = options.rounds * (1 if options.quick else RUNS_PER_ROUND)
    with tempfile.TemporaryDirectory(prefix="educonnect-link-") as name:
        folder = Path(name)
        async with open_link() as link, AsyncExitStack() as stack:
            ground = Ground(link, folder, make_tls(folder), SEED, make_day(SEED), 2 * runs)
            ours = await stack.enter_async_context(open_ours(ground))
            peers: list[System] = []
            if options.peers:
                peers += await stack.enter_async_context(open_json(ground))
                peers.append(await stack.enter_async_context(open_pouchdb(ground)))
            say(f"sync_link: {Conditions(seed=SEED)}; a certificate chain of {ground.tls.chain_bytes} B")
            plain: dict[str, list[Run]] = {system.name: [] for system in (ours, *peers)}
            cut: list[Run] = []
            for number in range(runs):
                conditions = Conditions(seed=SEED + number)
                broken = msgspec.structs.replace(conditions, cut_every_s=CUT_EVERY_S, cut_s=CUT_S)
                plain[ours.name].append(await run_once(ground, ours, number, conditions, say))
                cut.append(await run_once(ground, ours, runs + number, broken, say))
                if number < options.rounds:
                    for peer in peers:
                        plain[peer.name].append(await run_once(ground, peer, number, conditions, say))
    return measured + figures(plain, cut)


async def run_once(ground: Ground, system: System, number: int, conditions: Conditions, say: Callable[[str], None]) -> Run:
    """One sync of one device, which has never synced before."""
    await ground.link.begin(CLEAN)
    async with open_client(ground, system.client(number)) as process:
        assert process.stdin is not None
        await ground.link.begin(conditions)
        await process.stdin.send_all(b"go\n")
        try:
            with trio.fail_after(GIVE_UP_S):
                done = msgspec.json.decode(await read_line(process), type=Done)
        except (PeerMissing, trio.TooSlowError) as error:
            raise GeneratorFailed(f"the sync of {system.name} did not finish, or had not everything: {error}") from error
        run = Run(done, await ground.link.counts())
        say(f"  {system.name}: {run}")
        if done.notes:
            say(f"    {done.notes}")
        await ground.link.begin(CLEAN)
        await trio.sleep(REST_S)
    return run


def figures(plain: dict[str, list[Run]], cut: Sequence[Run]) -> list[Measured]:
    """Medians and worst cases, ours beside each peer."""
    (_, our_runs), *peers = plain.items()
    note = f"{len(our_runs)} runs; 200 mutations up, 500 messages down, TCP, TLS and resume included; {Conditions()}"
    measured: list[Measured] = []
    for name, of, goal in (("median", _median, MEDIAN_GOAL), ("p95", _p95, P95_GOAL)):
        took = of(our_runs)
        measured.append(Measured(f"sync: a day over 2G, {name}", took, "s", goal=goal, note=note))
        for peer, runs in peers:
            theirs = of(runs)
            says = f"{len(runs)} runs of the peer"
            measured.append(Measured(f"sync: a day over 2G, {name}, beside {peer}", took, "s", peer, theirs, took / theirs, note=says))
    for way, title in (("up", "sent"), ("down", "received")):
        size = median(getattr(run.counts, way).bytes / 1000 for run in our_runs)
        for peer, runs in peers:
            theirs = median(getattr(run.counts, way).bytes / 1000 for run in runs)
            measured.append(Measured(f"sync: IP bytes {title} in a day over 2G, beside {peer}", size, "kB", peer, theirs, size / theirs))
        if not peers:
            measured.append(Measured(f"sync: IP bytes {title} in a day over 2G", size, "kB"))
    says = f"{len(cut)} runs, all of which finished; cut every {CUT_EVERY_S:g} s for {CUT_S:g} s"
    measured += [
        Measured("sync: a day over 2G that is cut, median", _median(cut), "s", note=says),
        Measured("sync: a day over 2G that is cut, longest", max(run.done.took_s for run in cut), "s", note=says),
        Measured("sync: sent or received twice because of cuts, at most", max(run.done.twice_bytes for run in cut) / 1000, "kB", note=says),
    ]
    return measured


def _median(runs: Sequence[Run]) -> float:
    return median(run.done.took_s for run in runs)


def _p95(runs: Sequence[Run]) -> float:
    """The smallest that 95 % do not exceed; of fifteen it is the longest."""
    ordered = sorted(run.done.took_s for run in runs)
    return ordered[-(-95 * len(ordered) // 100) - 1]
