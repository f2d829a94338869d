"""The job `ml.train`: a version that learned from what people decided here, in use only if it is better.

    rows (persistence) ─ pages ─▶ a file ─▶ `python -m ml_actors.training` in a process of its own ─▶ a folder ─▶ candidate
                                                                                                    better by its margin? ─▶ active

The process has a file in and a folder out, no connection to anything, and is killed when the job's time is over or this process ends. The
new version and the end of the job are one transaction.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import trio
from msgspec import Struct

from actors.jobs import Cron, Hopeless, JobKind, Way, Work
from actors.model_book import Card, State
from ml_actors.kinds import KINDS, Trained, Unusable
from ml_actors.library import Library
from ml_actors.registry import open_version
from ml_actors.training import REPORT, TOO_FEW
from persistence.bridge import Bridge
from persistence.models import PostgresModels, ReadPage, change, offer
from supervisors.ml_apart import ApartFailed, gather, run_apart

KIND: Final = "ml.train"
TRAIN_S: Final = 3600.0


class Train(Struct, frozen=True):
    """Asks for a training of a model."""

    model: str


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
        """One training. Raises `Hopeless` for a model that is not trained, `ApartFailed`."""
        name = work.payload.model
        read = self._rows.get(name)
        if read is None or name not in KINDS or not KINDS[name].training:
            raise Hopeless(f"{name!r} is not trained by a job; trained are {', '.join(sorted(self._rows))}")
        with tempfile.TemporaryDirectory(prefix="educonnect-training-") as place:
            folder = Path(place)
            count = await gather(self._bridge, read, folder / "rows", lambda done: work.report(done, 0, "rows"))
            parent, active = await self._active(name)
            work.report(count, 0, "rows; training")
            out = folder / "version"
            if not await self._train(name, folder / "rows", out, active):
                work.report(count, 0, "rows: too few to learn from")
                return
            card, files = await trio.to_thread.run_sync(_read_version, out)
            trained = msgspec.json.decode((folder / REPORT).read_bytes(), type=Trained)
        if card.name != name:
            raise ApartFailed(f"it made a version of {card.name}")
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
        status = await run_apart(command, out.parent)
        return status != TOO_FEW


def crons(rows: Mapping[str, ReadPage]) -> tuple[Cron, ...]:
    """Each model once a week, at night, an hour apart: what was learned in a day is chance."""
    return tuple(
        Cron(f"train-{name}", KIND, Train(name), at=f"41 {1 + place % 5} * * {1 + place // 5}") for place, name in enumerate(sorted(rows))
    )


def _read_version(folder: Path) -> tuple[Card, dict[str, bytes]]:
    card = open_version(folder)
    return card, {file.name: (folder / file.name).read_bytes() for file in card.files}
