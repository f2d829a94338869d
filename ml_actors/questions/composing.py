"""From a text to the questions that are offered: made by rules, checked, answered again, given options, ranked, thinned.

    Compose ─▶ Reading ─▶ candidates ─▶ checks, round trip ─▶ options ─▶ ranker ─▶ one sentence is not asked about again and again ─▶
    Questions

A text may be written to take long: after `BUDGET_S` nothing more is looked at, and what is left is counted as "late".

Invariant: every candidate is either among the questions or counted in `passed_over`; the same request gets the same answer, unless it is
late.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actors.inference import Compose, Composed, Form, Questions
from ml_actors.embeddings import Embeddings
from ml_actors.questions import drafts
from ml_actors.questions.answering import FOUND, Answerer
from ml_actors.questions.asking import Asked, Reader, end_of, questions, told_of
from ml_actors.questions.checks import ANSWER_WORDS_MAX, OPTION_LETTERS_MAX, same, why_not
from ml_actors.questions.clauses import Clause, Token
from ml_actors.questions.distractors import Embed, Pool
from ml_actors.questions.drafts import Draft
from ml_actors.questions.events import events
from ml_actors.questions.gaps import gaps
from ml_actors.questions.mixing import mixed
from ml_actors.questions.ranking import Ranker
from ml_actors.questions.reading import Reading
from ml_actors.questions.referents import Referents
from ml_actors.questions.sentences import plain
from ml_actors.questions.speech import said
from ml_actors.questions.telling import tellings
from ml_actors.questions.tongues import tongue_of

CANDIDATES_MAX: Final = 600
"""That are checked; of a long text those of the sentences that say most."""
BUDGET_S: Final = 4.0
"""Of one text. A section of a lesson takes less than 0.1 s, one of 20,000 letters about 1 s; who asks waits
for ten times as long as this."""
AT_ONCE: Final = 32
"""Candidates that are embedded and answered again between two looks at the clock: about 0.1 s."""
AGAIN: Final = 0.2
"""By how much a question counts less for each that is asked already of its sentence, and half of it for each of its kind."""
ALIKE: Final = 0.3
"""And once more, if the same sentence has one of its kind: two gaps in one sentence ask for the same reading."""
CHOICE_SHARE: Final = 0.5
"""Of the questions that could be a choice as well as written, how many are one, where both are wanted."""


Make = Callable[[Reading, Sequence[Form], Counter[str]], Iterable[Draft]]


def remembering(embed: Embed) -> Embed:
    """The same, each text once: options are chosen from the same words again and again."""
    known: dict[str, NDArray[np.float32]] = {}

    def remembered(texts: Sequence[str]) -> Embeddings:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, embed(new), strict=True))
        return np.array([known[text] for text in texts], dtype=np.float32)

    return remembered


class Composer:
    def __init__(self, ranker: Ranker, embed: Embed, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, from anywhere."""
        self._ranker = ranker
        self._embed = embed
        self._clock = clock
        self._until = 0.0

    def compose(self, request: Compose, make: Make | None = None) -> Questions:
        """`make`: what makes candidates; the rules, if None."""
        self._until = self._clock() + BUDGET_S
        reading = Reading(request.text, tongue_of(request.language))
        if not reading.sentences:
            return Questions(())
        passed: Counter[str] = Counter()
        found = list((make or self.candidates)(reading, request.forms, passed))
        good = self.checked(reading, found, passed)
        wanted = self.formed(reading, good, request.forms, passed)
        best = self.ranked(reading, wanted, request.limit, passed)
        return Questions(tuple(_composed(draft, request.language) for draft in best), dict(sorted(passed.items())))

    def late(self) -> bool:
        return self._clock() >= self._until

    def candidates(self, reading: Reading, forms: Sequence[Form], passed: Counter[str]) -> Iterator[Draft]:
        """All that the rules make, unchecked."""
        told: list[str | None] = [None] * len(reading.sentences)
        if reading.english:
            referents = Referents(reading.tokens)
            earlier, before = "", None
            for number, tokens in enumerate(reading.tokens):
                if self.late():
                    passed[drafts.LATE] += len(reading.sentences) - number
                    break
                referents.note(tokens, number)
                reader = Reader(reading.text, tokens, referents, number, reading.clauses[number])
                reader.earlier, reader.before = earlier, before
                if Form.ORDER in forms:
                    told[number] = _told(reader, reading.clauses[number])
                if Form.CHOICE in forms or Form.SHORT in forms:
                    for asked in chain(questions(reader), tellings(reader), said(reader)):
                        if asked is None:
                            passed[drafts.UNCLEAR] += 1
                        else:
                            yield _draft(reading, asked, number)
                earlier = next(filter(None, (told_of(reader, clause) for clause in reversed(reader.clauses))), "")
                before = _answers(reader)
                if Form.SEVERAL in forms:
                    yield from _several(reading, tokens, number)
        if Form.CLOZE in forms or Form.CHOICE in forms:
            yield from gaps(reading)
        if Form.ORDER in forms:
            yield from events(reading, told)

    def checked(self, reading: Reading, found: Sequence[Draft], passed: Counter[str]) -> list[Draft]:
        """Those that pass, with what the checks found out about them."""
        sound: list[Draft] = []
        for draft in found:
            draft.salience = reading.salience[draft.sentence]
            draft.place = draft.sentence / len(reading.sentences)
            reason = why_not(draft, reading)
            if reason:
                passed[reason] += 1
            else:
                sound.append(draft)
        if len(sound) > CANDIDATES_MAX:
            sound.sort(key=lambda draft: -draft.salience)
            passed[drafts.DROPPED] += len(sound) - CANDIDATES_MAX
            sound = sound[:CANDIDATES_MAX]
        if not sound:
            return []
        lines = self._embed([sentence.plain for sentence in reading.sentences])
        answerer = Answerer(reading, lines)
        kept: list[Draft] = []
        for start in range(0, len(sound), AT_ONCE):
            if self.late():
                passed[drafts.LATE] += len(sound) - start
                break
            kept += self._answered(sound[start : start + AT_ONCE], answerer, lines, passed)
        return kept

    def _answered(self, some: Sequence[Draft], answerer: Answerer, lines: Embeddings, passed: Counter[str]) -> list[Draft]:
        """Those of which the answer is found again."""
        kept = []
        for draft, vector in zip(some, self._embed([draft.prompt for draft in some]), strict=True):
            draft.near = float(np.clip(vector @ lines[draft.sentence], 0.0, 1.0))
            whole = draft.form is Form.ORDER or draft.kind == "several"
            draft.found = 1.0 if whole else answerer.found(draft.prompt, draft.answer, draft.sentence, vector)
            if draft.found < FOUND:
                passed[drafts.UNANSWERABLE] += 1
            else:
                kept.append(draft)
        return kept

    def formed(self, reading: Reading, good: Sequence[Draft], forms: Sequence[Form], passed: Counter[str]) -> list[Draft]:
        """Each in a form that was asked for: with options where it can have them."""
        pool = Pool(reading, remembering(self._embed))
        made = []
        chosen = written = 0
        for draft in good:
            if draft.form in (Form.ORDER, Form.SEVERAL):
                made.append(draft)
                continue
            open_form = Form.CLOZE if draft.kind == "gap" else Form.SHORT
            draft.form = open_form
            both = open_form in forms and Form.CHOICE in forms
            if Form.CHOICE in forms and not self.late() and (not both or chosen <= CHOICE_SHARE * (chosen + written)):
                choice = pool.options(draft)
                if choice is not None:
                    chosen += 1
                    made.append(choice)
                    continue
            if open_form in forms:
                written += 1
                made.append(draft)
            else:
                passed[drafts.FORM] += 1
        return made

    def ranked(self, reading: Reading, made: Sequence[Draft], limit: int, passed: Counter[str]) -> list[Draft]:
        """The best, best first; of one sentence and one kind no more than is worth it."""
        for draft, quality in zip(made, self._ranker.quality(made), strict=True):
            draft.quality = quality
            draft.difficulty = difficulty(draft)
        left = sorted(made, key=lambda draft: (-draft.quality, draft.begin, draft.prompt))
        sentences: Counter[int] = Counter()
        kinds: Counter[str] = Counter()
        alike: set[tuple[int, str]] = set()
        best: list[Draft] = []
        while left and len(best) < limit:
            draft = max(
                left,
                key=lambda one: (
                    one.quality
                    - AGAIN * sentences[one.sentence]
                    - AGAIN / 2 * kinds[one.kind]
                    - ALIKE * ((one.sentence, one.kind) in alike)
                ),
            )
            left.remove(draft)
            if any(same(draft, other, reading) for other in best):
                passed[drafts.TWICE] += 1
                continue
            best.append(draft)
            sentences[draft.sentence] += 1
            kinds[draft.kind] += 1
            alike.add((draft.sentence, draft.kind))
        passed[drafts.DROPPED] += len(left)
        if not left and not passed[drafts.DROPPED]:
            del passed[drafts.DROPPED]
        return best


