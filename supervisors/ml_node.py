"""The ML process: `serve --role ml`. A tree of its own, which shares nothing with a gateway but the settings.

    Settings ─▶ MlNode ─spec─▶ Supervisor("ml", rest_for_one)
                                 ├ bridge     the book of models and the rows that models are fed; may be away, and everything goes on
                                 ├ models     a runner and a process for each version
                                 ├ line       questions come when there is somebody to answer
                                 ╰ port       /metrics, /health, /ready, where one is set

It needs the database for versions that were trained here and for what models are fed; what the program ships is served without it.
"""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from signal import SIGKILL
from typing import Final

import msgspec
import trio

from actors.child import Run, Supervisor
from actors.trust_gates import Thresholds
from gateway.metrics import Metrics
from gateway.plain_port import PlainPort
from ml_actors.kinds import Options
from ml_actors.library import Library
from ml_actors.serving import Serving, ServingOptions
from ml_actors.template import Template
from ml_actors.workers import Process, ProcessWorker
from persistence.bridge import Bridge, BridgeOptions
from persistence.mentoring.settling import settle_mentors
from persistence.models import PostgresFeeds, PostgresModels
from supervisors.blueprints import ml_tree
from supervisors.embedded_postgres import SPAWNER, TETHER
from supervisors.ml_line import answering_line, cache_folder
from supervisors.ml_rows import FEEDS
from supervisors.pulse import Pulse
from supervisors.readings_models import ml_metrics
from supervisors.settings import Settings
from supervisors.tree import Tree
from supervisors.troubles import Troubles

CONNECTIONS_MAX: Final = 2
"""The book is asked every two seconds, a feed every second."""


class MlNode:
    """The services of one ML process. Made inside `trio.run`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.number = secrets.randbits(31) or 1
        database = settings.database
        self.bridge = Bridge(
            BridgeOptions(dsn=database.dsn.reveal(), pooler=database.pooler, connections_max=CONNECTIONS_MAX, calls_max=database.calls_max)
        )
        book = PostgresModels(self.bridge)
        library = Library(cache_folder(settings), book)
        book.shipped = library.shipped
        self.serving = Serving(
            library,
            serving_options(settings),
            spawn=spawn,
            random=random.random,
            make_worker=partial(ProcessWorker, spawn, fork=Template(spawn).fork),
            feeds=PostgresFeeds(self.bridge, FEEDS, before={"matching": self._settle_mentors}),
        )
        self.line = answering_line(settings, self.number)
        ml = settings.ml
        metrics = Metrics(ml_metrics(self))
        self.port = PlainPort(ml.host, ml.port, metrics=metrics.exposition, missing=self._missing) if ml.port else None
        self.pulse = Pulse()
        self.troubles = Troubles(time.time)
        self.tree = Tree(self.spec(), report=self.troubles.in_tree)

    def spec(self) -> Supervisor:
        runs: dict[str, Run] = {
            "bridge": self.bridge.serve,
            "models": self.serving.serve,
            "line": self._answer,
        }
        if self.port is not None:
            runs["port"] = self.port.serve
        return ml_tree(runs)

    def _missing(self) -> list[str]:
        return [f"{name}: no version of it is ready" for name in self.serving.plans if not self.serving.serves(name)]

    async def _settle_mentors(self) -> None:
        """What changed of a mentor (their profile, room, trust) is made into what the model knows of them: cheap where nothing changed."""
        await settle_mentors(self.bridge, msgspec.convert(self.settings.trust, Thresholds, from_attributes=True))

    async def _answer(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.line.serve(self.serving, task_status=task_status)


def serving_options(settings: Settings) -> ServingOptions:
    """What is served and how, from the settings."""
    ml = settings.ml
    named = {"moderation": ml.moderation_model, "questions": ml.questions_model}
    options = {
        model: Options(
            ml.device,
            "transformers" if named.get(model) else "embedded",
            named.get(model, ""),
            ml.threads,
            ml.moderation_labels if model == "moderation" else "",
        )
        for model in ml.models
    }
    memory = {model: ml.transformers_memory_mib_max for model in ml.models if named.get(model)}
    return ServingOptions(ml.models, options, memory)


def spawn(command: Sequence[str], descriptor: int) -> Process:
    """Starts a model's process, which dies with this one, however that happens (`tether.py`). One thread a process: there is one for each
    model, and libraries that take every core for themselves would take them from the gateway beside it."""
    tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(SIGKILL))]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
    return SPAWNER.submit(
        partial(
            subprocess.Popen,
            [*tether, *command],
            env={**os.environ, **one, "MALLOC_ARENA_MAX": "2", "TOKENIZERS_PARALLELISM": "false"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(descriptor,),
            start_new_session=True,
        )
    ).result()
