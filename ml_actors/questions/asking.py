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
from ml_actors.questions.clauses import SOMEWHERE, Clause, Part, Token
from ml_actors.questions.referents import SEXES, THINGS, UNCLEAR, Referents, head_of, sex_of

PROMPT_WORDS_MAX: Final = 26
ANSWER_WORDS_MAX: Final = 24
TOLD_WORDS_MAX: Final = 14
"""Of what happened before, as part of a question."""
SAYING: Final = frozenset(
    "say ask cry answer reply shout call exclaim whisper tell think scream beg declare announce explain add continue".split()
)


EXPLETIVE: Final = frozenset("be seem become happen appear rain snow chance come grow".split())
"""Verbs before which "it" mostly stands for nothing."""
LEFT_OVER: Final = frozenset("and but or nor as than so yet also not".split())
"""Words that a question does not end with: what they join is not in it."""


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

    def __init__(self, text: str, tokens: Sequence[Token], referents: Referents, sentence: int, found: Sequence[Clause] = ()) -> None:
        self.text = text
        self.tokens = tokens
        self.clauses = found
        self._referents = referents
        self._sentence = sentence
        self.earlier = ""
        """What happened just before the sentence (`told_of`), """
        self.before: tuple[int, int] | None = None
        """and where that stands in the text."""
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
            expletive = token.low == "it" and lexicon.base(self.tokens[clause.verb].low) in EXPLETIVE
            name = None if expletive else self._referents.who(token.low, self._sentence, begin)
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
        known: set[str] = set()
        for i in range(begin, end):
            token = self.tokens[i]
            word = token.text
            if token.tag == "QUOTE":
                raise Unclear
            if token.tag in ("PRP", "PRPO", "PRP$"):
                name = self._named(token, i, sex)
                word = token.text if name in known else name  # who was named once is "he" from then on
                known |= {name, name + "’s"}
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
        wanted = SEXES.get(token.low, "")
        if not wanted and token.low not in THINGS:
            raise Unclear  # "my", "your": of who speaks
        if sex and wanted and (wanted == sex or (sex in ("p", "n") and wanted in ("m", "f"))):
            if token.tag == "PRP$" or token.low.endswith(("self", "selves")):
                return token.text
            if token.tag == "PRP":
                return token.text
        own = token.tag == "PRP$"
        name = self._referents.who(token.low, self._sentence, at, "" if own else self._name)
        if own and name is None:
            return "the"  # whose it is, is left open
        if own and name == self._name:
            return token.text
        if name is None or token.low.endswith(("self", "selves")):
            raise Unclear
        if token.tag == "PRP$":
            return name + ("’" if name.endswith("s") else "’s")
        return name

    def text_end(self, at: int) -> int:
        """Where the sentence ends that a token is of, or the part of it up to a semicolon or a quotation."""
        return next((i for i in range(at, len(self.tokens)) if self.tokens[i].tag in (".", "QUOTE")), len(self.tokens))

    def run_end(self, clause: Clause) -> int:
        """Where the clauses end that go on with its subject: "climbed the tree and took the apple"; its own end where none does."""
        end = end_of(clause)
        for other in self.clauses[self.clauses.index(clause) + 1 :] if clause in self.clauses else ():
            if not other.shared or other.begin > end + 3:
                break
            end = end_of(other)
        return end

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """The place of some tokens in the text, without signs and small words left over at their end."""
        while end > begin + 1 and (
            self.tokens[end - 1].tag in (",", ".", "CC", "SUB", "DT", "PRP$") or self.tokens[end - 1].low in ("as", "saying")
        ):
            end -= 1
        return self.tokens[begin].begin, self.tokens[end - 1].end


def questions(reader: Reader) -> Iterator[Asked | None]:
    """All that the rules make of a sentence's clauses; None for each that would be unclear."""
    found = reader.clauses
    for place, clause in enumerate(found):
        try:
            reader.subject(clause)
        except Unclear:
            yield None
            continue
        for rule in RULES:
            try:
                yield from rule(reader, clause, found[place - 1] if place else None)
            except Unclear:
                yield None


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


def rest_of(
    reader: Reader,
    clause: Clause,
    sex: str,
    without: Sequence[Part],
    also: Sequence[str] = ("reason", "when", "if", "quote", "ing", "purpose"),
) -> str:
    """The clause's parts as words, less those that are asked for, those that only lengthen, and those that name nobody, where the clause
    stands without them. Raises `Unclear` where it does not."""
    said = []
    for place, part in enumerate(clause.parts):
        if part in without or part.kind in also:
            continue
        try:
            said.append(reader.words(part.begin, part.end, sex))
        except Unclear:
            if place == 0 or part.kind not in ("prep", "adverb", "rest", "if"):
                raise
    words = " ".join(said).split()
    while words and words[-1].lower().strip(",") in LEFT_OVER:
        words.pop()
    return " ".join(words).rstrip(",")


