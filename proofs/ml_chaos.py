"""`python -m proofs ml_chaos`: models are killed, hung, slowed, fed too much, and everything around them with them, while people chat.

    questions, so many a second ─▶ Models ─ Redis, or a pipe ─▶ ML process ─▶ a child that does as it is told
    posts, so many a second ─▶ gateway ─▶ everybody in the room                   (the echo model)

    calm ─ an episode of chaos ─ calm ─ the next one …        of each: what became of every question, and the chat's p50 and p99

Every question has to end, answered or not, within its time and 50 ms (and what this program's own loop was late by, which is said); the
breaker has to open, and to close again; gateways have to be the processes that they were; nothing may be left. Starts servers of its own in
a temporary folder, ends them, and touches no process but its own. Exit status 1 on any violation.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import trio
from msgspec import Struct

from actors.breaker import State
from actors.inference import Answer, Echo, Unanswered, Why
from bench.crowd import seated
from bench.crowd_generator import Crowd, CrowdReport
from bench.ours import ENVIRONMENT, open_ours
from gateway.model_line import RedisAsking
from gateway.model_pipe import PipeAsking
from gateway.models import LinedModels
from gateway.redis_connection import Way, parse_address
from proofs.numbers import at_least_one, some_time
from supervisors.dev import Installation
from supervisors.embedded_valkey import Valkey, ValkeyOptions, start_valkey, stop_valkey
from supervisors.ml_line import PIPE
from supervisors.process import set_up_log

WITHIN_S: Final = 0.4
GRACE_S: Final = 0.05
BACK_S: Final = 30.0
ROOM: Final = 5
PULSE_S: Final = 0.005
SHORT: Final = ("--seconds", "0.9", "--per-s", "40", "--rooms", "2", "--posts-per-s", "20", "--only", "killed,hung,process,redis")


class Options(Struct, frozen=True):
    """How long each window is, how much is asked and said, over which line."""

    seconds: float = 4.0
    per_s: float = 60.0
    rooms: int = 6
    posts_per_s: float = 40.0
    line: str = "redis"
    models: str = "echo"
    only: tuple[str, ...] = ()


DEFAULTS: Final = Options()


class Outcome(Struct, frozen=True):
    """What became of one question. `beyond_s`: by how much it ended after its time; `own_s`: what our own loop was late by then."""

    why: Why | None
    took_s: float
    beyond_s: float
    own_s: float


class Window(Struct, frozen=True):
    """Some seconds, calm or not."""

    name: str
    calm: bool
    outcomes: tuple[Outcome, ...]
    chat: CrowdReport | None
    opened: int
    back_s: float
    """Until questions were answered and the breaker closed again; infinity: never."""

    @property
    def violations(self) -> list[str]:
        """What must not be; empty: all is well."""
        late = [one for one in self.outcomes if one.beyond_s > GRACE_S + one.own_s]
        wrong = [f"{self.name}: a question ended {one.beyond_s * 1000:.0f} ms after its time" for one in late[:3]]
        if self.back_s == float("inf"):
            wrong.append(f"{self.name}: not answered again after {BACK_S:g} s")
        if self.calm and (bad := [one for one in self.outcomes if one.why not in (None, Why.LATE)]):
            wrong.append(f"{self.name}: {len(bad)} of {len(self.outcomes)} questions were refused although nothing was wrong")
        return wrong


class Stage:
    """What an episode may do."""

    def __init__(self, installation: Installation, models: LinedModels, redis: Redis) -> None:
        self.installation = installation
        self.models = models
        self.redis = redis
        self.acts: Callable[[int], str] = lambda number: ""

    @property
    def ml_pid(self) -> int:
        assert self.installation.ml is not None
        return self.installation.ml.pid

    def children(self) -> list[int]:
        """The processes of models."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == self.ml_pid]


class Redis:
    """A server of the proof's own: the installation's tree would start its own one again."""

    def __init__(self, folder: Path) -> None:
        self._options = ValkeyOptions(folder)
        self._valkey: Valkey = start_valkey(self._options)

    @property
    def url(self) -> str:
        return self._valkey.address.url

    def kill(self) -> None:
        self._valkey.process.kill()

    def again(self) -> None:
        stop_valkey(self._valkey)
        self._valkey = start_valkey(self._options)

    def stop(self) -> None:
        stop_valkey(self._valkey)


