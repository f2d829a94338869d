"""The ranker learns what mentors take, is measured on texts that it did not see, and is read back as it was written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from actors.inference import Compose, Form
from actors.model_book import Drafted
from ml_actors.embeddings import Embedder
from ml_actors.kinds import Options, TooFewRows, Unusable
from ml_actors.questions import ranking, training
from ml_actors.questions.composing import Composer
from ml_actors.questions.gaps import GAP
from ml_actors.registry import SHIPPED, open_version
from ml_actors.training import write_rows

PLACES = ("mill", "castle", "forest", "village", "church", "farm", "river", "school")
PEOPLE = ("king", "miller", "girl", "farmer", "queen", "shepherd")


def texts() -> list[str]:
    """Small stories of one make."""
    return [
        f"The {who} went to the {where} because it rained. The {who} found a silver key near the {where}."
        f" Then the {who} opened the old door."
        for who in PEOPLE
        for where in PLACES
    ]


def rows(composer: Composer, count: int = 48) -> list[bytes]:
    """What mentors did who take questions that ask why or what somebody did, and no gaps."""
    encoder = msgspec.msgpack.Encoder()
    found = []
    for text in texts()[:count]:
        for made in composer.compose(Compose(text, "en", (Form.CLOZE, Form.SHORT), 14)).questions:
            taken = GAP not in made.prompt
            found.append(
                encoder.encode(
                    Drafted(
                        text,
                        "en",
                        int(made.form),
                        made.prompt,
                        made.answer,
                        made.options,
                        made.begin,
                        made.end,
                        taken,
                        taken and len(text) % 3 == 0,
                    )
                )
            )
    return found


@pytest.fixture(scope="module")
def decided(composer: Composer) -> list[bytes]:
    return rows(composer, 36)


def written(folder: Path, made: list[bytes]) -> Path:
    with (folder / "rows").open("wb") as file:
        write_rows(file, made)
    return folder / "rows"


def test_a_ranker_learns_what_is_taken_and_beats_the_one_that_was_set_by_hand(
    decided: list[bytes], embedder: Embedder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    trained = training.train(written(tmp_path, decided), out, SHIPPED / "questions" / "1")
    assert trained.metric == "auc" and trained.better > 0.95
    assert trained.before is not None and trained.better >= trained.before
    card = open_version(out)
    assert card.parent == "questions@1" and card.training[0].rows == trained.rows and card.metrics["auc"] == round(trained.better, 4)
    text = texts()[0]
    made = Composer(ranking.load(out), embedder).compose(Compose(text, "en", (Form.CLOZE, Form.SHORT), 50))
    asked = [question.quality for question in made.questions if GAP not in question.prompt]
    gaps = [question.quality for question in made.questions if GAP in question.prompt]
    assert asked and gaps and min(asked) > max(gaps), "what mentors take comes first"


def test_few_rows_or_rows_of_one_kind_train_nothing(decided: list[bytes], tmp_path: Path) -> None:
    with pytest.raises(TooFewRows, match="it takes 200"):
        training.train(written(tmp_path, decided[:20]), tmp_path, None)
    decoded = [msgspec.msgpack.decode(row, type=Drafted) for row in decided]
    same = [msgspec.msgpack.encode(msgspec.structs.replace(row, taken=True)) for row in decoded]
    with pytest.raises(TooFewRows, match="30 of each"):
        training.train(written(tmp_path, same), tmp_path, None)


def test_a_ranker_of_other_features_or_of_no_numbers_is_not_loaded(tmp_path: Path) -> None:
    good = ranking.by_hand()
    ranking.save(good, tmp_path)
    assert ranking.load(tmp_path) == good
    for bad in (
        msgspec.structs.replace(good, features=("found", *good.features[1:-1], "other")),
        msgspec.structs.replace(good, weights=good.weights[1:]),
        msgspec.structs.replace(good, scale=(0.0, *good.scale[1:])),
    ):
        ranking.save(bad, tmp_path)
        with pytest.raises(Unusable):
            ranking.load(tmp_path)
    (tmp_path / ranking.RANKER).write_bytes(b"{")
    with pytest.raises(Unusable):
        ranking.load(tmp_path)


def test_the_shipped_version_is_what_the_code_makes_and_serves(tmp_path: Path) -> None:
    from ml_actors.questions.serving import load

    folder = SHIPPED / "questions" / "1"
    assert open_version(folder).training == (), "trained on nothing"
    assert ranking.load(folder) == ranking.by_hand()
    model = load(folder, Options())
    model.warm()
    assert model.answer([Compose("The sun warms the sea because it shines on the water.", "en")])[0].questions
    with pytest.raises(Unusable, match="processor"):
        load(folder, Options(device="cuda"))
