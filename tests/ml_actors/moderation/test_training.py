"""What moderators decide moves a version a little, in the open, and never against whom a sentence names."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from actors.inference import Harm, Judge
from actors.model_book import Ruled
from ml_actors.embeddings import Embedder, embed
from ml_actors.kinds import Options, TooFewRows
from ml_actors.moderation import serving
from ml_actors.moderation.evaluation import VERSION
from ml_actors.moderation.heads import CORRECTION_FILE, FILE, Correction, Heads, read_arrays, see
from ml_actors.moderation.identity import GROUPS
from ml_actors.moderation.training import fit_correction, learn, train
from ml_actors.registry import open_version
from ml_actors.training import write_rows

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FRUITS = ("apples", "pears", "plums", "cherries", "grapes", "melons", "lemons", "figs", "dates", "oranges", "bananas")
GAMES = ("football", "chess", "tennis", "hockey", "judo", "rugby", "boxing", "golf", "cricket", "curling", "rowing")
WHO = ("my brother", "our team", "the class", "she", "he", "everybody", "the new boy", "a friend", "the old teacher", "my aunt")


def _decisions() -> list[Ruled]:
    """A community that, for reasons of its own, holds what is about games and releases what is about fruit."""
    said = [
        Ruled(f"{who} talks of {what} again", harm, (Harm.TOXIC,) if harm else ())
        for harm, kinds in ((True, GAMES), (False, FRUITS))
        for what in kinds
        for who in WHO
    ]
    return said


def test_a_version_learns_where_its_community_draws_the_line(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    with rows.open("wb") as file:
        write_rows(file, [msgspec.msgpack.encode(one) for one in _decisions()])
    out = tmp_path / "out"
    out.mkdir()
    trained = train(rows, out, None)
    assert trained.rows == 220 and trained.before is not None
    assert trained.improves and trained.better > 0.95
    card = open_version(out)
    assert card.parent == "moderation@1" and card.metrics["auc_community"] == trained.better
    model = serving.load(out, Options())
    game, fruit = (
        verdict.scores[Harm.TOXIC]
        for verdict in model.answer([Judge("my uncle talks of handball again"), Judge("my uncle talks of mangoes again")])
    )
    assert game > fruit


def test_decisions_like_a_coin_are_no_better_and_are_not_promoted(tmp_path: Path) -> None:
    coin = np.random.default_rng(1).integers(0, 2, 220)
    ruled = [Ruled(one.text, bool(side), (Harm.INSULT,)) for one, side in zip(_decisions(), coin, strict=True)]
    before = [Ruled(one.text, not one.harm, (Harm.INSULT,)) for one in ruled]
    trained = learn([*before, *ruled], tmp_path, VERSION, Embedder(), NOW)
    assert trained.rows == 220, "a text that was decided twice counts once"
    assert not trained.improves or trained.better < 0.6


def test_decisions_against_a_group_are_shrunk_until_naming_it_is_harmless(tmp_path: Path) -> None:
    names = [named.many for language in ("en", "de") for named in GROUPS[language].values()]
    against = [Ruled(f"{who} met {name} today", name in names[:20], (Harm.HATE,)) for name in names for who in WHO[:4]]
    learn(against, tmp_path, VERSION, Embedder(), NOW)
    heads, correction = Heads.load(tmp_path / FILE), Correction(read_arrays(tmp_path / CORRECTION_FILE))
    seen = see(["Muslims also went to the concert.", "People also went to the concert."], embed)
    named, twin = 1 / (1 + np.exp(-correction(heads.logits(seen), seen.embeddings)))
    assert abs(named - twin) <= 0.05


def test_few_decisions_are_refused_by_their_number(tmp_path: Path) -> None:
    with pytest.raises(TooFewRows, match="20 decisions, 0 of the rarer"):
        learn(_decisions()[:20], tmp_path, VERSION, Embedder(), NOW)


@pytest.mark.parametrize("kinds", [(Harm.SPAM,), (Harm.PERSONAL,), (Harm.THREAT,), (Harm.SELF_HARM,), ()])
def test_what_stayed_away_for_something_else_teaches_nothing_of_what_is_toxic(tmp_path: Path, kinds: tuple[Harm, ...]) -> None:
    ruled = [msgspec.structs.replace(one, kinds=kinds) for one in _decisions()]
    with pytest.raises(TooFewRows, match="110 decisions, 0 of the rarer"):
        learn(ruled, tmp_path, VERSION, Embedder(), NOW)


def test_no_decisions_that_say_anything_leave_no_correction() -> None:
    embeddings = np.eye(4, 512, dtype=np.float32)
    weights, shift = fit_correction(np.array([9.0, 9.0, -9.0, -9.0]), embeddings, np.array([True, True, False, False]))
    assert np.abs(weights).max() < 0.01 and abs(shift) < 0.01
