"""The shipped version, as its process runs it."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from actors.inference import About, Harm, Judge, Verdict
from ml_actors.embeddings import embed
from ml_actors.kinds import Options, Unusable
from ml_actors.moderation import serving
from ml_actors.moderation.evaluation import VERSION, scores
from ml_actors.moderation.heads import FILE, Heads, see, sigmoid
from ml_actors.moderation.identity import ASKED, UNSEEN_GROUPS, pairs
from ml_actors.moderation.identity_test import CARRIED, NEAR, measure
from ml_actors.moderation.train import THRESHOLD
from ml_actors.registry import open_version

FOUL = [
    "You are an idiot.",
    "what a stupid bitch",
    "Du bist so ein Arschloch",
    "I hate you, you disgusting piece of trash",
    "Halt die Fresse, du Depp",
]
FINE = [
    "Can you explain the homework to me?",
    "I will kill this exam",
    "Mein Hund ist krank",
    "Breast cancer is common",
    "The Nazis murdered six million Jews in the Holocaust.",
    "Kann mir jemand bei Mathe helfen?",
]


@functools.cache
def shipped() -> serving.Moderation:
    return serving.load(VERSION, Options())


def judge(text: str, **more: object) -> Verdict:
    (verdict,) = shipped().answer([Judge(text, **more)])  # type: ignore[arg-type]
    return verdict


def test_the_shipped_version_is_what_its_card_says() -> None:
    card = open_version(VERSION)
    assert {one.licence for one in card.training} == {"MIT", "CC BY 4.0"}
    assert card.metrics["auc_en"] >= 0.93 and card.metrics["auc_de"] >= 0.80


def test_foul_texts_are_toxic_and_school_is_not() -> None:
    said = scores(shipped(), [*FOUL, *FINE])
    assert (said[: len(FOUL)] >= THRESHOLD).all(), said
    assert (said[len(FOUL) :] < THRESHOLD).all(), said


def test_whom_a_sentence_names_does_not_change_its_score() -> None:
    heads = Heads.load(VERSION / FILE)
    unseen = [pair for pair in pairs(unseen_templates=True, unseen_groups=None) if pair.language in CARRIED]
    asked = [pair for pair in unseen if pair.group in ASKED]
    # A part of what `educonnect ml evaluate moderation` asks in full; every group and template is in it.
    for tested in (asked[::3], [pair for pair in unseen if pair.group in UNSEEN_GROUPS][::5]):
        outcome = measure("part", tested, lambda texts: sigmoid(heads.logits(see(texts, embed))), THRESHOLD)
        assert outcome.passed and outcome.far <= NEAR, outcome
    assert {pair.group for pair in asked[::3]} == set(ASKED)


def test_every_verdict_scores_every_harm_and_is_bounded() -> None:
    for text in ("", " ", "🙂", "a" * 20_000, "\ud83d", "you idiot", "1 2 3", "ß\u0301" * 300):
        verdict = judge(text)
        assert set(verdict.scores) == set(Harm) - {Harm.OTHER}
        assert all(0 <= score <= 1 for score in verdict.scores.values()) and 0 <= verdict.certain <= 1


def test_a_verdict_does_not_depend_on_its_batch() -> None:
    texts = [*FOUL, *FINE, "call +49 151 23456789"]
    together = shipped().answer([Judge(text) for text in texts])
    for text, verdict in zip(texts, together, strict=True):
        alone = judge(text)
        assert alone.spans == verdict.spans and alone.language == verdict.language
        assert all(abs(alone.scores[harm] - score) < 1e-4 for harm, score in verdict.scores.items())


def test_hate_and_insults_are_parts_of_toxic() -> None:
    for verdict in shipped().answer([Judge(text) for text in [*FOUL, *FINE]]):
        assert verdict.scores[Harm.HATE] <= verdict.scores[Harm.TOXIC] and verdict.scores[Harm.INSULT] <= verdict.scores[Harm.TOXIC]


def test_a_threat_is_toxic_whatever_its_words() -> None:
    verdict = judge("I know where you live")
    assert verdict.scores[Harm.THREAT] > 0.6 and verdict.scores[Harm.TOXIC] > THRESHOLD


def test_personal_data_come_with_their_place_in_the_text_as_given() -> None:
    text = "&amp; RT @who: mail kim@example.org"
    verdict = judge(text)
    (span,) = verdict.spans
    assert text[span.begin : span.end] == "kim@example.org" and span.what == "e-mail" and span.harm is Harm.PERSONAL
    assert verdict.scores[Harm.PERSONAL] > 0.9


def test_a_name_is_read_word_by_word() -> None:
    assert judge("you_are_an_idiot", about=About.NAME).scores[Harm.TOXIC] >= THRESHOLD


@pytest.mark.parametrize(
    ("text", "language"), [("how are you doing today?", "en"), ("wie geht es dir heute?", "de"), ("nawachukia watu hawa", "sw")]
)
def test_the_language_is_told_with_certainty(text: str, language: str) -> None:
    verdict = judge(text)
    assert verdict.language == language and verdict.certain > 0.8


def test_a_hint_decides_about_a_word_and_not_about_a_sentence() -> None:
    assert judge("ok", language="de-AT").language == "de"
    assert judge("how are you doing today my friend?", language="de").language == "en"
    assert judge("1 2 3").language == ""


def test_serving_imports_neither_scikit_learn_nor_scipy_nor_pandas() -> None:
    program = (
        "import sys; from pathlib import Path; from ml_actors.kinds import KINDS, Options; from actors.inference import Judge\n"
        f"model = KINDS['moderation'].load(Path({str(VERSION)!r}), Options()); model.warm(); model.answer([Judge('hello')])\n"
        "rooms = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(rooms & {'sklearn', 'scipy', 'pandas', 'torch', 'transformers', 'gateway', 'persistence'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable):
        serving.load(tmp_path, Options())
    with pytest.raises(Unusable, match="cpu"):
        serving.load(VERSION, Options(device="cuda"))
