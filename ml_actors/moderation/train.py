"""Trains the shipped version from the two public collections: the same files give the same version, bit by bit, on the same machine.

    python -m ml_actors.moderation.train --davidson FILE --germeval FILE --into DIR

DIR becomes the version's folder (heads.npz, card.json). The collections: t-davidson/hate-speech-and-offensive-language (MIT),
`data/labeled_data.csv`, and uds-lsv/GermEval-2018-Data (CC BY 4.0), `germeval2018.training.txt`; either may be gzipped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from actors.model_book import Card, Training
from ml_actors.embeddings import Embedder
from ml_actors.moderation.data import Unreadable, folds, read_davidson, read_germeval
from ml_actors.moderation.fitting import Material, additions, calibrate, calibrated, fair, fit, join, material, out_of_fold
from ml_actors.moderation.heads import FILE, Array
from ml_actors.registry import seal

FOLDS: Final = 5
NETWORKS: Final = 3
THRESHOLD: Final = 0.5
"""From here on a text counts as toxic in the figures; what is done from where on is each community's policy."""
INTENDED: Final = (
    "Ordering texts of a learning community by how likely people would call them toxic, so that the worst are held for a person; and "
    "showing "
    "threats, sexual words, people in need, advertisement and personal data by published rules. English and German."
)
LIMITS: Final = (
    "TOXIC was learned from English tweets and German political tweets alone: other languages are carried over by the embedding, "
    "unmeasured, "
    "and Swahili is not carried at all. HATE is weak: learned from 1,430 tweets of one collection and 1,022 German posts labelled abuse, "
    "by "
    "crowds that disagreed, as a share of TOXIC; it orders, and proves nothing. INSULT was learned from German labels alone. Names of "
    "listed groups are "
    "taken out before judging, so what is only vile of a group scores as if said of anybody. Reclaimed words and irony are misread. "
    "Chances assume that "
    "a third of all texts is toxic; in a calm community they are too high. Not for judging people."
)


def add_files(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--davidson", type=Path, required=required, metavar="FILE", help="labeled_data.csv, gz or not")
    parser.add_argument("--germeval", type=Path, required=required, metavar="FILE", help="germeval2018.training.txt, gz or not")


def train_version(
    rows: Material, extra: Material, *, networks: int = NETWORKS, count: int = FOLDS
) -> tuple[dict[str, Array], dict[str, float]]:
    """Arrays and their held-out figures. Blocks for minutes."""
    logits = out_of_fold(rows, extra, folds(rows.groups, count, seed=1), networks=networks)
    weight = fair(rows)
    slope, shift = calibrate(logits, rows.toxic, weight)
    metrics: dict[str, float] = {}
    chances = 1 / (1 + np.exp(-(slope * logits + shift)))
    for language in np.unique(rows.language):
        here = rows.language == language
        toxic, said = rows.toxic[here], chances[here]
        metrics[f"auc_{language}"] = round(float(roc_auc_score(toxic, said)), 4)
        metrics[f"average_precision_{language}"] = round(float(average_precision_score(toxic, said, sample_weight=weight[here])), 4)
        metrics[f"brier_{language}"] = round(float(brier_score_loss(toxic, said, sample_weight=weight[here])), 4)
    metrics["threshold"] = THRESHOLD
    return calibrated(fit(join(rows, extra), networks=networks), slope, shift), metrics


def save(arrays: Mapping[str, Array], into: Path) -> None:
    """As float16 what is large: half the bytes, and no score moves by a thousandth."""
    into.mkdir(parents=True, exist_ok=True)
    # numpy writes no times into its archives: the same arrays are the same bytes.
    np.savez_compressed(into / FILE, **{name: _small(name, value) for name, value in sorted(arrays.items())})  # type: ignore[arg-type]


def _small(name: str, value: Array) -> Array:
    return value if name in ("stack", "gram_bias", "out_bias", "kinds_bias") else value.astype(np.float16)


def card_of(metrics: Mapping[str, float], davidson: int, germeval: int, version: str, made_at: str) -> Card:
    return Card(
        name="moderation",
        version=version,
        kind="moderation",
        runtime="embedded",
        files=(),
        training=(
            Training(
                "github.com/t-davidson/hate-speech-and-offensive-language",
                "MIT",
                davidson,
                "Davidson et al. 2017, labeled_data.csv: classes 0 (hate) and 1 (offensive) are toxic",
            ),
            Training(
                "github.com/uds-lsv/GermEval-2018-Data",
                "CC BY 4.0",
                germeval,
                "Wiegand et al. 2018, germeval2018.training.txt: OFFENSE is toxic; changed: normalised, hashed, fitted",
            ),
            Training("ml_actors/moderation/identity.py, ml_actors/moderation/everyday.py", "MIT", 0, "written for this model"),
        ),
        metrics=dict(metrics),
        made_at=made_at,
        intended=INTENDED,
        limits=LIMITS,
        deciding="auc_community",
        margin=0.01,
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ml_actors.moderation.train", description=__doc__)
    add_files(parser, required=True)
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="the version's folder; made if it is not there")
    parser.add_argument("--version", default="1")
    parser.add_argument("--made-at", default="2026-11-23", help="the day that the card says")
    parsed = parser.parse_args(argv)
    try:
        english, german = read_davidson(parsed.davidson), read_germeval(parsed.germeval)
    except Unreadable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    embed = Embedder()
    arrays, metrics = train_version(material([*english, *german], embed), additions(embed))
    save(arrays, parsed.into)
    card = seal(parsed.into, card_of(metrics, len(english), len(german), parsed.version, parsed.made_at))
    for name, value in card.metrics.items():
        sys.stdout.write(f"{name:28} {value:.4f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