async def _killed(stage: Stage, seconds: float) -> None:
    """Children are killed, again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for pid in stage.children():
            _signal(pid, signal.SIGKILL)
        await trio.sleep(0.6)


async def _hung(stage: Stage, seconds: float) -> None:
    """Some questions are endless loops."""
    stage.acts = lambda number: "spin" if number % 25 == 0 else ""
    await trio.sleep(seconds)


async def _slowed(stage: Stage, seconds: float) -> None:
    """Each takes so long that not a tenth of them can be answered."""
    stage.acts = lambda number: "wait:0.15"
    await trio.sleep(seconds)


async def _fed(stage: Stage, seconds: float) -> None:
    """Some make the child grow above its bound."""
    stage.acts = lambda number: "grow:64" if number % 10 == 0 else ""
    await trio.sleep(seconds)


async def _raising(stage: Stage, seconds: float) -> None:
    """Each second one raises, and some crash the child."""
    stage.acts = lambda number: ("raise", "", "crash" if number % 30 == 0 else "raise")[number % 3]
    await trio.sleep(seconds)


async def _stopped(stage: Stage, seconds: float) -> None:
    """The whole ML process stands still, and then goes on."""
    pid = stage.ml_pid
    _signal(pid, signal.SIGSTOP)
    try:
        await trio.sleep(seconds)
    finally:
        _signal(pid, signal.SIGCONT)


async def _process(stage: Stage, seconds: float) -> None:
    """The whole ML process is killed."""
    children = stage.children()
    _signal(stage.ml_pid, signal.SIGKILL)
    await trio.sleep(seconds)
    left = [pid for pid in children if _parent(pid) is not None and "worker_process" in _command(pid)]
    if left:
        raise AssertionError(f"{len(left)} models outlived their ML process")


async def _redis(stage: Stage, seconds: float) -> None:
    """Redis is killed, and comes back empty."""
    stage.redis.kill()
    await trio.sleep(seconds / 2)
    stage.redis.again()
    await trio.sleep(seconds / 2)


Episode = Callable[[Stage, float], Awaitable[None]]
EPISODES: Final[dict[str, Episode]] = {
    "killed": _killed,
    "hung": _hung,
    "slowed": _slowed,
    "fed": _fed,
    "raising": _raising,
    "stopped": _stopped,
    "process": _process,
    "redis": _redis,
}


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(
        prog="python -m proofs ml_chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a small one, for every day")
    parser.add_argument("--seconds", type=some_time, default=DEFAULTS.seconds, help="of each window (default: %(default)g)")
    parser.add_argument("--per-s", type=some_time, default=DEFAULTS.per_s, help="questions a second (default: %(default)g)")
    parser.add_argument("--rooms", type=at_least_one, default=DEFAULTS.rooms, help=f"of {ROOM} people who chat (default: %(default)s)")
    parser.add_argument("--posts-per-s", type=some_time, default=DEFAULTS.posts_per_s, help="over all rooms (default: %(default)g)")
    parser.add_argument("--line", choices=("redis", "pipe"), default=DEFAULTS.line, help="how models are reached (default: %(default)s)")
    parser.add_argument("--models", default=DEFAULTS.models, help="what is served; with `moderation` every post is judged, too")
    parser.add_argument("--only", default="", help=f"some episodes, by comma: {', '.join(EPISODES)}")
    given = parser.parse_args([*SHORT, *argv] if "--short" in argv else argv)
    only = tuple(name for name in given.only.split(",") if name)
    if unknown := set(only) - EPISODES.keys():
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}; there are {', '.join(EPISODES)}")
    options = Options(given.seconds, given.per_s, given.rooms, given.posts_per_s, given.line, given.models, only)
    set_up_log("error", "console")
    # A short path: a Unix socket's has a bound.
    folder = Path(tempfile.mkdtemp(prefix="educonnect-ml-"))
    try:
        windows, wrong = trio.run(run, options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    violations = [*(violation for window in windows for violation in window.violations), *wrong]
    print(describe(options, windows, violations))
    return 1 if violations else 0


async def run(options: Options, folder: Path) -> tuple[list[Window], list[str]]:
    """Every episode between two calm windows, on servers of its own; and what is wrong with the whole."""
    redis = Redis(folder / "redis")
    environment = {
        **ENVIRONMENT,
        "EDUCONNECT_ML_MODELS": options.models,
        "EDUCONNECT_REDIS_URL": redis.url,
        **({"EDUCONNECT_ML_LINE": "redis"} if options.line == "redis" else {}),
    }
    windows: list[Window] = []
    try:
        async with open_ours(folder / "data", gateways=1, people=options.rooms * ROOM, environment=environment, ml=True) as ours:
            installation = ours._installation
            gateways = [gateway.pid for gateway in installation.gateways]
            rooms = await ours.rooms(options.rooms, ROOM)
            async with seated(ours, rooms, folder, inbox=False) as crowd, trio.open_nursery() as nursery:
                await crowd.connect(options.rooms * ROOM)
                models = LinedModels(_line(options, installation, redis))
                await nursery.start(models.serve)
                stage = Stage(installation, models, redis)
                pulse = Pulse()
                nursery.start_soon(pulse.run)
                await _wait_back(stage)
                for name, episode in _chosen(options):
                    windows.append(await _window(f"calm before {name}", stage, options, crowd, pulse, None))
                    windows.append(await _window(name, stage, options, crowd, pulse, episode))
                wrong = _wrong_with_the_whole(windows, models)
                if gateways != [gateway.pid for gateway in installation.gateways]:
                    wrong.append("a gateway is another process than it was")
                nursery.cancel_scope.cancel()
    finally:
        redis.stop()
    return windows, wrong


def _chosen(options: Options) -> list[tuple[str, Episode]]:
    return [
        (name, episode)
        for name, episode in EPISODES.items()
        if (not options.only or name in options.only) and (name != "redis" or options.line == "redis")
    ]


def _wrong_with_the_whole(windows: Sequence[Window], models: LinedModels) -> list[str]:
    wrong = []
    if not any(window.opened for window in windows if not window.calm):
        wrong.append("the breaker never opened")
    if models.breakers["echo"].state is not State.CLOSED:
        wrong.append(f"the breaker is {models.breakers['echo'].state.value} at the end")
    if models.asking:
        wrong.append(f"{models.asking} questions are still held at the end")
    return wrong


def _line(options: Options, installation: Installation, redis: Redis) -> RedisAsking | PipeAsking:
    if options.line == "pipe":
        return PipeAsking(Path(installation.ml_line.removeprefix(PIPE)), random=random.random)
    return RedisAsking(Way(parse_address(redis.url), "chaos"), origin=random.getrandbits(31), random=random.random)


class Pulse:
    """How late this program's own loop was, lately: what a question ends late by may be ours."""

    def __init__(self) -> None:
        self._late: list[tuple[float, float]] = []

    async def run(self) -> None:
        while True:
            due = time.monotonic() + PULSE_S
            await trio.sleep(PULSE_S)
            self._late.append((due, time.monotonic() - due))
            if len(self._late) > 400:
                del self._late[:200]

    def late_s(self, since: float) -> float:
        """The most, from `since` on, the present turn included."""
        last = self._late[-1][0] + self._late[-1][1] if self._late else since
        return max((late for due, late in self._late if due + late >= since), default=0.0) + max(0.0, time.monotonic() - last - PULSE_S)