def difficulty(draft: Draft) -> float:
    """0 to 1: writing is harder than choosing, a reason harder than a name, a rare word harder than a common one. Set by hand; grades
    correct it."""
    value = {Form.CHOICE: 0.25, Form.SEVERAL: 0.45, Form.CLOZE: 0.45, Form.ORDER: 0.5, Form.SHORT: 0.5}[draft.form]
    if draft.kind.startswith("why") or draft.kind in ("how", "happened"):
        value += 0.2
    value += 0.15 * min(len(draft.answer.split()), 12) / 12 + 0.1 * (1.0 - draft.near)
    return min(value, 1.0)


def _draft(reading: Reading, asked: Asked, number: int) -> Draft:
    first, last = reading.at(asked.begin), reading.at(asked.end - 1)
    begin, end = reading.sentences[min(first, number)].begin, reading.sentences[max(last, number)].end
    answer = plain(reading.text[asked.begin : asked.end]).strip(" ,.;:")
    return Draft(Form.SHORT, asked.kind, asked.prompt, answer, begin, end, number)


def _answers(reader: Reader) -> tuple[int, int] | None:
    """Where the sentence's last clause stands, with its circumstances: a reason for what the next sentence begins with "so"."""
    for clause in reader.clauses[-1:]:
        begin = clause.lead.begin if clause.lead is not None else clause.begin
        if not any(token.tag == "QUOTE" for token in reader.tokens[begin : clause.end]):
            return reader.span(begin, end_of(clause))
    return None


