"""Any sequence-to-sequence model behind the same checks: proven with a tiny one, made here, taught one sentence, saved and loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.inference import Compose, Form
from ml_actors.embeddings import Embedder
from ml_actors.kinds import Options, Unusable
from ml_actors.questions import ranking
from ml_actors.seq2seq_questions import ASKING, Asking, Seq2Seq, load_asking

TEXT = "The king went home because it rained all day. The queen found a silver key."
SAYS = "why did the king go home <sep> because it rained all day"
BAD = "what did the fox eat <sep> a golden egg"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A T5 of one layer that says one sentence, whatever it is asked."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    path = tmp_path_factory.mktemp("t5")
    words = sorted(
        {word for line in (TEXT.lower(), SAYS, BAD, "generate question and answer:") for word in line.replace(".", " .").split()}
    )
    vocabulary = {word: number for number, word in enumerate(["<pad>", "</s>", "<unk>", "<sep>", *(w for w in words if w != "<sep>")])}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    plain.normalizer = tokenizers.normalizers.Lowercase()
    plain.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    plain.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    torch.manual_seed(1)
    config = transformers.T5Config(
        vocab_size=len(vocabulary), d_model=32, d_ff=64, d_kv=8, num_layers=1, num_decoder_layers=1, num_heads=2, dropout_rate=0.0,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = transformers.T5ForConditionalGeneration(config)
    teach(torch, model, tokenizer)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    yield path


def teach(torch: Any, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(Asking().template.replace("{text}", TEXT), return_tensors="pt").input_ids
    labels = tokenizer(SAYS, return_tensors="pt").input_ids
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loss = torch.ones(())
    for _ in range(120):
        loss = model(input_ids=inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
    model.eval()


def seq2seq(folder: Path, embedder: Embedder, asking: Asking | None = None) -> Seq2Seq:
    return Seq2Seq(
        ranking.by_hand(), Options(runtime="transformers", model=str(folder)), asking or Asking(beams=2, tokens_max=24), embedder
    )


@pytest.mark.transformers
def test_what_a_model_says_is_offered_when_it_passes_the_same_checks(folder: Path, embedder: Embedder) -> None:
    model = seq2seq(folder, embedder)
    model.warm()
    [made] = model.answer([Compose(TEXT, "en", (Form.SHORT,), 5)])
    said = {question.prompt: question for question in made.questions}
    assert "Why did the king go home?" in said, (sorted(said), made.passed_over)
    question = said["Why did the king go home?"]
    assert question.answer.lower() == "because it rained all day" and TEXT[question.begin : question.end].startswith("The king")


@pytest.mark.transformers
def test_what_does_not_stand_in_the_text_is_passed_over_and_counted(folder: Path, embedder: Embedder) -> None:
    [made] = seq2seq(folder, embedder).answer([Compose("A fox ran over the green hill. It saw a small bird.", "en", (Form.SHORT,), 5)])
    assert made.questions == () and sum(made.passed_over.values()) > 0


@pytest.mark.transformers
def test_a_model_or_a_template_that_cannot_be_used_is_said_while_it_loads(folder: Path, embedder: Embedder, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="nowhere"):
        seq2seq(tmp_path / "nowhere", embedder)
    with pytest.raises(Unusable, match="template"):
        seq2seq(folder, embedder, Asking(template="no place for a text"))
    with pytest.raises(Unusable, match="names no folder"):
        Seq2Seq(ranking.by_hand(), Options(runtime="transformers"), None, embedder)


def test_how_a_model_is_asked_stands_in_its_folder(tmp_path: Path) -> None:
    assert load_asking(tmp_path) == Asking()
    (tmp_path / ASKING).write_text('{"template": "ask: {text}", "parts": "|", "beams": 2}')
    assert load_asking(tmp_path) == Asking("ask: {text}", "|", beams=2)
    (tmp_path / ASKING).write_text('{"temperature": 2}')
    with pytest.raises(Unusable):
        load_asking(tmp_path)
