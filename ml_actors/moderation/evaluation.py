"""How good the moderation model is: on the collections it learned from (held out), across them, on names of groups, on any labelled file.

--file X.csv --text COL --label COL      the shipped version on that table
--davidson FILE --germeval FILE          folds beside the baselines; trained without one collection and tested on it; calibration
(always)                                 the identity test, and speed and memory of the shipped version
--audit                                  instead: errors by whom a text names and how it is written, with the collections where they are
given
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from actors.inference import Harm, Judge
from ml_actors.embeddings import Embedder
from ml_actors.evaluating import write_json
from ml_actors.kinds import Options, Unusable
from ml_actors.moderation import serving
from ml_actors.moderation.data import Labelled, Unreadable, positives, read_davidson, read_germeval, read_table
from ml_actors.moderation.heads import FILE, Chances, Heads, see, sigmoid
from ml_actors.moderation.identity_test import outcome_lines, run_identity
from ml_actors.moderation.measuring import Figures, figures, lines, to_prior
from ml_actors.moderation.study import across, cross_validated
from ml_actors.moderation.train import THRESHOLD
from ml_actors.registry import SHIPPED, open_version

VERSION: Final = SHIPPED / "moderation" / "1"
LEVELS: Final = (0.5, 0.75, 0.93)
"""The threshold of the figures, and where the usual policy holds and hides."""
SPEED_TEXTS: Final = 512
BATCH: Final = 64
ANCHORS: Final = (
    "anchors, of others' held-out sets: embeddings + logistic regression AUC 0.93-0.94 English, 0.74-0.76 German and Portuguese;",
    "TF-IDF + embeddings 0.79-0.82 on those. Goals: mean AUC of 0.93 English, 0.80 German; 500 messages/s on one core.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, metavar="TABLE", help="csv or tsv with a heading, gz or not")
    parser.add_argument("--text", default="text", metavar="COLUMN", help="of --file; a number where it has no heading (default: text)")
    parser.add_argument("--label", default="label", metavar="COLUMN", help="of --file (default: label)")
    parser.add_argument(
        "--positive", default="", metavar="A,B", help="labels that are toxic (default: 1, true, toxic, hate, offensive …; numbers from 0.5)"
    )
    parser.add_argument("--delimiter", default="", help="of --file (default: found in its heading); \\t is a tab")
    parser.add_argument("--limit", type=int, default=0, metavar="ROWS", help="only so many, drawn from a fixed seed (default: all)")
    parser.add_argument("--davidson", type=Path, metavar="FILE", help="t-davidson/hate-speech-and-offensive-language: labeled_data.csv")
    parser.add_argument("--germeval", type=Path, metavar="FILE", help="uds-lsv/GermEval-2018-Data: germeval2018.training.txt")
    parser.add_argument("--audit", action="store_true", help="look for bias instead")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--version", type=Path, default=VERSION, metavar="FOLDER", help="a version's folder (default: the shipped one)")
    parser.add_argument("--model", default="", metavar="NAME", help="a transformers model by name or folder, in the place of the version")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of --model")


def run(arguments: argparse.Namespace) -> int:
    found: dict[str, Any] = {}
    if arguments.audit:
        from ml_actors.moderation.audit import run as run_audit  # fairlearn and pandas take a second to import

        return run_audit(arguments)
    try:
        options = Options(device=arguments.device, runtime="transformers" if arguments.model else "embedded", model=arguments.model)
        if not arguments.model:
            _say(f"version {open_version(arguments.version).title} ({arguments.version.name})")
        model = serving.load(arguments.version, options)
        if arguments.file is not None:
            found["file"] = _file(model, arguments)
        else:
            if arguments.davidson is not None or arguments.germeval is not None:
                found |= _collections(arguments)
            if not arguments.model:
                found["identity"] = _identity(arguments.version)
            found["speed"] = _speed(model)
            if not arguments.model:
                found["process"] = _process(arguments.version)
    except (Unreadable, Unusable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    write_json(arguments.json, msgspec.to_builtins(found))
    return 0


def scores(model: serving.Moderation, texts: Sequence[str], harm: Harm = Harm.TOXIC) -> Chances:
    """float64[text]"""
    out: list[float] = []
    for at in range(0, len(texts), BATCH):
        out += [verdict.scores[harm] for verdict in model.answer([Judge(text[:20_000]) for text in texts[at : at + BATCH]])]
    return np.array(out)


def _file(model: serving.Moderation, arguments: argparse.Namespace) -> dict[str, Any]:
    texts, labels = read_table(arguments.file, arguments.text, arguments.label, arguments.delimiter.replace("\\t", "\t"))
    toxic = positives(labels, [label.strip() for label in arguments.positive.split(",") if label.strip()])
    if 0 < arguments.limit < len(texts):
        chosen = np.sort(np.random.default_rng(0).choice(len(texts), arguments.limit, replace=False))
        texts, toxic = [texts[at] for at in chosen], toxic[chosen]
        if toxic.all() or not toxic.any():
            raise Unreadable(f"the {arguments.limit} rows that --limit drew are all of one label")
    model.warm()
    began = time.process_time()
    said = scores(model, texts)
    took = time.process_time() - began
    rows: list[tuple[str, Figures]] = [(f"threshold {level}", figures(said, toxic, level)) for level in LEVELS]
    _say(
        f"{arguments.file.name}: toxic are {', '.join(sorted({label for label, bad in zip(labels, toxic, strict=False) if bad})[:12])}"
        if not arguments.limit
        else arguments.file.name
    )
    _say(*lines(rows))
    third = figures(said, toxic, THRESHOLD, to_prior(toxic, 1 / 3))
    _say(*lines([("weighed: a third toxic", third)]), *_reliability(rows[0][1]), f"{len(texts) / took:.0f} texts/s of CPU", *ANCHORS)
    return {"levels": dict(rows), "third": third, "texts_per_cpu_s": len(texts) / took}


def _reliability(of: Figures) -> list[str]:
    return [
        "chance said -> share toxic (rows): " + "  ".join(f"{one.chance:.2f}->{one.toxic:.2f} ({one.rows:.0f})" for one in of.reliability)
    ]


def _collections(arguments: argparse.Namespace) -> dict[str, Any]:
    collections: dict[str, list[Labelled]] = {}
    if arguments.davidson is not None:
        collections["davidson"] = read_davidson(arguments.davidson)
    if arguments.germeval is not None:
        collections["germeval"] = read_germeval(arguments.germeval)
    embed = Embedder()
    table = cross_validated(collections, embed, arguments.folds)
    _say(f"{arguments.folds} folds, near duplicates in one fold; weighed so that a third is toxic, but for the first column", *table.lines)
    found: dict[str, Any] = {"folds": table.figures}
    if len(collections) == 2:
        cross = across(collections, embed)
        _say("trained without the one collection, tested on it", *lines(list(cross.items())))
        found["across"] = cross
    _say(*ANCHORS)
    return found


def _identity(version: Path) -> Any:
    heads, embed = Heads.load(version / FILE), Embedder()

    def score(texts: Sequence[str], naming: bool) -> Chances:
        return sigmoid(heads.logits(see(texts, embed, naming=naming)))

    outcomes = run_identity(lambda texts: score(texts, True), lambda texts: score(texts, False), THRESHOLD)
    _say(
        "near: share of neutral sentences within 0.05 of their twin; kept: of toxic ones whose twin is toxic, the share that is",
        *outcome_lines(outcomes),
    )
    return outcomes


def _speed(model: serving.Moderation) -> dict[str, float]:
    texts = [f"{said} ({number})" for number, said in enumerate(_SPOKEN * (SPEED_TEXTS // len(_SPOKEN)))]
    model.warm()
    found: dict[str, float] = {}
    for batch in (1, 8, 32):
        began = time.process_time()
        for at in range(0, len(texts), batch):
            model.answer([Judge(text) for text in texts[at : at + batch]])
        found[f"batch_{batch}"] = len(texts) / (time.process_time() - began)
    speeds = "  ".join(f"in batches of {batch}: {found[f'batch_{batch}']:.0f}" for batch in (1, 8, 32))
    _say(f"messages per second of CPU, {np.mean([len(text) for text in texts]):.0f} characters each: {speeds}")
    return found


def _process(version: Path) -> dict[str, float]:
    """Of a fresh process that serves this version and nothing else: CPU until it is ready, and memory, at once and after the largest
    batch."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(version.resolve())], capture_output=True, text=True, check=True, timeout=300, env=alone
    )
    ready_s, idle_mib, loading_mib, after_mib, largest_s = map(float, done.stdout.split())
    _say(
        f"a process of its own: ready after {ready_s:.1f} s of CPU, {idle_mib:.0f} MiB resident ({loading_mib:.0f} at most while it loads);"
        f" 32 texts of 20,000 code points take {largest_s:.1f} s and leave {after_mib:.0f} MiB"
    )
    return {"ready_cpu_s": ready_s, "resident_mib": idle_mib, "loading_mib": loading_mib, "largest_s": largest_s, "after_mib": after_mib}


_PROGRAM: Final = """
import resource, sys, time
from pathlib import Path
from actors.inference import Judge
from ml_actors.kinds import KINDS, Options
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
model = KINDS["moderation"].load(Path(sys.argv[1]), Options())
model.warm()
print(time.process_time(), resident(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
began = time.process_time()
model.answer([Judge(("We read a book, you know, about birds and a garden. " * 400)[:20_000])] * 32)
took = time.process_time() - began
print(resident(), took)
"""

_SPOKEN: Final = (
    "Can anybody explain how I get from the second line of this proof to the third? I have been staring at it for an hour.",
    "thanks!! see you tomorrow at the library",
    "Ich habe die Aufgabe jetzt dreimal gerechnet und bekomme jedes Mal etwas anderes heraus, woran kann das liegen?",
    "@kim you are such a clown lol, read the task again: https://example.org/task/17",
    "Our group meets on Friday at four, bring the drawings and the list of plants that we made last week please.",
    "du hast recht, danke",
    "I think the author wants to say that nobody in the village trusts the stranger, because he never tells where he is from.",
    "No.",
)


def _say(*words: str) -> None:
    for line in words:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    from ml_actors.evaluating import evaluate

    sys.exit(evaluate("moderation", sys.argv[1:]))
