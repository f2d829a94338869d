"""One composer for all tests of questions: its embeddings take half a second to read."""

from __future__ import annotations

import pytest

from ml_actors.embeddings import Embedder
from ml_actors.questions.composing import Composer
from ml_actors.questions.ranking import by_hand


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture(scope="session")
def composer(embedder: Embedder) -> Composer:
    return Composer(by_hand(), embedder)
