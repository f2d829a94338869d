"""Order: three to five events of the text, shown shuffled, to be put as the text tells them.

Events are whole short sentences of the text that lie apart and are about somebody doing something; in English each says who, in the past.
Where the text is no story (English: hardly anything in the past tense) nothing is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.inference import Form
from ml_actors.questions.drafts import Draft
from ml_actors.questions.gaps import BACKWARD
from ml_actors.questions.mixing import mixed
from ml_actors.questions.reading import Reading
from ml_actors.questions.sentences import plain

EVENTS_MIN, EVENTS_MAX = 3, 5
EVENT_LETTERS_MAX = 160
PAST_SHARE_MIN = 0.5
"""Of the clauses that were read: below it, the text describes and does not tell."""


def events(reading: Reading, told: Sequence[str | None]) -> Iterator[Draft]:
    """`told`: for each sentence, in English, its event in words that stand alone; None: it has none."""
    found = _english(reading, told) if reading.english else _plain(reading)
    for start in range(0, len(found), EVENTS_MAX):
        some = found[start : start + EVENTS_MAX]
        if len(some) < EVENTS_MIN or len({words.lower() for _, words in some}) < len(some):
            continue
        begin, end = reading.sentences[some[0][0]].begin, reading.sentences[some[-1][0]].end
        right_order = [words for _, words in some]
        options = mixed(right_order)
        if options == right_order:
            options = options[1:] + options[:1]
        yield Draft(
            Form.ORDER,
            "events",
            reading.tongue.order,
            "\n".join(right_order),
            begin,
            end,
            some[0][0],
            options=tuple(options),
            right=tuple(options.index(words) for words in right_order),
        )


def _english(reading: Reading, told: Sequence[str | None]) -> list[tuple[int, str]]:
    verbs = [tokens[clause.group[0]].tag for tokens, found in zip(reading.tokens, reading.clauses, strict=True) for clause in found]
    past = sum(kind == "VBD" for kind in verbs)
    present = sum(kind in ("VBZ", "VB") for kind in verbs)
    if past < EVENTS_MIN or past < PAST_SHARE_MIN * (past + present):
        return []
    return [(number, words) for number, words in enumerate(told) if words is not None and len(words) <= EVENT_LETTERS_MAX]


def _plain(reading: Reading) -> list[tuple[int, str]]:
    """Of a language that is not taken apart, sentences with a small word for what follows ("luego", "dann"): such a text tells."""
    if not any(word.low in SEQUENCE for sentence in reading.sentences for word in sentence.words):
        return []
    return [
        (number, plain(sentence.text))
        for number, sentence in enumerate(reading.sentences)
        if 4 <= sentence.length <= 16 and sentence.words[0].low not in BACKWARD and not any(sign in sentence.text for sign in '"“”«»?')
    ]


SEQUENCE = frozenset(
    "luego después entonces finalmente puis ensuite alors enfin dann danach schließlich nachdem kisha halafu baadaye hatimaye"
    " ثم بعدها أخيرا".split()
)