async def _window(name: str, stage: Stage, options: Options, crowd: Crowd, pulse: Pulse, episode: Episode | None) -> Window:
    outcomes: list[Outcome] = []
    chats: list[CrowdReport] = []
    opened = stage.models.breakers["echo"].opened
    stage.acts = lambda number: ""

    async def chat() -> None:
        # Without Redis, frames come by polling: that is not the models' doing, and is measured elsewhere.
        if episode is not _redis:
            chats.append(await crowd.post_at(options.posts_per_s, options.seconds, options.rooms * ROOM))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(chat)
        nursery.start_soon(_ask, stage, options, pulse, outcomes)
        if episode is not None:
            await episode(stage, options.seconds)
    stage.acts = lambda number: ""
    back_s = await _wait_back(stage) if episode is not None else 0.0
    return Window(
        name, episode is None, tuple(outcomes), chats[0] if chats else None, stage.models.breakers["echo"].opened - opened, back_s
    )


async def _ask(stage: Stage, options: Options, pulse: Pulse, outcomes: list[Outcome]) -> None:
    asked = 0

    def then(began: float) -> Callable[[Answer | Unanswered], None]:
        def end(outcome: Answer | Unanswered) -> None:
            now = time.monotonic()
            why = outcome.why if isinstance(outcome, Unanswered) else None
            outcomes.append(Outcome(why, now - began, now - began - WITHIN_S, pulse.late_s(began + WITHIN_S - 0.01)))

        return end

    begun = time.monotonic()
    for number in count():
        due = begun + number / options.per_s
        if due > begun + options.seconds:
            break
        await trio.sleep(max(0.0, due - time.monotonic()))
        asked += 1
        stage.models.ask_nowait(Echo(str(number), stage.acts(number)), WITHIN_S, then(time.monotonic()), key=number)
    with trio.move_on_after(WITHIN_S + 2.0):
        while len(outcomes) < asked:  # noqa: ASYNC110 - what it waits for may never come: that is what is looked for
            await trio.sleep(0.01)
    for _ in range(asked - len(outcomes)):
        outcomes.append(Outcome(Why.LATE, float("inf"), float("inf"), 0.0))


