"""Any transformers classifier stands in for the shipped heads: proven with a tiny DistilBERT that is made here and saved to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.inference import Harm, Judge
from ml_actors.kinds import KINDS, Options, Unusable
from ml_actors.transformers_classifier import UNSEEN, map_labels, read_labels

WORDS = ["you", "are", "an", "idiot", "hello", "friend", "thank", "##s", "good", "bad"]


def _make(folder: Path, labels: list[str], problem: str | None = None) -> Path:
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertTokenizerFast

    torch.manual_seed(7)
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    DistilBertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    config = DistilBertConfig(
        vocab_size=5 + len(WORDS),
        dim=16,
        hidden_dim=32,
        n_layers=1,
        n_heads=2,
        max_position_embeddings=32,
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
        problem_type=problem,
    )
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    at = tmp_path_factory.mktemp("models")
    return {
        "one of two": _make(at / "two", ["LABEL_0", "LABEL_1"]),
        "several": _make(at / "several", ["toxic", "identity_hate", "insult", "threat"], "multi_label_classification"),
        "three": _make(at / "three", ["hate", "offensive", "neither"]),
    }


def _load(folder: Path | str, labels: str = "") -> Any:
    return KINDS["moderation"].load(Path("unused"), Options(runtime="transformers", model=str(folder), labels=labels))


@pytest.mark.transformers
def test_a_saved_model_answers_behind_the_same_interface(folders: dict[str, Path]) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    texts = ["you are an idiot", "hello friend", "", "thanks " * 40, "hello friend " * 40 + "you are an idiot"]
    model = _load(folders["several"])
    model.warm()
    verdicts = model.answer([Judge(text) for text in texts])
    tokenizer = AutoTokenizer.from_pretrained(folders["several"])
    raw = AutoModelForSequenceClassification.from_pretrained(folders["several"]).eval()
    for text, verdict in zip(texts, verdicts, strict=True):
        said = tokenizer(text or " ", add_special_tokens=False)["input_ids"]
        # 32 tokens with both marks; 4 are of the window before.
        cut = [said[at : at + 30] for at in range(0, max(1, len(said) - 4), 26)]
        windows = [[tokenizer.cls_token_id, *one, tokenizer.sep_token_id] for one in cut]
        assert not said or cut[-1][-1] == said[-1]
        each = [torch.sigmoid(raw(input_ids=torch.tensor([one])).logits)[0].tolist() for one in windows]
        chances = [max(column) for column in zip(*each, strict=True)]
        assert verdict.scores[Harm.HATE] == pytest.approx(chances[1], abs=1e-5)
        assert verdict.scores[Harm.TOXIC] == pytest.approx(max(chances[:3]), abs=1e-5) or verdict.scores[Harm.THREAT] > max(chances[:3])
        assert set(verdict.scores) == set(Harm) - {Harm.OTHER}


@pytest.mark.transformers
def test_a_text_that_is_longer_than_is_looked_at_is_never_harmless(folders: dict[str, Path]) -> None:
    seen, unseen = _load(folders["three"]).answer([Judge("thank " * 24 * 26), Judge("thank " * (24 * 26 + 5))])
    assert seen.scores[Harm.TOXIC] < UNSEEN == unseen.scores[Harm.TOXIC]


@pytest.mark.transformers
def test_labels_that_exclude_each_other_add_up(folders: dict[str, Path]) -> None:
    (verdict,) = _load(folders["three"]).answer([Judge("hello friend")])
    (two,) = _load(folders["one of two"], "LABEL_1=TOXIC").answer([Judge("hello friend")])
    (other,) = _load(folders["one of two"], "LABEL_0=TOXIC").answer([Judge("hello friend")])
    assert verdict.scores[Harm.TOXIC] >= verdict.scores[Harm.HATE]
    assert two.scores[Harm.TOXIC] + other.scores[Harm.TOXIC] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.transformers
def test_personal_data_and_rules_stay_what_they_are(folders: dict[str, Path]) -> None:
    (verdict,) = _load(folders["several"]).answer([Judge("I will kill you, call +49 151 23456789")])
    assert verdict.scores[Harm.THREAT] >= 0.9 and [span.what for span in verdict.spans] == ["phone"]


@pytest.mark.transformers
def test_what_cannot_run_is_refused_with_its_reason(folders: dict[str, Path], tmp_path: Path) -> None:
    for model, labels, reason in (
        ("nobody/has-this-model", "", "nobody/has-this-model"),
        (str(tmp_path), "", str(tmp_path)),
        ("", "", "a folder, or a name"),
        (str(folders["one of two"]), "", "known to mean TOXIC"),
        (str(folders["one of two"]), "LABEL_9=TOXIC", "no label label_9"),
    ):
        with pytest.raises(Unusable, match=reason):
            _load(model, labels)


@pytest.mark.transformers
def test_a_device_that_is_not_there_is_refused(folders: dict[str, Path]) -> None:
    import torch

    if torch.cuda.is_available():
        options = Options(runtime="transformers", model=str(folders["several"]), device="cuda")
        assert KINDS["moderation"].load(Path("unused"), options).answer([Judge("hello")])
    else:
        with pytest.raises(Unusable, match="cuda"):
            KINDS["moderation"].load(Path("unused"), Options(runtime="transformers", model=str(folders["several"]), device="cuda"))


def test_labels_with_common_names_are_known_and_others_are_told() -> None:
    assert map_labels(["Toxic", "severe-toxicity", "neutral"], {}) == (Harm.TOXIC, Harm.TOXIC, None)
    assert map_labels(["LABEL_0", "LABEL_1"], read_labels("LABEL_1=toxic")) == (None, Harm.TOXIC)
    with pytest.raises(Unusable, match="LABEL=HARM"):
        read_labels("LABEL_1")
    with pytest.raises(Unusable, match="harms"):
        read_labels("LABEL_1=BAD")


def test_without_its_packages_the_runtime_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Unusable, match=r"requirements/transformers\.lock"):
        _load("some/model")
