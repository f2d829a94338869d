"""What the questions are worth: `educonnect ml evaluate checkpoints --stories DIR` over FairytaleQA's stories.

    each section ─ Compose ─▶ ten questions ─┬▶ checks once more, by code of their own: form, span, round trip
                                             ├▶ ROUGE-L MAP@10 against what experts asked, beside copied sentences and a published model
                                             ╰▶ a sample, printed for a person to read

MAP@N as the works on this set have it: for each of the experts' question-answer pairs the best ROUGE-L F1 (of question and answer as one
string) among the first N that were generated for its section, averaged over all pairs. A pair of several sections is compared with the
first N of those sections together, taken in turn.

Invariant: the held-out half is reported beside the half on which the rules were looked at, always both.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct

from actors.inference import Compose, Composed, Form, Questions
from ml_actors.evaluating import write_json
from ml_actors.kinds import Options
from ml_actors.questions.answering import FOUND, Answerer
from ml_actors.questions.checks import ASKS
from ml_actors.questions.gaps import GAP
from ml_actors.questions.reading import Reading
from ml_actors.questions.sentences import plain, sentences
from ml_actors.questions.stories import Gold, Story, read_stories
from ml_actors.questions.tongues import ENGLISH
from ml_actors.registry import SHIPPED

TOP: Final = 10
PUBLISHED: Final = 0.53
"""MAP@10, ROUGE-L F1, of a BART that was fine-tuned on this set's training stories."""
FORMS: Final = (Form.CHOICE, Form.SEVERAL, Form.CLOZE, Form.ORDER, Form.SHORT)


class Half(Struct):
    """Figures of one half of the stories."""

    stories: int = 0
    sections: int = 0
    gold: int = 0
    questions: int = 0
    sections_without: int = 0
    ask_rightly: float = 0.0
    """Share of the questions whose words are a question, or a sentence with one gap."""
    in_span: float = 0.0
    found_again: float = 0.0
    named: float = 0.0
    """Share without a pronoun whom the question does not name."""
    map_first: float = 0.0
    """MAP@10 with the first expert's first answer."""
    map_any: float = 0.0
    """With that of all experts' answers which fits best."""
    copied_first: float = 0.0
    copied_any: float = 0.0
    written_first: float = 0.0
    """MAP@10 when short answers alone are asked for."""
    written_any: float = 0.0
    a_section: float = 0.0
    ms_p50: float = 0.0
    ms_p99: float = 0.0
    forms: dict[str, int] = {}
    passed_over: dict[str, int] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stories", type=Path, required=True, metavar="DIR", help="a folder with stories/ and questions/, as FairytaleQA's splits"
    )
    parser.add_argument(
        "--version", type=Path, default=SHIPPED / "questions" / "1", metavar="FOLDER", help="the version to look at; default: shipped"
    )
    parser.add_argument("--sample", type=int, default=12, help="how many questions to print for a person to read")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--limit", type=int, default=0, metavar="STORIES", help="only the first so many of each half: a short form")


def run(arguments: argparse.Namespace) -> int:
    from ml_actors.questions.serving import load

    model = load(arguments.version, Options())
    model.warm()
    stories = read_stories(arguments.stories)
    halves: dict[str, Half] = {}
    made: list[tuple[str, str, Composed]] = []
    for name, held_out in (("development", False), ("held out", True)):
        some = [story for story in stories if story.held_out == held_out]
        halves[name], found = measure(some[: arguments.limit or None], lambda request: model.answer([request])[0])
        made += found if held_out else []
    print_table(halves | {"whole": whole(list(halves.values()))})
    print_sample(made, arguments.sample, arguments.seed)
    write_json(arguments.json, {"halves": halves, "published_map": PUBLISHED, "top": TOP})
    return 0 if halves["held out"].questions else 1


