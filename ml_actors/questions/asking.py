"""English questions from clauses: inversion, "do", and the word that asks.

    the lad | climbed | the tree | because he was hungry
        ─▶ Why did the lad climb the tree?  What did the lad climb?  Who climbed the tree?  What did the lad do?

Each rule takes one part of a clause away and asks for it; that part, as it stands in the text, is the answer. Pronouns are replaced by
whom they stand for where `referents` can tell; where not, `Unclear` is raised and the question is passed over, counted as "unclear".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from ml_actors.questions import lexicon, nouns
from ml_actors.questions.clauses import FINITE, NOUNY, Clause, Part, Token
from ml_actors.questions.referents import SEXES, UNCLEAR, Referents, head_of, sex_of

PROMPT_WORDS_MAX: Final = 26
ANSWER_WORDS_MAX: Final = 24
TOLD_WORDS_MAX: Final = 11
"""Of what happened before, as part of a question."""
SAYING: Final = frozenset(
    "say ask cry answer reply shout call exclaim whisper tell think scream beg declare announce explain add continue".split()
)


class Unclear(Exception):
    """The question would name somebody whom it does not say."""


class Asked(NamedTuple):
    """A question as first made, before it is checked. `kind` names the rule, for the figures and the ranker."""

    kind: str
    prompt: str
    begin: int
    end: int
    """The answer's place in the text."""


class Reader:
    """One sentence with who is who in it: turns places into words for a question."""

    def __init__(self, text: str, tokens: Sequence[Token], referents: Referents, sentence: int) -> None:
        self.text = text
        self.tokens = tokens
        self._referents = referents
        self._sentence = sentence
        self.earlier = ""
        self._name = ""
        """Of the last subject that was asked for."""
        self._whose = ""
        """"its" or "their" where the last subject that was asked for is a thing or several: it may stand after it in a question."""

    def subject(self, clause: Clause) -> tuple[str, str]:
        """Its name and its sex. Raises `Unclear`."""
        assert clause.subject is not None
        begin, end = clause.subject
        token = self.tokens[begin]
        self._whose = ""
        if token.tag == "PRP" and end == begin + 1:
            name = self._referents.who(token.low, self._sentence, begin)
            if name is None:
                raise Unclear
            self._name = name
            return name, SEXES.get(token.low, "")
        if token.tag in ("EX", "PRPO") or (token.tag == "PRO" and end == begin + 1) or (token.tag == "DT" and token.low in UNCLEAR):
            raise Unclear
        sex = sex_of(self.tokens, begin, end)
        self._name = ""
        name = self._name = self.words(begin, end, "")
        if not sex:
            self._whose = "their" if self.tokens[end - 1].tag == "NNS" else "its"
        return name, sex

    def words(self, begin: int, end: int, sex: str) -> str:
        """The text of some tokens. `sex`: of the subject that the question names before, to whom its pronouns may refer. Raises
        `Unclear`."""
        said: list[str] = []
        for i in range(begin, end):
            token = self.tokens[i]
            word = token.text
            if token.tag == "QUOTE":
                raise Unclear
            if token.tag in ("PRP", "PRPO", "PRP$"):
                word = self._named(token, i, sex)
            elif token.low in UNCLEAR and token.tag not in ("SUB", "WDT", "DT", "AUX", "RB"):
                raise Unclear
            elif i == begin and token.tag != "NNP" and word != "I" and (len(word) == 1 or not word.isupper()):
                word = word[0].lower() + word[1:]
            if said and (
                token.tag == "POS"
                or word in (",", ".", ";", ":", "!", "?", ")")
                or (self.tokens[i - 1].end == token.begin and word == token.text)
            ):
                said[-1] += word
            else:
                said.append(word)
        return " ".join(said)

    def _named(self, token: Token, at: int, sex: str) -> str:
        if token.low == self._whose:
            return token.text
        wanted = SEXES.get(token.low)
        if wanted is None:
            raise Unclear
        if sex and (wanted == sex or (sex in ("p", "n") and wanted in ("m", "f"))):
            if token.tag == "PRP$" or token.low.endswith(("self", "selves")):
                return token.text
            if token.tag == "PRP":
                return token.text
        name = self._referents.who(token.low, self._sentence, at)
        if name is None or name == self._name or token.low.endswith(("self", "selves")):
            raise Unclear  # nobody does something to themselves without a word that says so: it is somebody else, or the reading is wrong
        if token.tag == "PRP$":
            return name + ("’" if name.endswith("s") else "’s")
        return name

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """The place of some tokens in the text, without signs and small words left over at their end."""
        while end > begin + 1 and (
            self.tokens[end - 1].tag in (",", ".", "CC", "SUB", "DT", "PRP$") or self.tokens[end - 1].low in ("as", "saying")
        ):
            end -= 1
        return self.tokens[begin].begin, self.tokens[end - 1].end


