"""The version that serves: rules of this code, a ranker from its folder, the embeddings that come with the product.

load(folder, options) ─▶ runtime embedded: `Composer` runtime transformers: `ml_actors.seq2seq_questions`, the same checks and ranker
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from actors.inference import Compose, Questions
from ml_actors.embeddings import Embedder
from ml_actors.kinds import Model, Options, Unusable
from ml_actors.questions import ranking
from ml_actors.questions.composing import Composer

WARM = Compose("The sun warms the sea. Water rises because it is warm, and clouds form. Then it rains on the land.", "en")


class Serving:
    """Answers `Compose`."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer

    def warm(self) -> None:
        self._composer.compose(WARM)

    def answer(self, batch: Sequence[Compose]) -> list[Questions]:
        return [self._composer.compose(request) for request in batch]


def load(folder: Path, options: Options) -> Model[Compose, Questions]:
    """Raises `Unusable`."""
    ranker = ranking.load(folder)
    if options.runtime == "transformers":
        from ml_actors.seq2seq_questions import Seq2Seq, load_asking  # here: torch is an extra, and takes seconds to import

        return Seq2Seq(ranker, options, load_asking(folder))
    if options.device != "cpu":
        raise Unusable(f"the questions' rules run on the processor; device is {options.device!r}")
    return Serving(Composer(ranker, Embedder()))