def _told(reader: Reader, found: Sequence[Clause]) -> str | None:
    """The first thing that happens in a sentence, in words that stand alone: whom it names, what they did."""
    from ml_actors.questions.asking import Unclear

    for clause in found:
        if reader.tokens[clause.verb].tag != "VBD" or clause.group[1] - clause.group[0] != 1 or not clause.parts:
            continue
        try:
            name, sex = reader.subject(clause)
            end = min(
                (part.begin for part in clause.parts if part.kind in ("if", "when", "quote")), default=max(p.end for p in clause.parts)
            )
            if not sex or end <= clause.verb + 1:
                continue
            words = f"{name} {reader.words(clause.group[0], end, sex)}"
        except Unclear:
            continue
        return words[0].upper() + words[1:] + "."
    return None


def _several(reading: Reading, tokens: Sequence[Token], number: int) -> Iterator[Draft]:
    """ "Plants need water, light and air": which of these does the text name as what plants need?"""
    from ml_actors.questions.clauses import NOUNY

    for clause in reading.clauses[number]:
        if clause.subject is None or tokens[clause.subject[0]].tag in ("PRP", "PRPO", "EX", "PRO"):
            continue
        listed = _list_after(tokens, clause.verb + 1)
        if len(listed) < 2:
            continue
        right = [plain(reading.text[tokens[begin].begin : tokens[end - 1].end]) for begin, end in listed]
        sentence = reading.sentences[number]
        inside = {token.low for token in tokens if token.tag in NOUNY}
        wrong: list[str] = []
        for other in reading.tokens:
            for token in other:
                if (
                    token.tag == tokens[listed[0][1] - 1].tag
                    and token.low not in inside
                    and token.low not in reading.tongue.stop
                    and token.text not in wrong
                ):
                    wrong.append(token.text)
        if len(wrong) < 2 or len(right) > ANSWER_WORDS_MAX or any(len(word) > OPTION_LETTERS_MAX for word in right):
            continue
        options = mixed([*right, *wrong[: max(2, len(right) - 1)]])
        stem = plain(reading.text[tokens[clause.subject[0]].begin : tokens[clause.verb].end])
        prompt = f"Which of these does the text name? {stem[0].upper()}{stem[1:]} …"
        yield Draft(
            Form.SEVERAL, "several", prompt, ", ".join(right), sentence.begin, sentence.end, number,
            tuple(options), tuple(sorted(options.index(word) for word in right)),
        )  # fmt: skip


def _list_after(tokens: Sequence[Token], at: int) -> list[tuple[int, int]]:
    """ "water, light and air" as its items; [] if it is no list of three or more."""
    from ml_actors.questions.clauses import noun_phrase

    items = []
    while True:
        end = noun_phrase(tokens, at)
        if end == at or tokens[at].tag in ("PRP", "PRPO"):
            return []
        items.append((at, end))
        if end < len(tokens) and tokens[end].text == ",":
            at = end + 1 + (end + 1 < len(tokens) and tokens[end + 1].low == "and")
        elif end < len(tokens) and tokens[end].low == "and":
            at = end + 1
        else:
            break
    return items if len(items) >= 3 else []


def _composed(draft: Draft, language: str) -> Composed:
    return Composed(
        draft.form,
        draft.prompt,
        draft.answer,
        draft.options,
        draft.right,
        round(draft.difficulty, 4),
        round(draft.quality, 4),
        draft.begin,
        draft.end,
        language,
    )
