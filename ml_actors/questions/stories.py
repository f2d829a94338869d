"""Stories in sections with the questions that experts asked about them, as FairytaleQA keeps them: two CSV files a story.

    DIR/stories/NAME-story.csv: section, text      DIR/questions/NAME-questions.csv: cor_section, question, answer1 … answer6

Invariant: the halves are the same for everybody: a story is held out by the hash of its name, never by chance.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from msgspec import Struct


class Gold(Struct, frozen=True):
    sections: tuple[int, ...]
    question: str
    answers: tuple[str, ...]


class Story(Struct, frozen=True):
    name: str
    sections: dict[int, str]
    gold: tuple[Gold, ...]

    @property
    def held_out(self) -> bool:
        return hashlib.sha256(self.name.encode()).digest()[0] % 2 == 1


def read_stories(folder: Path) -> list[Story]:
    """All stories of a folder, by name. Raises FileNotFoundError where it is not such a folder, ValueError where a file is not as said."""
    paths = sorted((folder / "stories").glob("*-story.csv"))
    if not paths:
        raise FileNotFoundError(f"{folder / 'stories'}: no *-story.csv")
    found = []
    for path in paths:
        name = path.name.removesuffix("-story.csv")
        try:
            with path.open(newline="", encoding="utf-8") as file:
                sections = {int(row["section"]): row["text"] for row in csv.DictReader(file)}
            with (folder / "questions" / f"{name}-questions.csv").open(newline="", encoding="utf-8-sig") as file:
                gold = tuple(gold for row in csv.DictReader(file) if (gold := _gold(row)) is not None)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path.name}: not as FairytaleQA has it: {error}") from error
        found.append(Story(name, sections, gold))
    return found


def _gold(row: dict[str, str | None]) -> Gold | None:
    answers = tuple(said for name, words in row.items() if name and name.startswith("answer") and (said := (words or "").strip()))
    sections = tuple(int(part) for part in (row.get("cor_section") or "").split(",") if part.strip().isdigit())
    question = (row.get("question") or "").strip()
    return Gold(sections, question, answers) if answers and sections and question else None