def join(*words: str) -> str:
    question = " ".join(word for word in words if word)
    return question[0].upper() + question[1:] + "?"


def _when(reader: Reader, clause: Clause, sex: str) -> str:
    """The circumstances before a clause, as they stand after a question; "" where there are none, or none that can be said."""
    lead = clause.lead
    if lead is None or (lead.kind == "prep" and lead.word not in ("after", "before", "during", "at", "in", "on")):
        return ""
    if lead.kind not in ("when", "prep", "time", "ing"):
        return ""
    try:
        words = reader.words(lead.begin, lead.end, sex)
    except Unclear:
        return ""
    return f"after {words}" if lead.kind == "ing" else words


def _why(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    name, sex = reader.subject(clause)
    aux, verbs = invert(reader, clause)
    for part in clause.parts:
        asks = part.kind in ("reason", "purpose")
        if part.kind == "infinitive" and sex:
            asks = _for_what(reader, clause, part)
        if asks:
            after = [other for other in clause.parts if other.begin >= part.begin]
            end = reader.text_end(part.begin) if part.kind == "reason" else part.end
            end = end if end - part.begin <= ANSWER_WORDS_MAX else part.end
            yield Asked("why", join("why", aux, name, verbs, rest_of(reader, clause, sex, after)), *reader.span(part.begin, end))
    if clause.link == "so" and before is not None and not clause.shared:
        rest = rest_of(reader, clause, sex, ())
        if before.subject is not None:
            yield Asked("why so", join("why", aux, name, verbs, rest), *reader.span(before.begin, before.end))
    if clause.lead is not None and clause.lead.kind == "reason":
        asked = join("why", aux, name, verbs, rest_of(reader, clause, sex, ()))
        yield Asked("why", asked, *reader.span(clause.lead.begin, clause.lead.end))


def _do(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    """What somebody did, when something else happened."""
    name, sex = reader.subject(clause)
    asked = _doing(reader, clause, name, sex)
    if not asked:
        return
    verb = reader.tokens[clause.verb]
    first = clause.verb if verb.tag != "VBN" else clause.group[0]
    end = min((part.begin for part in clause.parts if part.kind in ("reason", "if")), default=end_of(clause))
    when = _when(reader, clause, sex)
    if not when and before is not None and clause.shared and before.subject is not None:
        when = _after(reader, before, sex)
    if not when and verb.tag == "VBD":
        when = after_told(name, sex, told_of(reader, before) if before is not None else reader.earlier)
    kind = "do when" if when else "do"
    last = reader.run_end(clause)
    if last > end and all(reader.tokens[i].tag != "QUOTE" for i in range(first, last)) and last - first <= ANSWER_WORDS_MAX:
        yield Asked(kind, join(asked, when), *reader.span(first, last))
    else:
        yield Asked(kind, join(asked, when), *reader.span(first, end))
    closing = clause.parts[-1]
    if closing.kind == "prep" and len(clause.parts) > 1 and closing.begin > first + 1 and _place_or_time(reader, closing):
        yield Asked("do where", join(asked, reader.words(closing.begin, closing.end, sex)), *reader.span(first, closing.begin))
    for part in clause.parts:
        if part.kind == "when" and part.word in ("when", "after", "before", "as", "while") and part.begin > first + 1:
            yield Asked("do when", join(asked, reader.words(part.begin, part.end, sex)), *reader.span(first, part.begin))
        elif part.kind in ("purpose", "infinitive") and clause.parts[0].kind in ("object", "prep") and _for_what(reader, clause, part):
            yield Asked("do for", join(asked, reader.words(part.begin, part.end, sex)), *reader.span(first, part.begin))


def _doing(reader: Reader, clause: Clause, name: str, sex: str) -> str:
    """What asks for what somebody did or what was done to them; "" where it cannot be asked for."""
    base = _base(reader, clause)
    group = [token for token in reader.tokens[clause.group[0] : clause.group[1]] if token.tag != "RB"]
    verb = reader.tokens[clause.verb]
    passive = verb.tag == "VBN" and bool(group) and lexicon.base(group[0].low) == "be"
    if (not sex and not passive) or base in nouns.LINKING | SAYING or base in ("have", "do", "live", "know"):
        return ""
    if clause.verb + 1 > end_of(clause) - 1 or any(t.low in ("not", "n't", "never") for t in reader.tokens[slice(*clause.group)]):
        return ""
    if passive:
        return f"what happened to {name}"
    if len(group) == 1:
        return f"what {'did' if verb.tag == 'VBD' else 'do' if verb.tag == 'VB' else 'does'} {name} do"
    if group[0].tag == "MD":
        return f"what {group[0].low} {name} do"
    if verb.tag == "VBN" and group[0].low == "had" and len(group) == 2:
        return f"what had {name} done"
    return f"what {group[0].low} {name} doing" if verb.tag == "VBG" and len(group) == 2 else ""


def _place_or_time(reader: Reader, part: Part) -> bool:
    head = head_of(reader.tokens, part.begin + 1, part.end)
    return head is not None and (head.low in nouns.PLACES or head.low in nouns.TIMES)


def _for_what(reader: Reader, clause: Clause, part: Part) -> bool:
    """Whether "to" says what for, and not what."""
    if part.kind == "purpose":
        return True
    with_object = any(other.kind == "object" and other.begin < part.begin for other in clause.parts)
    return _base(reader, clause) not in (nouns.WITH_OBJECT if with_object else nouns.CATENATIVE | nouns.LINKING)


def _after(reader: Reader, before: Clause, sex: str) -> str:
    """What the same subject did just before, as "after climbing the tree"."""
    verb = reader.tokens[before.verb]
    if verb.tag != "VBD" or before.group[1] - before.group[0] != 1:
        return ""
    ing = sorted(lexicon.forms(lexicon.base(verb.low), "VBG"))
    if not ing:
        return ""
    return f"after {ing[0]} {rest_of(reader, before, sex, ())}".strip()


def told_of(reader: Reader, clause: Clause) -> str:
    """A clause in words that stand alone, if it says what happened: "the king searched the house"; else ""."""
    if reader.tokens[clause.verb].tag != "VBD" or clause.group[1] - clause.group[0] != 1 or not clause.parts:
        return ""
    try:
        name, sex = reader.subject(clause)
        rest = rest_of(reader, clause, sex, (), ("reason", "when", "if", "quote", "ing"))
    except Unclear:
        return ""
    words = f"{name} {reader.tokens[clause.verb].text} {rest}".strip()
    if _base(reader, clause) in SAYING | {"give"} and not any(part.kind in ("content", "infinitive", "prep") for part in clause.parts):
        return ""
    return words if len(words.split()) <= TOLD_WORDS_MAX and rest else ""


def after_told(name: str, sex: str, told: str) -> str:
    """ "after she had …", "after catching a mouse": what was told just before, of whom the question has named already."""
    if not told:
        return ""
    if not told.startswith(f"{name} "):
        return f"after {told}"
    verb, _, rest = told.removeprefix(f"{name} ").partition(" ")
    if sex in PRONOUNS:
        return f"after {PRONOUNS[sex]} {verb} {rest}"
    ing = sorted(lexicon.forms(lexicon.base(verb), "VBG"))
    return f"after {ing[0]} {rest}" if ing else f"after {told}"


PRONOUNS: Final = {"m": "he", "f": "she", "s": "they"}


def end_of(clause: Clause) -> int:
    return max([part.end for part in clause.parts], default=clause.verb + 1)


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
        "who" if sex else "what", join("who" if sex else "what", group, rest_of(reader, clause, sex, ())), *reader.span(*clause.subject)
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
            rest = rest_of(reader, clause, sex, (first,))
            span = reader.span(first.begin, first.end)
            yield Asked(
                kind,
                join("who" if kind == "whom" else "what", aux, name, verbs, rest, _when(reader, clause, sex) if not rest else ""),
                *span,
            )
            number = reader.tokens[first.begin]
            if number.tag == "CD" and number.low != "one" and first.end - first.begin > 1:
                counted = reader.words(first.begin + 1, first.end, sex)
                yield Asked("how many", join("how many", counted, aux, name, verbs, rest), number.begin, number.end)
        for part in clause.parts[1:2]:
            if part.kind == "infinitive" and base in nouns.WITH_OBJECT:
                whom = reader.words(first.begin, first.end, sex)
                yield Asked("infinitive", join("what", aux, name, verbs, whom, "to do"), *reader.span(part.begin, part.end))
    elif first.kind == "content":
        yield Asked("content", join("what", aux, name, verbs), *reader.span(first.begin + (first.word == "that"), first.end))
    elif (
        first.kind == "infinitive"
        and base in nouns.CATENATIVE
        and base not in ("be", "have", "use", "ought", "seem", "appear", "let", "make")
    ):
        if not (verbs or aux) or (aux in ("was", "were", "is", "are")):
            return
        yield Asked("infinitive", join("what", aux, name, verbs, "to do", _when(reader, clause, sex)), *reader.span(first.begin, first.end))


def _is(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    """What or how something is: definitions, feelings, looks."""
    name, sex = reader.subject(clause)
    base = _base(reader, clause)
    if base not in nouns.LINKING:
        return
    aux, verbs = invert(reader, clause)
    for place, part in enumerate(clause.parts):
        words = {token.low for token in reader.tokens[part.begin : part.end]}
        if part.kind == "complement" and sex and words & nouns.FEELINGS and base in ("be", "feel", "become", "grow", "look", "seem"):
            asks = "did" if aux in ("was", "were", "did", "had") else ("do" if sex == "s" else "does")
            after = clause.parts[place + 1 :]
            span = reader.span(part.begin, part.end)
            yield Asked("feel", join("how", asks, name, "feel", _when(reader, clause, sex)), *span)
            if after and after[0].kind in ("prep", "when", "infinitive", "content", "reason", "ing", "purpose"):
                yield Asked("feel", join("how", asks, name, "feel", reader.words(after[0].begin, after[0].end, sex)), *span)
            elif reader.earlier and not clause.lead:
                yield Asked("feel", join("how", asks, name, "feel", after_told(name, sex, reader.earlier)), *span)
            yield Asked("why feel", join("why", aux, name, verbs, reader.words(part.begin, part.end, sex)), *_cause(reader, clause))
        elif part.kind == "complement" and sex and words & nouns.LOOKS and base in ("be", "look"):
            asks = "did" if aux in ("was", "were", "did") else ("do" if sex == "s" else "does")
            yield Asked("look", join("what", asks, name, "look like"), *reader.span(part.begin, part.end))
        elif part.kind == "complement" and base == "be" and reader.tokens[part.begin].tag == "JJ":
            yield Asked("like", join("what", aux, name, verbs, "like"), *reader.span(part.begin, part.end))
        elif part.kind == "object" and part is clause.parts[0] and base in ("be", "become"):
            assert clause.subject is not None
            if reader.tokens[part.begin].tag in ("PRP", "PRPO") or part.end - part.begin < 2:
                continue
            end = max(other.end for other in clause.parts if other.kind in ("object", "prep", "if") or other is part)
            asks = "who" if sex in ("n", "m", "f") and sex_of(reader.tokens, part.begin, part.end) else "what"
            yield Asked("definition", join(asks, aux, name, verbs), *reader.span(part.begin, end))


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
        rest = rest_of(
            reader, clause, sex, [other for other in clause.parts if other.begin >= part.begin and other.kind in ("prep", "adverb")]
        )
        if part.kind == "prep":
            head = head_of(reader.tokens, part.begin + 1, part.end)
            if head is None or head.low in nouns.VAGUE:
                continue
            if head.low in nouns.TIMES:
                if part.word in ("in", "on", "at", "after", "before", "during", "until", "since") and head.low != "time":
                    yield Asked("when", join("when", aux, name, verbs, rest), *reader.span(part.begin, part.end))
            elif head.low in nouns.PLACES or (head.tag == "NNP" and part.word in ("in", "near")) or _somewhere(part.word, head):
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
                    *SOMEWHERE,
                ):
                    if part.word == "from":
                        yield Asked("where", join("where", aux, name, verbs, rest, "from"), *reader.span(part.begin + 1, part.end))
                    else:
                        yield Asked("where", join("where", aux, name, verbs, rest), *reader.span(part.begin, part.end))
            elif part.word in ("with", "to", "for", "from", "about") and part is clause.parts[-1]:
                who = "who" if sex_of(reader.tokens, part.begin + 1, part.end) else "what"
                if reader.tokens[part.begin + 1].tag not in ("PRPO", "PRP"):
                    yield Asked("with", join(who, aux, name, verbs, rest, part.word), *reader.span(part.begin + 1, part.end))
        elif part.kind == "when" and part.word in ("when", "after", "before", "until", "till", "as soon as"):
            yield Asked(
                "when",
                join("when" if part.word not in ("until", "till") else "until when", aux, name, verbs, rest),
                *reader.span(part.begin, part.end),
            )


def _somewhere(word: str, head: Token) -> bool:
    """Whether a phrase says where by the word that opens it, whatever stands in it."""
    return word in SOMEWHERE and head.low not in nouns.ABSTRACT


def _how(reader: Reader, clause: Clause, before: Clause | None) -> Iterator[Asked]:
    """By what doing: "by climbing the tree"."""
    for part in clause.parts:
        if part.kind == "ing" and part.word == "by":
            name, sex = reader.subject(clause)
            aux, verbs = invert(reader, clause)
            yield Asked("how", join("how", aux, name, verbs, rest_of(reader, clause, sex, (part,))), *reader.span(part.begin, part.end))


Rule = Callable[[Reader, Clause, Clause | None], Iterator[Asked]]
RULES: Final[tuple[Rule, ...]] = (_why, _do, _is, _object, _where_when, _who, _how)
