"""Any text-classification model of transformers behind the moderation model's interface.

    texts ─▶ tokenizer ─▶ windows of the model's own length ─▶ model on cpu or cuda ─▶ sigmoid or softmax ─▶ labels to harms ─▶ the worst

The model is named by a folder or by a name in transformers' cache; nothing is ever downloaded. What its labels mean is a setting
("toxic=TOXIC,identity_hate=HATE"); labels with a common name are known without one. Whether labels exclude each other is the model's own
word (`problem_type`); without one, a model of one label is a sigmoid and one of several is a softmax.

torch and transformers are an extra (requirements/transformers.lock): they take a gigabyte on disk and seconds to import, so this
module is imported only where a setting asks for it.

Invariant: a label that is not mapped counts nowhere, and a model none of whose labels say TOXIC is refused when it is loaded. A text of
which a part was not looked at is never said to be harmless.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from actors.inference import Harm
from ml_actors.kinds import Options, Unusable

if TYPE_CHECKING:
    from typing import Protocol

    class Classifies(Protocol):
        def __call__(self, **inputs: Any) -> Any: ...


BATCH: Final = 16
"""Windows that the model sees at once."""
TOKENS_MAX: Final = 512
WINDOWS_MAX: Final = 24
"""Of one text: twice what the longest one in words takes, with models of 512 tokens. Each costs some 50 ms of a processor."""
OVERLAP_SHARE: Final = 8
"""An eighth of a window is the end of the one before it: what is said across the cut is said in one of them."""
UNSEEN: Final = 0.9
"""TOXIC, at least, of a text that has more windows: a person looks at it where anything is held, and by itself it hides nothing."""

KNOWN: Final[Mapping[str, Harm]] = {
    "toxic": Harm.TOXIC,
    "toxicity": Harm.TOXIC,
    "severe_toxic": Harm.TOXIC,
    "severe_toxicity": Harm.TOXIC,
    "obscene": Harm.TOXIC,
    "offensive": Harm.TOXIC,
    "offense": Harm.TOXIC,
    "abusive": Harm.TOXIC,
    "hof": Harm.TOXIC,
    "hate": Harm.HATE,
    "hateful": Harm.HATE,
    "hate_speech": Harm.HATE,
    "identity_hate": Harm.HATE,
    "identity_attack": Harm.HATE,
    "insult": Harm.INSULT,
    "threat": Harm.THREAT,
    "sexual": Harm.SEXUAL,
    "sexual_explicit": Harm.SEXUAL,
    "self_harm": Harm.SELF_HARM,
    "spam": Harm.SPAM,
}
"""Labels whose sense is plain, without their case, and with `_` for `-` and spaces."""


def _plain(label: str) -> str:
    return label.strip().casefold().replace("-", "_").replace(" ", "_")


def read_labels(words: str) -> dict[str, Harm]:
    """ "label=HARM,label=HARM" as a mapping. Raises `Unusable`."""
    found: dict[str, Harm] = {}
    for part in filter(None, (part.strip() for part in words.split(","))):
        label, sign, harm = part.rpartition("=")
        if not sign or harm.strip().upper() not in Harm.__members__:
            raise Unusable(f"labels: {part!r} is not LABEL=HARM; harms: {', '.join(Harm.__members__)}")
        found[_plain(label)] = Harm[harm.strip().upper()]
    return found


def map_labels(labels: Sequence[str], chosen: Mapping[str, Harm]) -> tuple[Harm | None, ...]:
    """For each of a model's labels the harm that it counts for; None: none. Raises `Unusable`."""
    plain = [_plain(label) for label in labels]
    missing = set(chosen) - set(plain)
    if missing:
        raise Unusable(f"labels: the model has no label {', '.join(sorted(missing))}; it has {', '.join(labels)}")
    found = tuple(chosen.get(label) if chosen else KNOWN.get(label) for label in plain)
    # Hate and insults are toxic, too: a model that knows only those says TOXIC by them.
    if not any(harm in _TOXIC for harm in found):
        raise Unusable(f"none of the model's labels ({', '.join(labels)}) is known to mean TOXIC; say so in a setting: label=TOXIC")
    return found