def measure(stories: Sequence[Story], ask: Callable[[Compose], Questions]) -> tuple[Half, list[tuple[str, str, Composed]]]:
    """All figures of some stories, and what was made: (story, section's text, question)."""
    half = Half(stories=len(stories), forms={}, passed_over={})
    made: list[tuple[str, str, Composed]] = []
    took: list[float] = []
    forms: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    marks = {name: [0.0] * 0 for name in ("map_first", "map_any", "copied_first", "copied_any", "written_first", "written_any")}
    for story in stories:
        mixed: dict[int, list[str]] = {}
        written: dict[int, list[str]] = {}
        copied: dict[int, list[str]] = {}
        for number, text in story.sections.items():
            began = time.perf_counter()
            answer = ask(Compose(text, "en", FORMS, TOP))
            took.append((time.perf_counter() - began) * 1000)
            passed.update(answer.passed_over)
            forms.update(question.form.name for question in answer.questions)
            half.sections_without += not answer.questions
            made += [(story.name, text, question) for question in answer.questions]
            mixed[number] = [pair(question) for question in answer.questions]
            written[number] = [pair(question) for question in ask(Compose(text, "en", (Form.SHORT,), TOP)).questions]
            copied[number] = copies(text)
        half.sections += len(story.sections)
        half.gold += len(story.gold)
        for gold in story.gold:
            for name, pairs in (("map", mixed), ("written", written), ("copied", copied)):
                first, best = score(gold, top(pairs, gold.sections))
                marks[f"{name}_first"].append(first)
                marks[f"{name}_any"].append(best)
    for name, values in marks.items():
        setattr(half, name, float(np.mean(values)) if values else 0.0)
    half.questions = len(made)
    half.a_section = half.questions / half.sections if half.sections else 0.0
    half.forms, half.passed_over = dict(sorted(forms.items())), dict(sorted(passed.items()))
    if took:
        half.ms_p50, half.ms_p99 = (float(value) for value in np.percentile(took, (50, 99)))
    if made:
        half.ask_rightly = sum(asks(question) for _, _, question in made) / len(made)
        half.in_span = sum(spans(text, question) for _, text, question in made) / len(made)
        half.named = sum(named(question) for _, _, question in made) / len(made)
        half.found_again = found_again(made)
    return half, made


def whole(halves: Sequence[Half]) -> Half:
    """Of all stories, from the figures of some: means weighted by what they are means of. Times are not added up: 0."""
    found = Half(forms={}, passed_over={})
    for name in ("stories", "sections", "gold", "questions", "sections_without"):
        setattr(found, name, sum(getattr(half, name) for half in halves))
    marks = ("map_first", "map_any", "copied_first", "copied_any", "written_first", "written_any")
    for names, by in ((marks, "gold"), (("ask_rightly", "in_span", "found_again", "named"), "questions"), (("a_section",), "sections")):
        for name in names:
            total = sum(getattr(half, by) for half in halves)
            setattr(found, name, sum(getattr(half, name) * getattr(half, by) for half in halves) / total if total else 0.0)
    return found


def pair(question: Composed) -> str:
    return f"{question.prompt} {question.answer}"


def copies(text: str) -> list[str]:
    """The trivial baseline: the section's first ten sentences, as they are."""
    return [sentence.plain for sentence in sentences(text, ENGLISH)][:TOP]


def top(pairs: dict[int, list[str]], sections: Sequence[int]) -> list[str]:
    """The first ten of some sections, taken in turn."""
    turns = zip_longest(*(pairs.get(number, []) for number in sections))
    return [one for turn in turns for one in turn if one is not None][:TOP]


def score(gold: Gold, pairs: Sequence[str]) -> tuple[float, float]:
    """The best ROUGE-L F1 of an experts' pair: with its first answer, and with whichever answer fits best."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    values = [
        max((scorer.score(f"{gold.question} {answer}", said)["rougeL"].fmeasure for said in pairs), default=0.0) for answer in gold.answers
    ]
    return values[0], max(values)


def asks(question: Composed) -> bool:
    if question.form is Form.ORDER:
        return sorted(question.right) == list(range(len(question.options)))
    if question.form is Form.SEVERAL:
        return "Which of these" in question.prompt
    return question.prompt.count(GAP) == 1 or (bool(ASKS.match(question.prompt)) and 3 <= len(question.prompt.split()) <= 24)


def spans(text: str, question: Composed) -> bool:
    """Whether the answer stands in the span; of an order, whether its events' last words do, in their order."""
    span = plain(text[question.begin : question.end]).casefold()
    if question.form in (Form.ORDER, Form.SEVERAL):
        at = 0
        for line in question.answer.split("\n" if question.form is Form.ORDER else ", "):
            found = span.find(line.rstrip(".").split()[-1].casefold(), at)
            if found < 0:
                return False
            at = found
        return True
    return question.answer.casefold() in span


