"""Inference: what is asked of models, what they answer, and how it is said that they did not.

    who asks ─ ask(request, within_s) ─▶ Models ─ breaker, line (Redis, or a pipe) ─▶ ML process ─ batch ─▶ a model's own process
             ◀──────────── Answer(result, by, degraded) or Unanswered(reason) ──────────────────────────────────╯

A request is one thing to look at; putting many into one batch is the ML process's business. Models are named by what they do, and a version
of one (`moderation@3`) is a folder of files with a card. Requests and results are plain values that name people by id alone.

Invariant: whoever asks hears within the time they gave: what the model says, or why it does not. What to do then (rule weights, a lexicon,
a person) is decided by who asked, and what they show says that it is degraded.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Annotated, ClassVar, Final, Protocol

from msgspec import Meta, Struct

from protocol.values import Harm as Harm

TEXT_MAX: Final = 20_000
"""Code points of one text that a model is asked about; a lesson is asked about section by section."""

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Request(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Root of what is asked. `model` is who answers."""

    model: ClassVar[str]


class Result(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Root of what is answered."""


# Moderation


class About(IntEnum):
    """What a text is: how it is judged depends on it."""

    MESSAGE = 1
    PROFILE = 2
    CONTENT = 3
    """Of a lesson, a page, an action or a question."""
    NAME = 4


class Judge(Request, frozen=True, tag=1):
    """Asks what harm a text may do. Answered by `Verdict`."""

    model: ClassVar[str] = "moderation"
    text: Annotated[str, Meta(max_length=TEXT_MAX)]
    about: About = About.MESSAGE
    language: str = ""
    """A language tag that its author prefers, as a hint; "": unknown."""
    minors: bool = False
    """Whether minors may be its author or its readers."""


class Span(Struct, frozen=True, array_like=True):
    """Where in the text something was found: code points from `begin` up to `end`."""

    harm: Harm
    begin: int
    end: int
    what: str
    """In one word of the table in docs/moderation.md: "phone", "e-mail", "address"."""


class Verdict(Result, frozen=True, tag=1):
    """What a text's harm may be: for each kind that was looked at, a probability that people would call it so, calibrated."""

    scores: dict[Harm, Share]
    language: str = ""
    """The language it is written in, as far as can be told; "": cannot."""
    certain: Share = 0.0
    """Of that language."""
    spans: tuple[Span, ...] = ()


# Matching

FACTORS: Final = ("subject", "style", "language", "availability", "time_zone", "history")
"""The factors of a match, in the order of every list of them."""
WEIGHTS: Final = (0.30, 0.20, 0.15, 0.15, 0.10, 0.10)
"""What each counts before anything was learned from outcomes."""


class Seeker(Struct, frozen=True, array_like=True):
    """A learner who looks for a mentor, as the model sees them: no name, no age, no sex, no origin."""

    user: int
    subjects: Annotated[tuple[str, ...], Meta(max_length=20)]
    """What they want to learn, most wanted first, in anybody's words."""
    level: Annotated[int, Meta(ge=0, le=10)] = 0
    styles: int = 0
    """Bits of `protocol.entities.STYLES`, how they like to learn; 0: anyhow."""
    languages: Annotated[tuple[str, ...], Meta(max_length=10)] = ()
    """Language tags, best first; () matches any."""
    hours: Annotated[tuple[Annotated[int, Meta(ge=0, lt=2**24)], ...], Meta(max_length=7)] = ()
    """When they have time: for each day from Monday on, a bit an hour, in UTC; (): any time."""
    utc_offset_min: Annotated[int, Meta(ge=-840, le=840)] = 0
    space: int = 0
    """The community in which they look; 0: all."""


class Candidate(Struct, frozen=True, array_like=True):
    """A mentor, as the model sees them."""

    user: int
    subjects: tuple[str, ...]
    levels: int = 0
    """A bit a level from 0 to 10 that they teach; 0: all."""
    styles: int = 0
    languages: tuple[str, ...] = ()
    hours: tuple[int, ...] = ()
    utc_offset_min: int = 0
    spaces: tuple[int, ...] = ()
    """The communities in which they mentor."""
    free: int = 1
    """How many more learners they take; 0: full."""
    held: int = 0
    """Mentorships that came to their end."""
    good: float = 0.0
    """Of those, how many went well, by what both said: 0 to `held`."""
    shown: float = 0.0
    """How often they were shown to learners lately, decaying: for fairness of exposure."""


class Match(Request, frozen=True, tag=2):
    """Asks for mentors for a learner. Answered by `Matches`, best first, over all candidates."""

    model: ClassVar[str] = "matching"
    seeker: Seeker
    limit: Annotated[int, Meta(ge=1, le=50)] = 10
    without: Annotated[tuple[int, ...], Meta(max_length=2000)] = ()
    """Who must not be shown: blocked either way, or asked already."""


class Matched(Struct, frozen=True, array_like=True):
    """One mentor that fits."""

    user: int
    score: Share
    factors: tuple[float, ...]
    """Each of `FACTORS`, 0 to 1, before its weight."""
    why: str
    """One sentence's key and what fills it, as in docs/matching.md ("subject:algebra"): who shows it says it in their reader's words."""


class Matches(Result, frozen=True, tag=2):
    """`considered`: how many candidates were looked at, `fitting`: how many the constraints left."""

    matches: tuple[Matched, ...]
    considered: int = 0
    fitting: int = 0


# Checkpoints


class Form(IntEnum):
    """How a question is asked. The same numbers as `protocol.entities` has for a question's form."""

    CHOICE = 0
    SEVERAL = 1
    CLOZE = 2
    ORDER = 3
    SHORT = 4


class Compose(Request, frozen=True, tag=3):
    """Asks for questions about a text. Answered by `Composed`, best first. May take seconds."""

    model: ClassVar[str] = "questions"
    text: Annotated[str, Meta(max_length=TEXT_MAX)]
    language: str = ""
    forms: Annotated[tuple[Form, ...], Meta(max_length=5)] = (Form.CHOICE, Form.CLOZE, Form.SHORT)
    limit: Annotated[int, Meta(ge=1, le=50)] = 10


class Composed(Struct, frozen=True, array_like=True):
    """A question that a mentor may take, mend or turn down."""

    form: Form
    prompt: str
    answer: str
    """In words; for `ORDER` the options in the right order, one a line."""
    options: tuple[str, ...]
    """With the right one, in the order in which they are shown; () where one writes the answer."""
    right: tuple[int, ...]
    """Places in `options`, from 0."""
    difficulty: Share
    quality: Share
    """How likely a mentor takes it."""
    begin: int
    end: int
    """What of the text it comes from, in code points."""
    language: str


class Questions(Result, frozen=True, tag=3):
    """`passed_over`: how many were made and found wanting, by what was found ("form", "unanswerable", "trivial", "twice")."""

    questions: tuple[Composed, ...]
    passed_over: dict[str, int] = {}


# Learning


class Step(Struct, frozen=True, array_like=True):
    """One answer of a learner, in their order."""

    skill: int
    right: bool
    seconds: int = 0
    """Since their answer before."""


class Foresee(Request, frozen=True, tag=4):
    """Asks how likely a learner answers rightly next, for each of `skills`. Answered by `Foreseen`."""

    model: ClassVar[str] = "tracing"
    steps: Annotated[tuple[Step, ...], Meta(max_length=500)]
    skills: Annotated[tuple[int, ...], Meta(max_length=500)]


class Foreseen(Result, frozen=True, tag=4):
    """One chance for each of the request's skills, in its order."""

    chances: tuple[Share, ...]


# Trying the machinery itself


class Echo(Request, frozen=True, tag=15):
    """Asks a model that does as it is told, in tests and proofs: waits, spins, grows, crashes, and otherwise says its words again."""

    model: ClassVar[str] = "echo"
    words: str
    act: Annotated[str, Meta(description="wait:0.1, spin, grow:MiB, crash, raise, or nothing")] = ""


class Echoed(Result, frozen=True, tag=15):
    words: str


AnyRequest = Judge | Match | Compose | Foresee | Echo
AnyResult = Verdict | Matches | Questions | Foreseen | Echoed
RESULT_OF: Final[dict[type[Request], type[Result]]] = {
    Judge: Verdict,
    Match: Matches,
    Compose: Questions,
    Foresee: Foreseen,
    Echo: Echoed,
}


class Answer(Struct, frozen=True):
    """What a model said. `by` is the version that said it; `degraded` says in plain words what is less than it should be; "": nothing."""

    result: AnyResult
    by: str
    degraded: str = ""


class Why(Enum):
    """Why nobody answered. In each case nothing was changed, and asking again is safe."""

    LATE = "late"
    """Not within the time that was given."""
    SHED = "shed"
    """More is asked than can be answered in time; refused at once."""
    OPEN = "open"
    """The breaker is open: the model failed again and again a moment ago."""
    BROKEN = "broken"
    """The model raised, crashed or was killed while it looked at this."""
    AWAY = "away"
    """No process serves this model, or none can be reached."""


class Unanswered(Exception):
    """A model did not answer. `why` is for the metrics and for who asked; the text is for the log."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(f"{why.value}: {detail}" if detail else why.value)
        self.why = why


class Models(Protocol):
    """Who asks models. One in every process; it never blocks, holds a bounded number of questions, and each has a deadline."""

    async def ask(self, request: AnyRequest, within_s: float, *, key: int = 0) -> Answer:
        """The answer, within `within_s` seconds. `key` (a user, a stream) keeps asking the same version while two share the work.
        Raises `Unanswered`."""
        ...

    def ask_nowait(self, request: AnyRequest, within_s: float, then: Callable[[Answer | Unanswered], None], *, key: int = 0) -> None:
        """The same for who cannot wait: `then` is called once, from the task that serves the port, and must neither block nor raise."""
        ...
