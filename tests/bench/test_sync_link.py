"""A day's sync over the emulated link: the same day for all, counted truly, whole at its end. No times are asserted here."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import msgspec
import pytest
import trio

from bench.figures import Measured
from bench.link import Conditions, LinkCounts, open_link
from bench.link_model import Counts
from bench.peer import PeerMissing, install
from bench.sync_link import Run, figures, run_once
from bench.sync_link_bytes import STREAMS, chunks_of, measure_bytes, outcomes_of
from bench.sync_link_day import DEEDS, LINE_CHARS, LINES, make_day, make_progress
from bench.sync_link_ends import Done
from bench.sync_link_ours import change_of
from bench.sync_link_systems import POUCHDB, Ground, System, open_json, open_ours, open_pouchdb
from bench.sync_link_tls import make_tls
from protocol.chunks import expand
from protocol.codec import decode_command, decode_frame, encode
from protocol.entities import TABLE, check
from protocol.frames import CHUNK_BYTES_GOAL, Chunk, DoneRun
from tests import needs
from tests.bench.test_link import possible

__all__ = ["possible"]

FAST: Final = Conditions(rate_bit_s=1e9, round_trip_ms=0, loss=0)


def silent(_: str) -> None:
    """Nobody listens."""


def test_a_day_is_what_it_is_said_to_be() -> None:
    day = make_day(1)
    assert day == make_day(1) != make_day(2)
    assert len(day.deeds) == DEEDS and len(day.lines) == LINES
    assert {len(line) for line in day.lines} == {LINE_CHARS}
    kinds = [deed.entity for deed in day.deeds]
    assert [kinds.count(kind) for kind in ("progress", "answer", "profile", "draft")] == [115, 80, 2, 3]
    assert [deed.at for deed in day.deeds] == sorted(deed.at for deed in day.deeds)
    for deed in day.deeds:
        check(TABLE[deed.kind], deed.numbered())


def test_what_is_weighed_is_what_a_server_takes() -> None:
    deeds = make_day(1).deeds
    frames = chunks_of(deeds)
    chunks = [decode_command(frame) for frame in frames]
    changes = [change for chunk in chunks if isinstance(chunk, Chunk) for change in expand(chunk)]
    assert changes == [encode(change_of(deed, STREAMS)) for deed in deeds]
    assert max(map(len, frames)) <= CHUNK_BYTES_GOAL
    outcomes = [decode_frame(frame) for frame in outcomes_of(frames, deeds)]
    assert sum(len(run.values) for run in outcomes if isinstance(run, DoneRun)) == len(deeds)


def test_the_bytes_of_progress_are_within_their_goals() -> None:
    measured = {one.name: one for one in measure_bytes(silent)}
    assert measured["sync: bytes of 1 progress mutation"].met
    assert measured["sync: bytes of 200 progress mutations"].met
    assert len({deed.key for deed in make_progress(200)}) > 1


def test_figures_say_medians_and_the_longest_of_fifteen() -> None:
    def run(took_s: float, twice_bytes: int = 0) -> Run:
        return Run(Done(took_s, {}, 1, twice_bytes), LinkCounts(Counts(bytes=5000), Counts(bytes=50_000), 0))

    ours = [run(float(n)) for n in range(1, 16)]
    made = figures({"EduConnect": ours, "JSON": [run(30.0)]}, [run(20.0, 4000), run(24.0)])
    found: dict[str, Measured] = {one.name: one for one in made}
    assert found["sync: a day over 2G, median"].figure == 8.0
    assert found["sync: a day over 2G, p95"].figure == 15.0
    assert found["sync: a day over 2G, median, beside JSON"].ratio == 8 / 30
    assert found["sync: a day over 2G that is cut, longest"].figure == 24.0
    assert found["sync: sent or received twice because of cuts, at most"].figure == 4.0


@pytest.fixture
def installed() -> None:
    if shutil.which("npm") is None:
        needs.refuse("npm is not installed (PouchDB, the peer of sync)")
    try:
        install(POUCHDB)
    except PeerMissing as missing:
        needs.refuse(f"{missing} (the peer of sync)")


@pytest.mark.usefixtures("possible")
async def test_everything_of_the_day_arrives_through_the_real_system_even_if_the_link_is_cut(tmp_path: Path) -> None:
    async with open_link() as link, AsyncExitStack() as stack:
        ground = Ground(link, tmp_path, make_tls(tmp_path), 1, make_day(1), 2)
        ours = await stack.enter_async_context(open_ours(ground))
        with trio.fail_after(120):
            run = await run_once(ground, ours, 0, FAST, silent)
            assert (run.done.sockets, run.done.twice_bytes, run.counts.cuts) == (1, 0, 0)
            slow = msgspec.structs.replace(FAST, rate_bit_s=400_000, round_trip_ms=20, cut_every_s=1.0, cut_s=0.1)
            cut = await run_once(ground, ours, 1, slow, silent)
            assert cut.done.sockets > 1 and cut.counts.cuts > 0


@pytest.mark.usefixtures("possible")
async def test_json_over_https_brings_the_same_day(tmp_path: Path) -> None:
    async with open_link() as link, AsyncExitStack() as stack:
        ground = Ground(link, tmp_path, make_tls(tmp_path), 1, make_day(1), 2)
        plain, compressed = await stack.enter_async_context(open_json(ground))
        runs = await runs_of(ground, (plain, compressed))
    assert runs[1].counts.down.bytes < runs[0].counts.down.bytes


@pytest.mark.usefixtures("possible", "installed")
async def test_pouchdb_brings_the_same_day(tmp_path: Path) -> None:
    async with open_link() as link, AsyncExitStack() as stack:
        ground = Ground(link, tmp_path, make_tls(tmp_path), 1, make_day(1), 2)
        pouchdb = await stack.enter_async_context(open_pouchdb(ground))
        [run] = await runs_of(ground, (pouchdb,))
    assert run.counts.down.bytes > LINES * LINE_CHARS


async def runs_of(ground: Ground, systems: Iterable[System]) -> list[Run]:
    with trio.fail_after(120):
        return [await run_once(ground, system, number, FAST, silent) for number, system in enumerate(systems)]
