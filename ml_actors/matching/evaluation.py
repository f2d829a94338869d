"""How fast, how true and how fair matching is, on mentors and outcomes that are made up, from a seed.

speed         every question over all mentors, in this process alone (the whole way over a socket: `python -m bench matching`)
weights       recovered from outcomes that were drawn from known weights, by the number of outcomes
bias          raters who mark one group's mentors down: found by the audit, and what the constraint on learning gains and costs
exposure      who is shown, with and without evening out
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from sklearn.metrics import roc_auc_score

from actors.inference import FACTORS, WEIGHTS, Match
from actors.model_book import Here
from ml_actors.embeddings import Embedder
from ml_actors.evaluating import write_json
from ml_actors.matching.audit import FOUR_FIFTHS, audit
from ml_actors.matching.factors import fit
from ml_actors.matching.ranking import EVENING, note_shown, rank
from ml_actors.matching.roster import Roster
from ml_actors.matching.serving import Matching, Weights
from ml_actors.matching.synthetic import Truth, candidates, factor_sample, outcomes, seekers
from ml_actors.matching.training import learn
from ml_actors.matching.vocabulary import Vocabulary

PAIRS: Final = (
    ("mathematics", "matemáticas"),
    ("mathematics", "algebra"),
    ("farming", "gardening"),
    ("football", "sport"),
    ("physics", "chemistry"),
    ("geography", "geometry"),
    ("English", "Spanish"),
    ("nursing", "carpentry"),
)
DISADVANTAGED: Final = 0.3
"""The share of mentors in the group that raters mark down."""
MARKED_DOWN: Final = 0.3
"""By how much its history is lower than deserved."""
SPOILED: Final = 0.35
"""How often a good end of theirs is told as a bad one."""

Row = dict[str, Any]
embed = Embedder()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mentors", type=int, default=100_000, help="how many the speed is measured over (default: 100,000)")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--outcomes", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)


def run(arguments: argparse.Namespace) -> int:
    """Prints the tables. 0, or 1 where the audit missed the bias or the constraint left it."""
    figures = {
        "nearness": _nearness(),
        "speed": _speed(arguments.mentors, arguments.questions, arguments.seed),
        "weights": _weights(arguments.outcomes, arguments.seed),
        "bias": _bias(arguments.outcomes, arguments.seed),
        "exposure": _exposure(min(arguments.mentors, 5_000), min(20 * arguments.questions, 5_000), arguments.seed),
    }
    for name, rows in figures.items():
        _print(name, rows)
    write_json(arguments.json, figures)
    _, learned, fair = figures["bias"]
    held = learned["alarms"] > 0 and fair["alarms"] == 0 and fair["ratio"] >= FOUR_FIFTHS > learned["ratio"]
    _say(f"\nthe injected bias was {'found, and is gone under the constraint' if held else 'NOT found, or not removed'}")
    return 0 if held else 1


def _nearness() -> list[Row]:
    rows = []
    for one, other in PAIRS:
        vocabulary = Vocabulary(embed)
        (known,) = vocabulary.ids([other])
        first, second = embed([one.casefold(), other.casefold()])
        rows.append({"wanted": one, "taught": other, "cosine": float(first @ second), "nearness": float(vocabulary.nearness([one])[known])})
    return rows


def _speed(mentors: int, questions: int, seed: int) -> list[Row]:
    fed = [msgspec.msgpack.encode(Here(candidate)) for candidate in candidates(mentors, seed)]
    model = Matching(Weights(), embed)
    begin = time.perf_counter()
    model.feed(fed)
    model.warm()
    ready_s = time.perf_counter() - begin
    asked = [Match(seeker) for seeker in seekers(questions, seed + 1)]
    took_ms = []
    cpu = time.process_time()
    for match in asked:
        begin = time.perf_counter()
        model.answer([match])
        took_ms.append(1000 * (time.perf_counter() - begin))
    cpu_ms = 1000 * (time.process_time() - cpu) / questions
    p50, p99 = np.percentile(took_ms, [50, 99])
    begin = time.perf_counter()
    model.answer(asked[:32])
    return [
        {
            "mentors": mentors,
            "fed and warm, s": ready_s,
            "p50, ms": float(p50),
            "p99, ms": float(p99),
            "CPU, ms": cpu_ms,
            "32 at once, ms": 1000 * (time.perf_counter() - begin),
            "process, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "anchor": "the specification allows 5 s",
        }
    ]


def _weights(cases: int, seed: int) -> list[Row]:
    truth = Truth()
    rows: list[Row] = [{"from": "the truth", **_named(truth.weights)}, {"from": "the rule (baseline)", **_named(WEIGHTS)}]
    for count in sorted({200, 1000, 5000, cases}):
        factors = factor_sample(count, seed)
        learned = learn(factors, outcomes(factors, truth, seed + 1))
        off = float(np.abs(np.asarray(learned.weights) - truth.weights).mean())
        rows.append(
            {
                "from": f"{count} outcomes",
                **_named(learned.weights),
                "off by": off,
                "AUC held out": learned.auc,
                "AUC of the rule": learned.active_auc,
                "margin": learned.margin,
                "promoted": "yes" if learned.better else "no",
            }
        )
    rows[1]["off by"] = float(np.abs(np.asarray(WEIGHTS) - truth.weights).mean())
    return rows


def _bias(cases: int, seed: int) -> list[Row]:
    random = np.random.default_rng(seed)
    truth = Truth()
    factors = factor_sample(cases, seed)
    good = outcomes(factors, truth, seed + 1)
    marked = random.random(cases) < DISADVANTAGED
    seen, told = factors.copy(), good.copy()
    seen[marked, FACTORS.index("history")] = np.clip(seen[marked, FACTORS.index("history")] - MARKED_DOWN, 0.0, 1.0)
    told[marked & (good == 1) & (random.random(cases) < SPOILED)] = 0
    groups = marked.astype(np.int64)
    rows = []
    for name, weights in (
        ("the rule", WEIGHTS),
        ("learned", learn(seen, told).weights),
        ("learned under the constraint", learn(seen, told, groups=groups).weights),
    ):
        scores = seen @ np.asarray(weights)
        selected = (scores >= np.quantile(scores, 0.9)).astype(np.int8)
        report = audit(np.where(marked, "marked down", "others"), selected, scores, good)
        rows.append(
            {
                "weights": name,
                **_named(weights),
                "ratio": report.ratio,
                "alarms": len(report.alarms),
                "AUC, what was told": float(roc_auc_score(told, scores)),
                "AUC, the truth": float(roc_auc_score(good, scores)),
            }
        )
    return rows


def _exposure(mentors: int, learners: int, seed: int) -> list[Row]:
    rows = []
    for evening in (0.0, EVENING):
        roster = Roster(Vocabulary(embed))
        for candidate in candidates(mentors, seed):
            roster.put(candidate)
        views = np.zeros(roster.count)
        worth: list[float] = []
        for seeker in seekers(learners, seed + 1):
            fitting = fit(roster, seeker)
            ranked = rank(roster, fitting, seeker, WEIGHTS, 10, evening)
            note_shown(roster, fitting, ranked)
            views[fitting.rows[list(ranked.places)]] += 1
            worth.extend(ranked.scores)
        free = np.sort(views[: roster.count][roster.free[: roster.count] > 0])
        order = np.arange(1, len(free) + 1)
        rows.append(
            {
                "evening": evening,
                "never shown": float((free == 0).mean()),
                "views of the most shown 1 %": float(free[-max(1, len(free) // 100) :].sum() / free.sum()),
                "Gini": float((2 * order - len(free) - 1) @ free / (len(free) * free.sum())),
                "mean score": float(np.mean(worth)),
            }
        )
    return rows


def _named(weights: tuple[float, ...]) -> Row:
    return {name: weight for name, weight in zip(FACTORS, weights, strict=True)}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _print(name: str, rows: list[Row]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    told = [[_figure(row, column) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[place]) for line in told)) for place, column in enumerate(columns)]
    _say(f"\n{name}")
    _say("  ".join(column.rjust(width) for column, width in zip(columns, widths, strict=True)))
    for line in told:
        _say("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _figure(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column, "")
    return f"{value:.3f}" if isinstance(value, float) else str(value)