def questions(reader: Reader, found: Sequence[Clause], earlier: str = "") -> Iterator[Asked | None]:
    """All that the rules make of a sentence; None for each that would be unclear. `earlier`: what happened just before it (`last_told`)."""
    reader.earlier = earlier
    for place, clause in enumerate(found):
        try:
            reader.subject(clause)
            rules: Sequence[Rule] = RULES
        except Unclear:
            yield None
            rules = (_happened,)  # which asks about no subject
        for rule in rules:
            try:
                yield from rule(reader, clause, found[place - 1] if place else None)
            except Unclear:
                yield None
    yield from _said(reader)


def invert(reader: Reader, clause: Clause) -> tuple[str, str]:
    """The auxiliary that stands before the subject, and the verbs after it: "did", "climb"; "had", "climbed"; "was", ""."""
    group = [reader.tokens[i] for i in range(*clause.group)]
    verbs = [token for token in group if token.tag not in ("RB",)]
    adverbs = [token.low for token in group if token.tag == "RB"]
    after = [word for word in adverbs if word in ("not", "n't", "never")]
    first, rest = verbs[0], verbs[1:]
    if first.tag == "MD" or (first.tag == "AUX" and (rest or lexicon.base(first.low) == "be")):
        aux = first.low if first.low != "cannot" else "can"
        return aux, " ".join([*after, *(token.text for token in rest)])
    aux = (
        "did"
        if first.tag == "VBD" or first.low in ("had", "did")
        else ("does" if first.tag == "VBZ" or first.low in ("has", "does") else "do")
    )
    return aux, " ".join([*after, lexicon.base(first.low)])


def _base(reader: Reader, clause: Clause) -> str:
    return lexicon.base(reader.tokens[clause.verb].low)


def _rest(
    reader: Reader,
    clause: Clause,
    sex: str,
    without: Sequence[Part],
    also: Sequence[str] = ("reason", "when", "if", "quote", "ing", "purpose"),
) -> str:
    """The clause's parts as words, less those that are asked for and those that only lengthen."""
    said = [reader.words(part.begin, part.end, sex) for part in clause.parts if part not in without and part.kind not in also]
    return " ".join(said)


def _join(*words: str) -> str:
    question = " ".join(word for word in words if word)
    return question[0].upper() + question[1:] + "?"


def _when(reader: Reader, clause: Clause, sex: str) -> str:
    if clause.lead is None or clause.lead.kind not in ("when", "prep"):
        return ""
    if clause.lead.kind == "prep" and clause.lead.word not in ("after", "before", "during", "at", "in", "on"):
        return ""
    return reader.words(clause.lead.begin, clause.lead.end, sex)


def _bound(reader: Reader, clause: Clause) -> bool:
    """Whether its verbs can be asked about at all."""
    return reader.tokens[clause.group[0]].tag in (*FINITE, "VB", "RB")


