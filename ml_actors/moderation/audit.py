"""The audit: whether the moderation model errs more about some people's texts than about others'.

    by whom a text names    written pairs (identity) and, in the collections, texts that name listed groups ─▶ MetricFrame
    by how a text is written dialect and spelling proxies in the collections                              ─▶ MetricFrame

A group's false alarms (FPR: harmless texts that are taken for toxic) are what silences people, its misses (FNR) what leaves them alone.
Each
line has both with the number of texts, and the audit tells of a group whose FPR is more than `ALARM` above the rest's where chance
explains that once in a hundred times at most. Dialect proxies are words, not people: nobody's dialect is asked or known.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from fairlearn.metrics import MetricFrame, count, false_negative_rate, false_positive_rate, selection_rate
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from ml_actors.embeddings import Embedder
from ml_actors.evaluating import write_json
from ml_actors.kinds import Options, Unusable
from ml_actors.moderation import serving
from ml_actors.moderation.data import Labelled, Unreadable, folds, read_davidson, read_germeval
from ml_actors.moderation.evaluation import scores
from ml_actors.moderation.fitting import additions, calibrate, fair, material, out_of_fold
from ml_actors.moderation.identity import pairs
from ml_actors.moderation.naming import unnamed
from ml_actors.moderation.train import THRESHOLD
from ml_actors.moderation.writing import plain

ALARM: Final = 0.05
CHANCE: Final = 0.01
ROWS_MIN: Final = 30

Bools = NDArray[np.bool_]

PROXIES: Final[Mapping[str, Mapping[str, re.Pattern[str]]]] = {
    "en": {
        # Words that sociolinguists list for African American English online (Blodgett et al. 2016 say how such lists come about and err).
        "AAE words": re.compile(
            r"(?<!\w)(?:finna|ain'?t|gon|tryna|iont|yall|y'all|dat|dis|dem|bruh|aint|wit|nah|imma|ima|ion|lawd|fam)(?!\w)"
        ),
        "n-word, reclaimed spelling": re.compile(r"(?<!\w)nigg(?:a|as|az|ah)(?!\w)"),
        "short spelling (u, ur, r)": re.compile(r"(?<!\w)(?:u|ur|r|thru|cuz|bc|tho|tmrw|pls)(?!\w)"),
    },
    "de": {
        "dialect (ned, oida, moin)": re.compile(
            r"(?<!\w)(?:ned|net|nix|oida|hoid|a bissl|bissl|mei|ois|gell|moin|dat|wat|isch|nich|ick)(?!\w)"
        ),
    },
}
"""What hints at how somebody writes, by language, in plain text."""


class Line(Struct, frozen=True):
    """`selected`: the share taken for toxic; `fpr`, `fnr`: of the harmless and of the toxic ones; nan where there is none."""

    group: str
    rows: int
    harmless: int
    selected: float
    fpr: float
    fnr: float
    alarm: str = ""


class Report(Struct, frozen=True):
    """`difference`: the greatest distance between two large enough groups' false alarm rates."""

    what: str
    lines: tuple[Line, ...]
    difference: float


def report(what: str, groups: Sequence[str], toxic: Bools, said: Bools) -> Report:
    """One line a group, by fairlearn; `said`: taken for toxic."""
    names = np.array(groups)
    metrics: Mapping[str, Callable[..., float]] = {
        "rows": count,
        "selected": selection_rate,
        "fpr": false_positive_rate,
        "fnr": false_negative_rate,
    }
    frame = MetricFrame(metrics=dict(metrics), y_true=toxic.astype(int), y_pred=said.astype(int), sensitive_features=names)
    lines = []
    for group, row in frame.by_group.iterrows():
        here = names == group
        harmless = int((~toxic[here]).sum())
        alarm = _alarm(said[here & ~toxic], said[~here & ~toxic])
        fpr = float(row["fpr"]) if harmless else float("nan")
        fnr = float(row["fnr"]) if harmless < here.sum() else float("nan")
        lines.append(Line(str(group), int(row["rows"]), harmless, float(row["selected"]), fpr, fnr, alarm))
    large = [line.fpr for line in lines if line.harmless >= ROWS_MIN]
    return Report(what, tuple(lines), max(large) - min(large) if len(large) > 1 else 0.0)


def _alarm(own: Bools, others: Bools) -> str:
    if len(own) < ROWS_MIN or len(others) < ROWS_MIN or own.mean() - others.mean() <= ALARM:
        return ""
    table = [[int(own.sum()), int((~own).sum())], [int(others.sum()), int((~others).sum())]]
    chance = float(fisher_exact(table, alternative="greater").pvalue)
    return f"{own.mean() - others.mean():+.2f} false alarms, p {chance:.0e}" if chance <= CHANCE else ""


def lines_of(one: Report) -> list[str]:
    out = [f"{one.what:38} {'rows':>6} {'harmless':>9} {'selected':>9} {'FPR':>6} {'FNR':>6}"]
    for line in one.lines:
        out.append(f"  {line.group:36} {line.rows:6} {line.harmless:9} {line.selected:9.3f} {line.fpr:6.3f} {line.fnr:6.3f}  {line.alarm}")
    out.append(f"  greatest difference of FPR between groups of {ROWS_MIN} harmless rows or more: {one.difference:.3f}")
    return out


def on_written(model: serving.Moderation) -> Report:
    """By the group that a written sentence names: the same sentences for every group."""
    tested = list(pairs(unseen_templates=True, unseen_groups=None, languages=("en", "de")))
    said = scores(model, [pair.text for pair in tested]) >= THRESHOLD
    return report("written sentences, by group named", [pair.group for pair in tested], np.array([pair.toxic for pair in tested]), said)


def on_collections(collections: Mapping[str, list[Labelled]]) -> list[Report]:
    """By what a text of a collection names or how it is written; scored out of fold, by the shipped recipe. Blocks for minutes."""
    rows = [row for collection in collections.values() for row in collection]
    embed = Embedder()
    seen = material(rows, embed)
    logits = out_of_fold(seen, additions(embed), folds(seen.groups, 5, seed=1))
    slope, shift = calibrate(logits, seen.toxic, fair(seen))
    said = slope * logits + shift >= np.log(THRESHOLD / (1 - THRESHOLD))
    plains = [plain(row.text) for row in rows]
    found = []
    for language in sorted({row.language for row in rows}):
        here = seen.language == language
        chosen = [text for text, kept in zip(plains, here, strict=True) if kept]
        named = ["names a group" if unnamed(text)[1] else "names none" for text in chosen]
        found.append(report(f"{language}: names of groups", named, seen.toxic[here], said[here]))
        for name, words in PROXIES.get(language, {}).items():
            hinted = [name if words.search(text) else "without" for text in chosen]
            if hinted.count(name) >= ROWS_MIN:
                found.append(report(f"{language}: {name}", hinted, seen.toxic[here], said[here]))
    return found


def run(arguments: argparse.Namespace) -> int:
    try:
        reports = [on_written(serving.load(arguments.version, Options()))]
        collections = {}
        if arguments.davidson is not None:
            collections["davidson"] = read_davidson(arguments.davidson)
        if arguments.germeval is not None:
            collections["germeval"] = read_germeval(arguments.germeval)
        if collections:
            reports += on_collections(collections)
    except (Unreadable, Unusable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for one in reports:
        sys.stdout.write("\n".join(lines_of(one)) + "\n")
    write_json(arguments.json, msgspec.to_builtins(reports))
    return 0