LOOSE: Final = frozenset("he she it they him them i we you me us this that these those".split())


def named(question: Composed) -> bool:
    """Whether the first word that could need a name before it has one: no loose pronoun right after what asks."""
    if question.form is not Form.SHORT and GAP in question.prompt:
        words = question.prompt.split(":", 1)[-1].split()
        return bool(words) and words[0].lower() not in LOOSE
    if "“" in question.prompt:
        return True
    words = question.prompt.rstrip("?").lower().split()[:4]
    return not LOOSE & set(words)


def found_again(made: Sequence[tuple[str, str, Composed]]) -> float:
    """The round trip once more, from the finished questions; those with options count as found if the right one is what is found."""
    from ml_actors.embeddings import Embedder

    embed = Embedder()
    found = total = 0
    answerers: dict[str, tuple[Reading, Answerer]] = {}
    for _, text, question in made:
        if question.form in (Form.ORDER, Form.SEVERAL):
            continue
        if text not in answerers:
            reading = Reading(text, ENGLISH)
            answerers[text] = reading, Answerer(reading, embed([sentence.plain for sentence in reading.sentences]))
        reading, answerer = answerers[text]
        total += 1
        sentence = reading.at(question.begin)
        found += answerer.found(question.prompt, question.answer, sentence, embed([question.prompt])[0]) >= FOUND
    return found / total if total else 0.0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def print_table(halves: dict[str, Half]) -> None:
    rows: list[tuple[str, Callable[[Half], str], str]] = [
        ("stories / sections / experts' pairs", lambda h: f"{h.stories} / {h.sections} / {h.gold}", ""),
        (
            "questions (a section; sections without)",
            lambda h: f"{h.questions} ({h.a_section:.1f}; {h.sections_without})",
            "experts: about 2",
        ),
        ("asks rightly: form", lambda h: f"{h.ask_rightly:.3f}", ""),
        ("names whom it asks about", lambda h: f"{h.named:.3f}", ""),
        ("answer in its span", lambda h: f"{h.in_span:.3f}", ""),
        ("round trip", lambda h: f"{h.found_again:.3f}", "filtered by it"),
        ("MAP@10 ROUGE-L, best answer", lambda h: f"{h.map_any:.3f}", f"fine-tuned BART {PUBLISHED}"),
        ("MAP@10 ROUGE-L, first answer", lambda h: f"{h.map_first:.3f}", ""),
        ("… of short answers alone, best answer", lambda h: f"{h.written_any:.3f}", ""),
        ("… of short answers alone, first answer", lambda h: f"{h.written_first:.3f}", ""),
        ("… of copied sentences, best answer", lambda h: f"{h.copied_any:.3f}", "trivial baseline"),
        ("… of copied sentences, first answer", lambda h: f"{h.copied_first:.3f}", "trivial baseline"),
        ("ms a section, p50 / p99", lambda h: f"{h.ms_p50:.0f} / {h.ms_p99:.0f}" if h.ms_p50 else "", ""),
    ]
    say(f"{'':42}" + "".join(f"{name:>18}" for name in halves) + "   beside")
    for label, value, beside in rows:
        say(f"{label:42}" + "".join(f"{value(half):>18}" for half in halves.values()) + f"   {beside}")
    for name, half in halves.items():
        if not half.forms:
            continue
        say(f"{name}: forms {half.forms}; passed over {half.passed_over}")


def print_sample(made: Sequence[tuple[str, str, Composed]], count: int, seed: int) -> None:
    chosen = random.Random(seed).sample(list(made), min(count, len(made)))
    say(f"\n{len(chosen)} of the held-out half's questions, by chance (seed {seed}), to be read:")
    for story, _, question in chosen:
        options = f"  [{' | '.join(question.options)}]" if question.options else ""
        answer = question.answer.replace("\n", " / ")
        say(f"- {question.form.name} {question.quality:.2f} ({story}) {question.prompt} -> {answer}{options}")
