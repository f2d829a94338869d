"""The moderation model as its process runs it.

    Judge ─▶ heads (TOXIC, HATE, INSULT) + rules (THREAT, SEXUAL, SELF_HARM, SPAM) + personal data (PERSONAL, spans) + language ─▶ Verdict

With `Options.runtime` "transformers" a text-classification model stands in the place of the heads; everything else stays the same.

Invariant: every verdict scores every harm that is looked for; a text's verdict does not depend on its batch.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from actors.inference import About, Harm, Judge, Verdict
from ml_actors.embeddings import Embedder
from ml_actors.kinds import Options, Unusable
from ml_actors.moderation.heads import CORRECTION_FILE, FILE, Correction, Embed, Heads, kinds_of, read_arrays, see_plain, sigmoid, worst
from ml_actors.moderation.personal import personal, spans
from ml_actors.moderation.rules import NOTHING, found_by_phrases, spam
from ml_actors.moderation.writing import plain


class Learned(Protocol):
    """What says how harmful texts are by what was learned."""

    def scores(self, texts: Sequence[str], plains: Sequence[str]) -> list[dict[Harm, float]]:
        """TOXIC always, and what else of HATE, INSULT … it knows, each 0 to 1. `plains`: the texts, normalised."""
        ...


class Embedded:
    """The shipped heads over embeddings and n-grams."""

    def __init__(self, heads: Heads, correction: Correction | None, embed: Embed) -> None:
        self._heads = heads
        self._correction = correction
        self._embed = embed

    def scores(self, texts: Sequence[str], plains: Sequence[str]) -> list[dict[Harm, float]]:
        if not texts:
            return []
        seen = see_plain(plains, self._embed, rank=self._heads.gram_logits)
        logits = self._heads.logits(seen)
        if self._correction is not None:
            logits = self._correction(logits, seen.embeddings)
        toxic = sigmoid(logits)
        at = worst(toxic, seen.of, len(texts))
        kinds = kinds_of(self._heads, seen.embeddings[at], seen.named[at])
        return [
            {Harm.TOXIC: share, Harm.HATE: share * as_hate, Harm.INSULT: share * as_insult}
            for share, as_hate, as_insult in zip(toxic[at].tolist(), kinds[:, 0].tolist(), kinds[:, 1].tolist(), strict=True)
        ]


class Moderation:
    """Fits `ml_actors.kinds.Model`. Not for threads."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned

    def warm(self) -> None:
        """Loads embeddings and language models, and judges one text."""
        self.answer([Judge("Warm up, 1 2 3: mail@example.org")])

    def answer(self, batch: Sequence[Judge]) -> list[Verdict]:
        texts = [_spelled(one) for one in batch]
        plains = [plain(text) for text in texts]
        return [_verdict(*each) for each in zip(batch, plains, self._learned.scores(texts, plains), strict=True)]


def _spelled(one: Judge) -> str:
    # A name is one word of many: "xX_some_words_Xx".
    return one.text.replace("_", " ").replace(".", " ") if one.about is About.NAME else one.text


def _verdict(one: Judge, said: str, learned: Mapping[Harm, float]) -> Verdict:
    found = personal(one.text)
    by_rule: dict[Harm, float] = found_by_phrases(said)
    by_rule[Harm.SPAM] = spam(one.text, said)
    by_rule[Harm.PERSONAL] = max((hit.chance for hit in found), default=NOTHING)
    scores = {harm: max(by_rule.get(harm, 0.0), learned.get(harm, 0.0)) for harm in by_rule.keys() | learned.keys()}
    # A threat is toxic whatever the heads say of its words: "i know where you live" has none that is bad.
    scores[Harm.TOXIC] = max(scores[Harm.TOXIC], by_rule[Harm.THREAT] * 0.9 if by_rule[Harm.THREAT] > NOTHING else 0.0)
    language, certain = language_of(said, one.language)
    return Verdict({harm: min(1.0, max(0.0, score)) for harm, score in sorted(scores.items())}, language, certain, spans(found))


LANGUAGES: Final = (
    "af am ar bg bn ca cs da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv mk ml mr ne nl no pa pl pt ro ru sk sl so sq sr "
    "sv sw "
    "ta te th tl tr uk ur vi xh zh zu"
).split()
"""Those that are looked for. Of all 140 that could be, short texts are spread over languages that hardly anybody writes ("hello":
Breton)."""
HINTED: Final = 8.0
"""How many times likelier a text is in the language that its author prefers. It decides about "ok" and "hallo", and not about a
sentence."""


class Identifier(Protocol):
    _full_model: object

    def set_languages(self, langs: list[str]) -> None: ...

    def rank(self, text: str) -> list[tuple[str, float]]: ...


@functools.cache
def _identifier() -> Identifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier: Identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(LANGUAGES))
    # Its table of all languages stays for a later choice, which nobody makes here: 26 MiB of the 85 that it holds.
    identifier._full_model = None
    return identifier


def language_of(said: str, hint: str = "") -> tuple[str, float]:
    """The language of a plain text and how certain that is; ("", 0) where there are no letters. `hint`: a tag, as in "de-AT"."""
    if not any(map(str.isalpha, said)):
        return "", 0.0
    preferred = hint.split("-")[0].lower()
    ranked = {code: float(share) * (HINTED if code == preferred else 1.0) for code, share in _identifier().rank(said)}
    code = max(ranked, key=lambda one: ranked[one])
    return code, min(1.0, ranked[code] / max(sum(ranked.values()), 1e-12))


def load(folder: Path, options: Options) -> Moderation:
    """Raises `Unusable`."""
    if options.runtime == "transformers":
        from ml_actors.transformers_classifier import Classifier

        return Moderation(Classifier(options))
    if options.device != "cpu":
        raise Unusable("the embedded moderation model runs on the cpu; another device takes the transformers runtime")
    correction = folder / CORRECTION_FILE
    return Moderation(
        Embedded(
            Heads.load(folder / FILE),
            Correction(read_arrays(correction)) if correction.exists() else None,
            Embedder(),
        )
    )
