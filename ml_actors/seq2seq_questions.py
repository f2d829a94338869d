"""Questions from any sequence-to-sequence model of transformers, behind the same interface, checks and ranker.

    text ─ windows ─▶ prompt template ─▶ AutoModelForSeq2SeqLM.generate (beams) ─▶ "question <sep> answer" ─▶ checks, round trip ─▶ ranker

The model is a folder, or a name that lies in the cache of transformers; nothing is downloaded here. What it was trained on says how it is
to be asked: the template and what parts question and answer stand in `questions.json` of the version's folder. An answer that does not
stand in the text, or a question that does not come back to it, is passed over like a rule's.

Invariant: what a generated question is offered with passed the same checks as any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from actors.inference import Compose, Form, Questions
from ml_actors.embeddings import Embedder
from ml_actors.kinds import Options, Unusable
from ml_actors.questions import drafts
from ml_actors.questions.composing import Composer
from ml_actors.questions.drafts import Draft
from ml_actors.questions.ranking import Ranker
from ml_actors.questions.reading import Reading
from ml_actors.questions.sentences import plain

if TYPE_CHECKING:
    from ml_actors.questions.distractors import Embed

ASKING: Final = "questions.json"
WINDOWS_MAX: Final = 12
"""Pieces of a text that are asked about one after the other: each costs a generation."""
WARM: Final = Compose("The sun warms the sea. Water rises because it is warm.", "en", (Form.SHORT,))


class Asking(Struct, frozen=True, forbid_unknown_fields=True):
    """How the model is asked. `template` holds `{text}`; `parts` lies between question and answer in what it says."""

    template: str = "generate question and answer: {text}"
    parts: str = "<sep>"
    window: int = 5
    """Sentences of one piece."""
    beams: int = 4
    """And questions of each piece."""
    tokens_max: int = 96
    input_max: int = 512


class Seq2Seq:
    """Answers `Compose`."""

    def __init__(self, ranker: Ranker, options: Options, asking: Asking | None = None, embed: Embed | None = None) -> None:
        self._asking = asking or Asking()
        self._composer = Composer(ranker, embed or Embedder())
        self._device = options.device
        if "{text}" not in self._asking.template or not self._asking.parts:
            raise Unusable(f"{ASKING}: a template has {{text}} in it, and something parts question and answer")
        try:
            import torch
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
        except ImportError as error:
            raise Unusable(f"runtime transformers: {error}; the extra `transformers` is not installed") from error
        if not options.model:
            raise Unusable("runtime transformers: `model` names no folder and no model")
        if options.device == "cuda" and not torch.cuda.is_available():
            raise Unusable("device cuda: there is none here")
        torch.set_num_threads(options.threads)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
            self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(options.model, local_files_only=True).to(options.device).eval()
        except (OSError, ValueError) as error:
            raise Unusable(f"{options.model}: {error}") from error

    def warm(self) -> None:
        self._compose(WARM)

    def answer(self, batch: Sequence[Compose]) -> list[Questions]:
        return [self._compose(request) for request in batch]

    def _compose(self, request: Compose) -> Questions:
        return self._composer.compose(request, self._candidates)

    def _candidates(self, reading: Reading, forms: Sequence[Form], passed: Counter[str]) -> Iterator[Draft]:
        """In the place of the rules: what the model says about each piece of the text."""
        size = self._asking.window
        for start in range(0, min(len(reading.sentences), WINDOWS_MAX * size), size):
            some = reading.sentences[start : start + size]
            begin, end = some[0].begin, some[-1].end
            for said in self._generate(plain(reading.text[begin:end])):
                question, parted, answer = said.partition(self._asking.parts)
                question, answer = _asked(question), answer.strip(" .")
                at = plain(reading.text[begin:end]).casefold().find(answer.casefold()) if answer else -1
                if not parted or at < 0:
                    passed[drafts.UNANSWERABLE if parted else drafts.FORM] += 1
                    continue
                number = next((start + i for i, one in enumerate(some) if answer.casefold() in one.plain.casefold()), start)
                yield Draft(Form.SHORT, "written", question, answer, begin, end, number)

    def _generate(self, text: str) -> list[str]:
        import torch

        asking = self._asking
        encoded = self._tokenizer(
            asking.template.replace("{text}", text), return_tensors="pt", truncation=True, max_length=asking.input_max
        )
        inputs = {name: value.to(self._device) for name, value in encoded.items() if name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            found = self._model.generate(
                **inputs, num_beams=asking.beams, num_return_sequences=asking.beams, max_new_tokens=asking.tokens_max, do_sample=False
            )
        said: list[str] = self._tokenizer.batch_decode(found, skip_special_tokens=True)
        return list(dict.fromkeys(said))


def _asked(words: str) -> str:
    """A question as it is written: models that were taught in small letters and without signs say it so."""
    words = " ".join(words.split()).rstrip(" ?")
    return words[:1].upper() + words[1:] + "?" if words else ""


def load_asking(folder: Path) -> Asking:
    """How the version's model is asked; the usual way where its folder does not say. Raises `Unusable`."""
    path = folder / ASKING
    if not path.exists():
        return Asking()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Asking)
    except (OSError, msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Unusable(f"{ASKING}: {error}") from error
