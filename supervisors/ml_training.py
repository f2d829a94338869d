"""The job `ml.train`: a version that learned from what people decided here, in use only if it is better.

    rows (persistence) ─ pages ─▶ a file ─▶ `python -m ml_actors.training` in a process of its own ─▶ a folder ─▶ candidate
                                                                                                    better by its margin? ─▶ active

The process has a file in and a folder out, no connection to anything, and is killed when the job's time is over or this process ends. The
new version and the end of the job are one transaction.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import trio
from msgspec import Struct

from actors.jobs import Cron, Hopeless, JobKind, Way, Work
from actors.model_book import PAGE_ROWS_MAX, Card, Mark, Page, State
from ml_actors.kinds import KINDS, Trained, Unusable
from ml_actors.library import Library
from ml_actors.registry import open_version
from ml_actors.training import REPORT, TOO_FEW, write_rows
from persistence.bridge import Bridge
from persistence.models import PostgresModels, ReadPage, change, offer
from supervisors.embedded_postgres import SPAWNER, TETHER

KIND: Final = "ml.train"
ROWS_MAX: Final = 2_000_000
"""Beyond it the oldest are enough."""
READ_S: Final = 30.0
TRAIN_S: Final = 3600.0
WORDS_MAX: Final = 2_000


class Train(Struct, frozen=True):
    """Asks for a training of a model."""

    model: str


class TrainingFailed(Exception):
    """The training's process did not end well. Carries its last words."""


class Trainings:
    """Runs trainings in a jobs process."""

    def __init__(self, bridge: Bridge, cache: Path, rows: Mapping[str, ReadPage]) -> None:
        self._bridge = bridge
        self._rows = rows
        self._library = Library(cache, PostgresModels(bridge))

    def kinds(self) -> tuple[JobKind, ...]:
        way = Way(first_s=600.0, at_once_max=1)
        return (JobKind(KIND, Train, self.run, attempts_max=3, timeout_s=TRAIN_S, way=way),)

    async def run(self, work: Work[Train]) -> None:
        """One training. Raises `Hopeless` for a model that is not trained, `TrainingFailed`."""
        name = work.payload.model
        read = self._rows.get(name)
        if read is None or name not in KINDS or not KINDS[name].training:
            raise Hopeless(f"{name!r} is not trained by a job; trained are {', '.join(sorted(self._rows))}")
        with tempfile.TemporaryDirectory(prefix="educonnect-training-") as place:
            folder = Path(place)
            count = await self._gather(read, folder / "rows", work)
            parent, active = await self._active(name)
            work.report(count, 0, "rows; training")
            out = folder / "version"
            if not await self._train(name, folder / "rows", out, active):
                work.report(count, 0, "rows: too few to learn from")
                return
            card, files = await trio.to_thread.run_sync(_read_version, out)
            trained = msgspec.json.decode((folder / REPORT).read_bytes(), type=Trained)
        if card.name != name:
            raise TrainingFailed(f"it made a version of {card.name}")
        version = datetime.now(UTC).strftime("%Y%m%d.%H%M%S")
        card = msgspec.structs.replace(card, version=version, parent=parent or card.parent)
        beside = "nothing" if trained.before is None else f"{trained.before:.4f} + {trained.margin:.4f}"
        became = "promoted" if trained.improves else "kept as candidate"
        words = f"{card.title}: {trained.metric} {trained.better:.4f} beside {beside}, {became}"

        async def effect(tx: asyncpg.Connection) -> None:
            await offer(tx, card, files)
            if trained.improves:
                await change(tx, name, version, State.ACTIVE)

        work.report(count, count, words)
        await work.finish(effect)

    async def _gather(self, read: ReadPage, path: Path, work: Work[Train]) -> int:
        mark: Mark = ()
        count = 0
        with path.open("wb") as file:
            while count < ROWS_MAX:
                page = await self._bridge.run(partial(_read_page, read=read, after=mark), deadline_s=READ_S, readonly=True)
                count += write_rows(file, page.rows)
                work.report(count, 0, "rows")
                mark = page.mark
                if not page.more:
                    break
        return count

    async def _active(self, name: str) -> tuple[str, Path | None]:
        """The version in use and its folder, to be measured beside; None: there is none, or it cannot be had here."""
        for entry in await self._library.entries([name]):
            if entry.state is State.ACTIVE:
                try:
                    return entry.card.title, await self._library.folder(entry)
                except Unusable:
                    return entry.card.title, None
        return "", None

    async def _train(self, name: str, rows: Path, out: Path, active: Path | None) -> bool:
        """False: there were too few rows."""
        command = [sys.executable, "-m", "ml_actors.training", name, str(rows), str(out)]
        if active is not None:
            command += ["--active", str(active)]
        said = out.parent / "said"
        with said.open("wb") as stderr:
            process = _spawn(command, stderr.fileno())
        try:
            await _wait_exit(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode == TOO_FEW:
            return False
        if process.returncode != 0:
            words = said.read_bytes()[-WORDS_MAX:].decode(errors="replace").strip()
            raise TrainingFailed(f"exit status {process.returncode}: {words}")
        return True


def crons(rows: Mapping[str, ReadPage]) -> tuple[Cron, ...]:
    """Each model once a week, at night, an hour apart: what was learned in a day is chance."""
    return tuple(
        Cron(f"train-{name}", KIND, Train(name), at=f"41 {1 + place % 5} * * {1 + place // 5}") for place, name in enumerate(sorted(rows))
    )


async def _read_page(tx: asyncpg.Connection, *, read: ReadPage, after: Mark) -> Page:
    return await read(tx, after, PAGE_ROWS_MAX)


def _read_version(folder: Path) -> tuple[Card, dict[str, bytes]]:
    card = open_version(folder)
    return card, {file.name: (folder / file.name).read_bytes() for file in card.files}


def _spawn(command: list[str], stderr: int) -> subprocess.Popen[bytes]:
    """One thread, and (by itself) a low priority: nobody waits for it, and a gateway may be beside it."""
    tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(signal.SIGKILL))]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    null = subprocess.DEVNULL

    def start() -> subprocess.Popen[bytes]:
        environment = {**os.environ, **one}
        return subprocess.Popen([*tether, *command], env=environment, stdin=null, stdout=null, stderr=stderr, start_new_session=True)

    return SPAWNER.submit(start).result()


async def _wait_exit(process: subprocess.Popen[bytes]) -> None:
    watch = os.pidfd_open(process.pid)
    try:
        while process.poll() is None:
            await trio.lowlevel.wait_readable(watch)
    finally:
        trio.lowlevel.notify_closing(watch)
        os.close(watch)