async def _wait_back(stage: Stage) -> float:
    began = time.monotonic()
    while time.monotonic() < began + BACK_S:
        try:
            await stage.models.ask(Echo("back?"), WITHIN_S)
        except Unanswered:
            await trio.sleep(0.05)
        else:
            if stage.models.breakers["echo"].state is State.CLOSED:
                return time.monotonic() - began
    return float("inf")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it was gone already


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def describe(options: Options, windows: Sequence[Window], violations: Sequence[str]) -> str:
    """The figures, by window."""
    questions = sum(len(window.outcomes) for window in windows)
    lines = [
        f"ml_chaos: {questions} questions over {options.line}, each within {WITHIN_S:g} s; {options.per_s:g} a second beside "
        f"{options.posts_per_s:g} posts/s in {options.rooms} rooms of {ROOM}",
        f"  {'':22} {'answered':>9} {'not answered, by why':34} {'most beyond':>12} {'breaker':>8} {'back in':>8}   chat p50 / p99",
    ]
    for window in windows:
        whys = Counter(one.why.value for one in window.outcomes if one.why is not None)
        answered = sum(one.why is None for one in window.outcomes)
        beyond = max((one.beyond_s for one in window.outcomes), default=0.0)
        chat = f"{window.chat.p50_ms:.1f} / {window.chat.p99_ms:.1f} ms" if window.chat is not None else "not measured"
        lines.append(
            f"  {window.name:22} {answered:>9} {', '.join(f'{n} {why}' for why, n in sorted(whys.items())) or '-':34} "
            f"{max(0.0, beyond) * 1000:>9.1f} ms {f'opened {window.opened}' if window.opened else '-':>8} "
            f"{f'{window.back_s:.1f} s' if not window.calm else '-':>8}   {chat}"
        )
    for calm in (True, False):
        chats = [window.chat for window in windows if window.calm is calm and window.chat is not None]
        if chats:
            p99s = sorted(chat.p99_ms for chat in chats)
            deliveries = sum(chat.deliveries for chat in chats)
            lines.append(
                f"  chat {'without' if calm else 'with'} chaos: {deliveries} deliveries, p99 {p99s[len(p99s) // 2]:.1f} ms in the median "
                f"window ({p99s[0]:.1f} to {p99s[-1]:.1f})"
            )
    return "\n".join([*lines, *violations, f"{len(violations)} violations"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
