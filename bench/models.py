"""What models cost to have and to ask: memory and start of an ML process with the default runtime, and one question there and back.

    serve --role ml (every model that ships, no transformers) ─▶ ready: seconds     RSS and PSS of all its processes
    echo, one question at a time and 32 at once ─ pipe │ Redis ─▶ latency p50, p99     CPU of who asks, of the ML process, of the child

The echo model says its words again, so what is measured is the way there: the line, the batch, the process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final, Literal

import msgspec
import psutil
import trio

from actors.inference import Echo, Unanswered
from bench.figures import Goal, Measured
from bench.ours import ENVIRONMENT
from bench.stage import Options
from bench.usage import cpu_s, resident_kib
from gateway.model_line import RedisAsking
from gateway.model_pipe import PipeAsking
from gateway.models import LinedModels
from gateway.redis_connection import Way, parse_address
from supervisors.dev import Installation
from supervisors.ml_line import PIPE
from supervisors.tree import running

QUESTIONS: Final = 1500
QUICK_QUESTIONS: Final = 60
AT_ONCE: Final = 32
SETTLE_S: Final = 1.0
WITHIN_S: Final = 5.0
MIB: Final = 1024.0
Line = Literal["pipe", "redis"]


class Asked(msgspec.Struct, frozen=True):
    """One run: latencies in ms, CPU in µs a question."""

    p50_ms: float
    p99_ms: float
    per_s: float
    asker_us: float
    answerer_us: float


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Memory and start once; a question over both lines, `rounds` times, in turn."""
    rows = await _stand(say)
    count = QUICK_QUESTIONS if options.quick else QUESTIONS
    runs: dict[tuple[Line, int], list[Asked]] = {}
    for line in ("pipe", "redis"):
        kind: Line = "pipe" if line == "pipe" else "redis"
        with TemporaryDirectory(prefix="educonnect-bench-") as folder:
            environment = {**ENVIRONMENT, "EDUCONNECT_ML_MODELS": "echo", **({"EDUCONNECT_ML_LINE": "redis"} if kind == "redis" else {})}
            installation = Installation(Path(folder), port=0, environment=environment, ml=True)
            async with running(installation.spec()):
                for _ in range(options.rounds):
                    for at_once in (1, AT_ONCE):
                        asked = await _ask(installation, kind, count, at_once)
                        runs.setdefault((kind, at_once), []).append(asked)
                        say(
                            f"models: {kind}, {at_once} at once: p50 {asked.p50_ms:.2f} ms, p99 {asked.p99_ms:.2f} ms, "
                            f"{asked.per_s:,.0f} answers/s; "
                            f"CPU a question: {asked.asker_us:.0f} µs to ask, {asked.answerer_us:.0f} µs to answer"
                        )
    for (kind, at_once), some in runs.items():
        name = f"a question by {kind}, {at_once} at once"
        rows += [
            Measured(f"{name}, p50", median(one.p50_ms for one in some), "ms", note="the echo model: the way there and back"),
            Measured(f"{name}, p99", median(one.p99_ms for one in some), "ms"),
            Measured(
                f"{name}, CPU", median(one.asker_us + one.answerer_us for one in some), "µs", note="who asks, the ML process and the model"
            ),
        ]
    return rows


async def _stand(say: Callable[[str], None]) -> list[Measured]:
    """The default runtime, from the start of its process to ready, and what it then holds."""
    with TemporaryDirectory(prefix="educonnect-bench-") as folder:
        installation = Installation(Path(folder), port=0, environment=ENVIRONMENT, ml=True)
        async with running(installation.spec()):
            assert installation.ml is not None
            # Everything else of the machine has started by now; its own start is measured alone.
            await trio.sleep(SETTLE_S)
            first = installation.ml.pid
            psutil.Process(first).terminate()
            began = time.monotonic()
            while installation.ml.pid in (0, first):  # noqa: ASYNC110 - its supervisor starts another process, and tells nobody here
                await trio.sleep(0.005)
            pid = installation.ml.pid
            spawned = time.monotonic()
            await _ready(installation)
            ready_s = time.monotonic() - spawned
            await trio.sleep(SETTLE_S)
            processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            resident = {_name(process): resident_kib(process.pid) for process in processes}
    for name, (rss, pss) in resident.items():
        say(f"models: {name}: RSS {rss / MIB:.0f} MiB, PSS {pss / MIB:.0f} MiB")
    rss_mib, pss_mib = (sum(both[place] for both in resident.values()) / MIB for place in (0, 1))
    say(f"models: all: RSS {rss_mib:.0f} MiB, PSS {pss_mib:.0f} MiB; ready in {ready_s:.2f} s ({spawned - began:.2f} s after the end)")
    note = f"{len(resident)} processes: " + ", ".join(f"{name} {pss / MIB:.0f}" for name, (_, pss) in resident.items())
    return [
        Measured("memory of the ML role, all its processes (PSS)", pss_mib, "MiB", goal=Goal(figure_max=400.0), note=note),
        Measured("from the start of an ML process until every model is ready", ready_s, "s", goal=Goal(figure_max=4.0)),
    ]


def _name(process: psutil.Process) -> str:
    if process.name().startswith("ml-"):  # forked: its command line is the template's
        return str(process.name()).removeprefix("ml-")
    command = process.cmdline()
    if "ml_actors.worker_template" in command:
        return "what they share"
    at = next((n for n, word in enumerate(command) if word.endswith("worker_process")), None)
    return command[at + 2] if at is not None else "the process itself"


async def _ready(installation: Installation) -> None:
    """Until a question is answered by every model that ships: the pipe opens when all are warm."""
    models = LinedModels(_line(installation, "pipe"))
    async with trio.open_nursery() as nursery:
        await nursery.start(models.serve)
        with trio.fail_after(120):
            while not models.up:  # noqa: ASYNC110 - the socket appears when it is so far
                await trio.sleep(0.005)
        nursery.cancel_scope.cancel()


def _line(installation: Installation, kind: Line) -> PipeAsking | RedisAsking:
    if kind == "pipe":
        return PipeAsking(Path(installation.ml_line.removeprefix(PIPE)), random=random.random)
    assert installation.redis is not None
    return RedisAsking(Way(parse_address(installation.redis.url), "bench"), origin=random.getrandbits(31), random=random.random)


async def _ask(installation: Installation, kind: Line, count: int, at_once: int) -> Asked:
    assert installation.ml is not None
    models = LinedModels(_line(installation, kind))
    took_ms: list[float] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(models.serve)
        with trio.fail_after(30):
            while True:
                try:
                    await models.ask(Echo("there?"), WITHIN_S)
                    break
                except Unanswered:
                    await trio.sleep(0.05)
        before = (time.process_time(), cpu_s([installation.ml.pid]), time.perf_counter())

        async def one_after_another(share: Sequence[int]) -> None:
            for number in share:
                began = time.perf_counter()
                await models.ask(Echo(str(number)), WITHIN_S, key=number)
                took_ms.append((time.perf_counter() - began) * 1000)

        async with trio.open_nursery() as asking:
            for lane in range(at_once):
                asking.start_soon(one_after_another, range(lane, count, at_once))
        after = (time.process_time(), cpu_s([installation.ml.pid]), time.perf_counter())
        nursery.cancel_scope.cancel()
    cuts = quantiles(took_ms, n=100)
    asker_s, answerer_s, wall_s = (now - then for now, then in zip(after, before, strict=True))
    return Asked(median(took_ms), cuts[98], count / wall_s, asker_s / count * 1e6, answerer_s / count * 1e6)
