"""Kinds of model: which code loads a version, how much it is asked at once, and when it has failed.

    KINDS["moderation"] ─ load(folder, options) ─▶ Model ─ warm() ─▶ ready ─ answer([Judge, Judge …]) ─▶ [Verdict, Verdict …]
                            in a child process, which imports this kind's module and no other's

A model is written as if nothing could go wrong around it: one thread, a folder, a list in, a list out. Time, memory, crashes
and versions are the business of `serving.py`.

Invariant: serving imports numpy and the embeddings at most; what trains and evaluates is in modules of its own and is never loaded here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar, cast

from msgspec import Meta, Struct

from actors.inference import Compose, Echo, Foresee, Judge, Match, Request, Result

R_contra = TypeVar("R_contra", bound=Request, contravariant=True)
S_co = TypeVar("S_co", bound=Result, covariant=True)

Device = Literal["cpu", "cuda"]
Runtime = Literal["embedded", "transformers"]


class Options(Struct, frozen=True):
    """How a model is to run. A model that cannot do so raises `Unusable` while it loads, and never runs in another way instead."""

    device: Device = "cpu"
    runtime: Runtime = "embedded"
    model: str = ""
    """For transformers: a folder, or the name of a model that lies in its cache. Nothing is downloaded by itself."""
    threads: int = 1
    labels: str = ""
    """For transformers: what a classifier's labels mean, as in "LABEL_1=TOXIC,LABEL_2=HATE"; "": their names say it."""


class Unusable(Exception):
    """Cannot be loaded: a file is missing, wrong or of another format, the device or the runtime is not there. The text says which."""


class Model(Protocol[R_contra, S_co]):
    """A version, loaded. Called by one thread; may block. Whatever it raises fails the batch that it was asked, and no other.

    A model that must know rows beside its files is a `FedModel`.
    """

    def warm(self) -> None:
        """Does once what makes a first answer slow. Called before anything is asked; of a fed model, after its first feeding."""
        ...

    def answer(self, batch: Sequence[R_contra]) -> Sequence[S_co]:
        """One result for each request, in their order."""
        ...


class FedModel(Model[R_contra, S_co], Protocol[R_contra, S_co]):
    def feed(self, rows: Sequence[bytes]) -> None:
        """Takes rows of `actors.model_book.Feeds`, each in msgpack. Between batches; all that there are before the first."""
        ...


class Kind(Struct, frozen=True):
    """One kind of model. Bounds are of one child process, that is of one version."""

    name: str
    serving: str
    """The module with `load(folder: Path, options: Options) -> Model`."""
    request: type[Request]
    training: str = ""
    """The module with `train(rows: Path, out: Path, active: Path | None) -> Trained`; "": not trained by a job."""
    evaluation: str = ""
    """The module of `educonnect ml evaluate NAME`."""
    batch_max: Annotated[int, Meta(ge=1)] = 16
    batch_wait_s: Annotated[float, Meta(ge=0)] = 0.0
    """How long the first of a batch waits for others while the model is idle. While it is busy they gather anyway."""
    batch_timeout_s: Annotated[float, Meta(gt=0)] = 5.0
    """After this the child is killed: the batch was endless."""
    memory_mib_max: Annotated[int, Meta(gt=0)] = 512
    """Of resident memory of its own; above it the child is killed."""
    start_s: Annotated[float, Meta(gt=0)] = 60.0
    """Loading, feeding and warming; then it is killed."""
    fed: bool = False
    embeds: bool = False
    """It uses `ml_actors.embeddings`: its process is forked when the template has them."""

    def load(self, folder: Path, options: Options) -> Model[Any, Any]:
        """Imports the kind's module and loads a version. Raises `Unusable`, or what the module raises."""
        return cast("Model[Any, Any]", importlib.import_module(self.serving).load(folder, options))


class Trained(Struct, frozen=True):
    """What a training found. Both figures are of the same held-out rows."""

    metric: str
    better: float
    """Of the new version; higher is better."""
    before: float | None
    """Of the active version; None: there was none that could be measured."""
    margin: float
    rows: int
    words: str = ""

    @property
    def improves(self) -> bool:
        return self.before is None or self.better >= self.before + self.margin


class TooFewRows(Exception):
    """Too little was gathered to train on. The text says how much there is, and how much it takes."""


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            "moderation",
            serving="ml_actors.moderation.serving",
            training="ml_actors.moderation.training",
            evaluation="ml_actors.moderation.evaluation",
            request=Judge,
            batch_max=32,
            batch_wait_s=0.002,
            batch_timeout_s=10.0,
            memory_mib_max=400,
            embeds=True,
        ),
        Kind(
            "matching",
            serving="ml_actors.matching.serving",
            training="ml_actors.matching.training",
            evaluation="ml_actors.matching.evaluation",
            request=Match,
            batch_max=8,
            batch_timeout_s=5.0,
            memory_mib_max=1024,
            start_s=180.0,
            fed=True,
            embeds=True,
        ),
        Kind(
            "questions",
            serving="ml_actors.questions.serving",
            training="ml_actors.questions.training",
            evaluation="ml_actors.questions.evaluation",
            request=Compose,
            batch_max=1,
            batch_timeout_s=60.0,
            memory_mib_max=512,
            embeds=True,
        ),
        Kind(
            "tracing",
            serving="ml_actors.tracing.serving",
            training="ml_actors.tracing.training",
            evaluation="ml_actors.tracing.evaluation",
            request=Foresee,
            batch_max=32,
            batch_wait_s=0.001,
            batch_timeout_s=5.0,
            memory_mib_max=256,
        ),
        Kind(
            "echo",
            serving="ml_actors.echo",
            request=Echo,
            batch_max=8,
            batch_wait_s=0.001,
            batch_timeout_s=1.0,
            memory_mib_max=192,
            start_s=20.0,
        ),
    )
}