def _why(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    name, sex = reader.subject(clause)
    aux, verbs = invert(reader, clause)
    for part in clause.parts:
        asks = part.kind in ("reason", "purpose")
        if part.kind == "infinitive" and sex:
            with_object = any(other.kind == "object" and other.begin < part.begin for other in clause.parts)
            says_what = nouns.WITH_OBJECT if with_object else nouns.CATENATIVE | nouns.LINKING
            asks = _base(reader, clause) not in says_what
        if asks:
            after = [other for other in clause.parts if other.begin >= part.begin]
            yield Asked("why", _join("why", aux, name, verbs, _rest(reader, clause, sex, after)), *reader.span(part.begin, part.end))
    if clause.link == "so" and before is not None and not clause.shared:
        rest = _rest(reader, clause, sex, ())
        if before.subject is not None:
            yield Asked("why so", _join("why", aux, name, verbs, rest), *reader.span(before.begin, before.end))
    if clause.lead is not None and clause.lead.kind == "reason":
        yield Asked("why", _join("why", aux, name, verbs, _rest(reader, clause, sex, ())), *reader.span(clause.lead.begin, clause.lead.end))


def _do(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    """What somebody did, when something else happened."""
    name, sex = reader.subject(clause)
    verb = reader.tokens[clause.verb]
    base = _base(reader, clause)
    if not sex or base in nouns.LINKING | SAYING or base in ("have", "do", "live", "know") or clause.verb + 1 > _end(clause) - 1:
        return
    if reader.tokens[clause.group[0]].low in ("not",) or any(
        t.low in ("not", "n't", "never") for t in reader.tokens[clause.group[0] : clause.verb]
    ):
        return
    group = [token for token in reader.tokens[clause.group[0] : clause.group[1]] if token.tag != "RB"]
    if verb.tag == "VBN" and lexicon.base(group[0].low) == "be":
        asked = f"what happened to {name}"
    elif len(group) == 1:
        asked = f"what {'did' if verb.tag == 'VBD' else 'do' if verb.tag == 'VB' else 'does'} {name} do"
    elif group[0].tag == "MD":
        asked = f"what {group[0].low} {name} do"
    elif verb.tag == "VBG" and len(group) == 2:
        asked = f"what {group[0].low} {name} doing"
    else:
        return
    end = min((part.begin for part in clause.parts if part.kind in ("reason", "if")), default=_end(clause))
    when = _when(reader, clause, sex)
    if not when and before is not None and clause.shared and before.subject is not None:
        when = _after(reader, before, sex)
    place = reader.span(clause.verb if verb.tag != "VBN" else clause.group[0], end)
    if not when and verb.tag == "VBD":
        told = told_of(reader, before) if before is not None else reader.earlier
        when = f"after {told}" if told else ""
    yield Asked("do when" if when else "do", _join(asked, when), *place)


def _after(reader: Reader, before: Clause, sex: str) -> str:
    """What the same subject did just before, as "after climbing the tree"."""
    verb = reader.tokens[before.verb]
    if verb.tag != "VBD" or before.group[1] - before.group[0] != 1:
        return ""
    ing = sorted(lexicon.forms(lexicon.base(verb.low), "VBG"))
    if not ing:
        return ""
    return f"after {ing[0]} {_rest(reader, before, sex, ())}".strip()


def told_of(reader: Reader, clause: Clause) -> str:
    """A clause in words that stand alone, if it says what happened: "the king searched the house"; else ""."""
    if reader.tokens[clause.verb].tag != "VBD" or clause.group[1] - clause.group[0] != 1 or not clause.parts:
        return ""
    try:
        name, sex = reader.subject(clause)
        words = f"{name} {reader.tokens[clause.verb].text} {_rest(reader, clause, sex, ())}".strip()
    except Unclear:
        return ""
    return words if len(words.split()) <= TOLD_WORDS_MAX and len(words.split()) > 2 else ""


def _end(clause: Clause) -> int:
    return max([part.end for part in clause.parts], default=clause.verb + 1)


def _happened(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    if clause.lead is not None and clause.lead.kind == "when" and clause.lead.word in ("when", "after", "as", "while", "before", "once"):
        lead = reader.words(clause.lead.begin, clause.lead.end, "")
        yield Asked("happened", _join("what happened", lead), *reader.span(clause.begin, _end(clause)))


def _who(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    assert clause.subject is not None
    if clause.shared or reader.tokens[clause.subject[0]].tag == "PRP":
        return
    _, sex = reader.subject(clause)
    head = head_of(reader.tokens, *clause.subject)
    if head is None or head.low in nouns.VAGUE or not clause.parts:
        return
    group = " ".join(token.text for token in reader.tokens[clause.group[0] : clause.group[1]])
    first = reader.tokens[clause.group[0]]
    if first.tag == "VB":
        group = group.replace(first.text, sorted(lexicon.forms(lexicon.base(first.low), "VBZ") or {first.text})[0], 1)
    if first.low in ("were", "are") and sex in ("s", ""):
        group = {"were": "was", "are": "is"}[first.low] + group[len(first.text) :] if sex == "s" else group
    group = group.replace(" n't", "n't")
    yield Asked(
        "who" if sex else "what", _join("who" if sex else "what", group, _rest(reader, clause, "", ())), *reader.span(*clause.subject)
    )


def _object(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    name, sex = reader.subject(clause)
    base = _base(reader, clause)
    aux, verbs = invert(reader, clause)
    first = clause.parts[0] if clause.parts else None
    if first is None:
        return
    listed = (
        first.end < len(reader.tokens) and reader.tokens[first.end].text == ","
    )  # "water, light and air" are answered together or not at all
    if first.kind == "object" and base not in nouns.LINKING and base != "do" and not listed:
        head = head_of(reader.tokens, first.begin, first.end)
        if head is not None and head.low not in nouns.VAGUE and head.low not in nouns.TIMES:
            kind = "whom" if sex_of(reader.tokens, first.begin, first.end) else "object"
            rest = _rest(reader, clause, sex, (first,))
            span = reader.span(first.begin, first.end)
            yield Asked(
                kind,
                _join("who" if kind == "whom" else "what", aux, name, verbs, rest, _when(reader, clause, sex) if not rest else ""),
                *span,
            )
            number = reader.tokens[first.begin]
            if number.tag == "CD" and number.low != "one" and first.end - first.begin > 1:
                counted = reader.words(first.begin + 1, first.end, sex)
                yield Asked("how many", _join("how many", counted, aux, name, verbs, rest), number.begin, number.end)
    elif first.kind == "content":
        yield Asked("content", _join("what", aux, name, verbs), *reader.span(first.begin + (first.word == "that"), first.end))
    elif (
        first.kind == "infinitive"
        and base in nouns.CATENATIVE
        and base not in ("be", "have", "use", "ought", "seem", "appear", "let", "make")
    ):
        if not (verbs or aux) or (aux in ("was", "were", "is", "are")):
            return
        yield Asked(
            "infinitive", _join("what", aux, name, verbs, "to do", _when(reader, clause, sex)), *reader.span(first.begin, first.end)
        )


def _is(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    """What or how something is: definitions, feelings, looks."""
    name, sex = reader.subject(clause)
    base = _base(reader, clause)
    if base not in nouns.LINKING:
        return
    aux, verbs = invert(reader, clause)
    for part in clause.parts:
        words = {token.low for token in reader.tokens[part.begin : part.end]}
        if part.kind == "complement" and sex and words & nouns.FEELINGS and base in ("be", "feel", "become", "grow"):
            when = _when(reader, clause, sex)
            asks = "did" if aux in ("was", "were", "did", "had") else ("do" if sex == "s" else "does")
            yield Asked("feel", _join("how", asks, name, "feel", when), *reader.span(part.begin, part.end))
            yield Asked("why feel", _join("why", aux, name, verbs, reader.words(part.begin, part.end, sex)), *_cause(reader, clause))
        elif part.kind == "complement" and sex and words & nouns.LOOKS and base in ("be", "look"):
            asks = "did" if aux in ("was", "were", "did") else ("do" if sex == "s" else "does")
            yield Asked("look", _join("what", asks, name, "look like"), *reader.span(part.begin, part.end))
        elif part.kind == "object" and part is clause.parts[0] and base in ("be", "become"):
            assert clause.subject is not None
            if reader.tokens[part.begin].tag in ("PRP", "PRPO") or reader.tokens[clause.subject[0]].tag == "PRP":
                continue
            end = max(other.end for other in clause.parts if other.kind in ("object", "prep", "if") or other is part)
            asks = "who" if sex in ("n", "m", "f") and sex_of(reader.tokens, part.begin, part.end) else "what"
            yield Asked("definition", _join(asks, aux, name, verbs), *reader.span(part.begin, end))


def _cause(reader: Reader, clause: Clause) -> tuple[int, int]:
    for part in clause.parts:
        if part.kind in ("reason", "content", "infinitive"):
            return reader.span(part.begin, part.end)
    if clause.lead is not None and clause.lead.kind in ("when", "reason"):
        return reader.span(clause.lead.begin, clause.lead.end)
    raise Unclear


def _where_when(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    name, sex = reader.subject(clause)
    aux, verbs = invert(reader, clause)
    for part in clause.parts:
        rest = _rest(
            reader, clause, sex, [other for other in clause.parts if other.begin >= part.begin and other.kind in ("prep", "adverb")]
        )
        if part.kind == "prep":
            head = head_of(reader.tokens, part.begin + 1, part.end)
            if head is None or head.low in nouns.VAGUE:
                continue
            if head.low in nouns.TIMES:
                if part.word in ("in", "on", "at", "after", "before", "during", "until", "since") and head.low != "time":
                    yield Asked("when", _join("when", aux, name, verbs, rest), *reader.span(part.begin, part.end))
            elif head.low in nouns.PLACES or (head.tag == "NNP" and part.word in ("in", "near")):
                if part.word in (
                    "in",
                    "into",
                    "at",
                    "on",
                    "to",
                    "near",
                    "under",
                    "behind",
                    "through",
                    "from",
                    "onto",
                    "inside",
                    "beside",
                    "over",
                    "by",
                ):
                    if part.word == "from":
                        yield Asked("where", _join("where", aux, name, verbs, rest, "from"), *reader.span(part.begin + 1, part.end))
                    else:
                        yield Asked("where", _join("where", aux, name, verbs, rest), *reader.span(part.begin, part.end))
            elif part.word in ("with", "to", "for", "from", "about") and part is clause.parts[-1]:
                who = "who" if sex_of(reader.tokens, part.begin + 1, part.end) else "what"
                if reader.tokens[part.begin + 1].tag not in ("PRPO", "PRP"):
                    yield Asked("with", _join(who, aux, name, verbs, rest, part.word), *reader.span(part.begin + 1, part.end))
        elif part.kind == "when" and part.word in ("when", "after", "before", "until", "till", "as soon as"):
            yield Asked(
                "when",
                _join("when" if part.word not in ("until", "till") else "until when", aux, name, verbs, rest),
                *reader.span(part.begin, part.end),
            )


def _how(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    """By what doing: "by climbing the tree"."""
    for part in clause.parts:
        if part.kind == "ing" and part.word == "by":
            name, sex = reader.subject(clause)
            aux, verbs = invert(reader, clause)
            yield Asked("how", _join("how", aux, name, verbs, _rest(reader, clause, sex, (part,))), *reader.span(part.begin, part.end))


Rule = Callable[[Reader, Clause, Clause | None], Iterator[Asked]]
RULES: Final[tuple[Rule, ...]] = (_why, _do, _happened, _is, _object, _where_when, _who, _how)


def _said(reader: Reader) -> Iterator[Asked | None]:
    """What somebody said, by the words around a quotation: `"…," said the youth` and `The king said to her: "…"`."""
    tokens = reader.tokens
    for i, token in enumerate(tokens):
        if token.tag != "QUOTE":
            continue
        begin, end = token.begin + 1, token.end - 1
        while end > begin and reader.text[end - 1] in ",.;:!?\"”»' \n":
            end -= 1
        speaker: tuple[int, int] | None = None
        verb = ""
        if i + 2 < len(tokens) and lexicon.base(tokens[i + 1].low) in SAYING and tokens[i + 1].tag in ("VBD", "VBZ", "NN"):
            from_here = i + 2
            stop = from_here
            while stop < len(tokens) and tokens[stop].tag in ("DT", "PRP$", "JJ", *NOUNY, "POS", "PRP"):
                stop += 1
            speaker, verb = (from_here, stop), tokens[i + 1].low
        elif i >= 2:
            k = i - 1
            while k > 0 and tokens[k].tag != "VBD" and i - k < 8:
                k -= 1
            if tokens[k].tag == "VBD" and lexicon.base(tokens[k].low) in SAYING:
                start = k
                while start > 0 and tokens[start - 1].tag in ("DT", "PRP$", "JJ", *NOUNY, "POS", "PRP"):
                    start -= 1
                speaker, verb = (start, k), tokens[k].low
        if speaker is None or speaker[0] >= speaker[1]:
            continue
        try:
            clause = Clause(speaker, False, (0, 0), 0, (), None, "", 0, 0)
            name, _ = reader.subject(clause)
        except Unclear:
            yield None
            continue
        base = lexicon.base(verb)
        asks = base if base in ("ask", "answer", "reply", "shout", "think") else "say"
        yield Asked("speech", _join("what did", name, asks), begin, end)
        quoted = " ".join(reader.text[begin:end].split())
        if 3 <= len(quoted.split()) <= 12 and tokens[speaker[0]].tag != "PRP":
            yield Asked("speaker", f"Who said “{quoted}”?", *reader.span(*speaker))