_TOXIC: Final = frozenset((Harm.TOXIC, Harm.HATE, Harm.INSULT))


class Classifier:
    """A model and its tokenizer. Fits `ml_actors.moderation.serving.Learned`. Blocks; not for threads."""

    def __init__(self, options: Options) -> None:
        """Loads from disk. Raises `Unusable` where packages, files, labels or the device are missing."""
        try:
            import torch
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ImportError as error:
            raise Unusable(f"the transformers runtime is not installed ({error.name}): requirements/transformers.lock has it") from error
        if not options.model:
            raise Unusable("the transformers runtime needs a model: a folder, or a name in its cache")
        if options.device == "cuda" and not torch.cuda.is_available():
            raise Unusable("device cuda: this machine has none that torch can use")
        torch.set_num_threads(options.threads)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
            self._model = AutoModelForSequenceClassification.from_pretrained(options.model, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError) as error:
            # Of everything transformers says only the first line names the reason; the rest advises to be online.
            raise Unusable(f"{options.model}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error
        self._torch = torch
        self._device = options.device
        self._model.to(options.device).eval()
        config = self._model.config
        labels = [str(config.id2label[place]) for place in range(config.num_labels)]
        self._harms = map_labels(labels, read_labels(options.labels))
        self._each = config.problem_type == "multi_label_classification" or len(labels) == 1
        lengths = (self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", TOKENS_MAX) or TOKENS_MAX, TOKENS_MAX)
        self._tokens_max = min(int(length) for length in lengths)
        if not self._tokenizer.is_fast:
            raise Unusable(f"{options.model}: its tokenizer cannot cut texts into windows; it takes one of the tokenizers library")

    def scores(self, texts: Sequence[str], plains: Sequence[str]) -> list[dict[Harm, float]]:
        """For each text the harms that the model's labels say, of each the worst of its windows. `plains` is not looked at: such models
        learned from texts as they are."""
        if not texts:
            return []
        windows = self._tokenizer(
            [text or " " for text in texts],
            truncation=True,
            max_length=self._tokens_max,
            stride=self._tokens_max // OVERLAP_SHARE,
            return_overflowing_tokens=True,
        )
        of: list[int] = windows.pop("overflow_to_sample_mapping")
        counts = Counter[int]()
        kept: list[int] = []
        for place, text in enumerate(of):
            counts[text] += 1
            if counts[text] <= WINDOWS_MAX:
                kept.append(place)
        found: list[dict[Harm, float]] = [{Harm.TOXIC: UNSEEN} if counts[text] > WINDOWS_MAX else {} for text in range(len(texts))]
        for at in range(0, len(kept), BATCH):
            some = kept[at : at + BATCH]
            said = self._batch({name: [rows[place] for place in some] for name, rows in windows.items()})
            for place, scores in zip(some, said, strict=True):
                worst = found[of[place]]
                for harm, score in scores.items():
                    worst[harm] = max(score, worst.get(harm, 0.0))
        return found

    def _batch(self, windows: Mapping[str, Sequence[Sequence[int]]]) -> list[dict[Harm, float]]:
        inputs = self._tokenizer.pad(windows, return_tensors="pt").to(self._device)
        with self._torch.inference_mode():
            logits = self._model(**inputs).logits.float()
            chances = self._torch.sigmoid(logits) if self._each else self._torch.softmax(logits, dim=-1)
        return [self._harm(row) for row in chances.cpu().tolist()]

    def _harm(self, row: Sequence[float]) -> dict[Harm, float]:
        scores: dict[Harm, float] = {}
        for harm, chance in zip(self._harms, row, strict=True):
            if harm is not None:
                # Labels of one harm add up where they exclude each other; else the likeliest counts.
                scores[harm] = max(scores.get(harm, 0.0), chance) if self._each else min(1.0, scores.get(harm, 0.0) + chance)
        worst = [scores[harm] for harm in _TOXIC if harm in scores]
        scores[Harm.TOXIC] = max(worst) if self._each else min(1.0, sum(worst))
        return scores
