"""How well the next answer is foretold, by five folds of learners, on a file of answers.

The file is a CSV as the pyKT toolkit writes its train-valid splits: a line a learner (or a piece of one), with columns `fold`, `concepts`
and `responses`, the last two lists with commas. Each fold's learners are foretold by a model that has seen only the others'. Every answer
but a learner's first counts, with all that the learner answered before it.

Printed beside it are the rule that needs no training, the skill's own rate, and what was published for the toolkit's test split, which
is another split of the same learners: told as that, and not comparable to the third digit.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from ml_actors.evaluating import write_json
from ml_actors.tracing.serving import rule
from ml_actors.tracing.skills import SkillTable
from ml_actors.tracing.training import Learner, grow, rows_of

PUBLISHED: Final = (
    ("gradient boosting, other features (measured before)", 0.721),
    ("qDKT, pyKT's test split (published)", 0.731),
)
GOAL: Final = 0.725
WIDTHS: Final = {"accuracy": 10, "log loss": 10, "Brier": 8, "ECE": 8}
NAMES: Final = ("gradient boosting on named features", "the rule, untrained", "the skill's rate")
LINE_CHARACTERS_MAX: Final = 1 << 24
Folds = dict[int, list[Learner]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, required=True, help="a CSV, or a gzipped one, with columns fold, concepts, responses")
    parser.add_argument("--learners", type=int, default=0, help="only so many of each fold (0: all)")
    parser.add_argument("--trees", type=int, default=200)


def run(arguments: argparse.Namespace) -> int:
    """0 if the goal is met, 1 if not, 2 for a file that is none."""
    try:
        folds = read(arguments.file, arguments.learners)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        sys.stderr.write(f"{arguments.file}: {error}\n")
        return 2
    lines: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    took_s = 0.0
    for fold, asked in sorted(folds.items()):
        taught = [learner for other, learners in folds.items() if other != fold for learner in learners]
        begin = time.perf_counter()
        grown = grow(taught, trees=arguments.trees)
        took_s += time.perf_counter() - begin
        rows = rows_of(asked, grown.table)
        features = rows.features.astype(np.float64)
        for name, chances in zip(
            lines,
            (
                grown.forest.chances(features),
                rule(rows_of(asked, SkillTable.plain(grown.table.mean)).features.astype(np.float64)),
                1 / (1 + np.exp(-features[:, 0])),
            ),
            strict=True,
        ):
            lines[name].append(_figures(rows.right, chances))
        _say(f"fold {fold}: {len(asked)} learners, {len(rows.right)} answers foretold, AUC {lines[NAMES[0]][-1]['AUC']:.4f}")
    _say(f"\ngrown in {took_s / len(folds):.1f} s a fold\n")
    _say(f"{'':52}{'AUC':>8}{'±':>8}" + "".join(f"{key:>{width}}" for key, width in WIDTHS.items()))
    means = {}
    for name, figures in lines.items():
        mean = {key: float(np.mean([one[key] for one in figures])) for key in figures[0]}
        spread = float(np.std([one["AUC"] for one in figures]))
        means[name] = {**mean, "spread": spread}
        rest = "".join(f"{mean[key]:{width}.4f}" for key, width in WIDTHS.items())
        _say(f"{name:52}{mean['AUC']:8.4f}{spread:8.4f}{rest}")
    for name, auc in PUBLISHED:
        _say(f"{name:52}{auc:8.3f}")
    reached = means[NAMES[0]]["AUC"]
    _say(f"\ngoal: AUC ≥ {GOAL}: {'met' if reached >= GOAL else 'missed'}")
    write_json(arguments.json, {"ours": means, "published": dict(PUBLISHED), "goal": GOAL})
    return 0 if reached >= GOAL else 1


def _figures(right: NDArray[np.int8], chances: NDArray[np.float64]) -> dict[str, float]:
    bins = np.minimum((chances * 10).astype(int), 9)
    error = sum(
        abs(float(right[bins == one].mean() - chances[bins == one].mean())) * float((bins == one).mean()) for one in np.unique(bins)
    )
    return {
        "AUC": float(roc_auc_score(right, chances)),
        "accuracy": float(accuracy_score(right, chances > 0.5)),
        "log loss": float(log_loss(right, chances)),
        "Brier": float(brier_score_loss(right, chances)),
        "ECE": error,
    }


def read(path: Path, learners_max: int = 0) -> Folds:
    """Learners by fold. Raises OSError; ValueError and KeyError for what is no such file, naming the line."""
    csv.field_size_limit(LINE_CHARACTERS_MAX)
    folds: Folds = {}
    raw = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with raw, io.TextIOWrapper(raw, encoding="utf-8", newline="") as text:
        reader = csv.DictReader(text)
        missing = {"fold", "concepts", "responses"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"no column {', '.join(sorted(missing))}; it has {', '.join(reader.fieldnames or ('none',))}")
        for line, row in enumerate(reader, 2):
            try:
                pairs = [
                    (int(skill), int(right))
                    for skill, right in zip(row["concepts"].split(","), row["responses"].split(","), strict=True)
                    if int(right) in (0, 1)  # what pads a piece to its length is -1
                ]
                fold = int(row["fold"])
            except ValueError as error:
                raise ValueError(f"line {line}: {error}") from error
            mine = folds.setdefault(fold, [])
            if pairs and (not learners_max or len(mine) < learners_max):
                mine.append(([skill for skill, _ in pairs], [right for _, right in pairs]))
    if len(folds) < 2:
        raise ValueError(f"{len(folds)} folds; it takes two at least")
    return folds


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
