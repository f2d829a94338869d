"""Moderation: what is done about a text, once a model (or the lexicon) has said what harm it may do. Pure.

    Verdict ─┐
    Policy  ─┼─ decide ─▶ ALLOW          it stands, or is delivered
    Context ─┘             MASK           personal data is covered, the rest stands
                           HOLD           nobody sees it until a person has decided
                           HIDE           nobody sees it; its author may appeal

Each kind of harm has two levels in percent: from `hold` on it is held, from `hide` on hidden. A community sets them within bounds; how far
somebody is trusted moves them by at most `TRUST_SHIFT`, and up never for what is worst. The reasons of the figures: docs/moderation.md.

Invariant: what is not allowed has a reason. SELF_HARM alone takes nothing back and counts against nobody: it is told to staff.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

from msgspec import Struct

from actors.inference import About, Verdict
from protocol.operations import Level
from protocol.values import Harm, Role

NEVER: Final = 101
"""In percent: what no score reaches."""
HOLD_MIN: Final = 30
"""Nobody sets a level below this: a model that is unsure is right less than once in three then, and everybody would wait for staff."""
HIDE_MIN: Final = 60
"""Nothing is hidden without a person on less: it has to be more likely than not, by far."""
STRICT_MAX: Final = 95
"""What is worst is held from here on at the latest, whatever a community sets: of THREAT, HATE and SEXUAL."""
STRICT: Final = frozenset({Harm.HATE, Harm.THREAT, Harm.SEXUAL})
TRUST_SHIFT: Final = 10
TRUSTED: Final = 0.5
"""From here on levels are higher: it takes years, or several people's words, to get there."""
DISTRUSTED: Final = 0.15
"""Below it they are lower: only who was found to do harm lately is there."""
STRANGER_TRUST: Final = 0.30
STRANGER_S: Final = 24 * 3600
"""Who is here for less than a day, is hardly known and brings a link waits for a person: that is what advertising looks like."""
STRANGER_PERCENT: Final = 75
CERTAIN_MIN: Final = 0.5
"""Below this the language is taken as not known."""
LANGUAGES: Final = frozenset({"en", "de"})
"""Those in which what the models say was measured (docs/moderation-model.md)."""

DEFAULTS: Final[Mapping[Harm, tuple[int, int]]] = {
    Harm.TOXIC: (75, 93),
    Harm.HATE: (55, 85),
    Harm.INSULT: (75, 92),
    Harm.THREAT: (60, 85),
    Harm.SEXUAL: (60, 90),
    Harm.SELF_HARM: (50, NEVER),
    Harm.SPAM: (75, 95),
    Harm.PERSONAL: (60, NEVER),
}
"""From how many percent on each is held, and hidden. Of SELF_HARM the first is from when on staff are told."""
_LEARNED: Final = frozenset({Harm.TOXIC, Harm.HATE, Harm.INSULT})
"""What depends on knowing the language."""
_PLAIN: Final = (Harm.THREAT, Harm.HATE, Harm.SEXUAL, Harm.INSULT, Harm.SPAM, Harm.PERSONAL, Harm.TOXIC, Harm.OTHER)
"""Which reason is given first where several are as bad: the one that says most."""


class Action(IntEnum):
    """What is done. In order: a higher one includes what the lower ones do."""

    ALLOW = 0
    MASK = 1
    HOLD = 2
    HIDE = 3


class Policy(Struct, frozen=True):
    """How a community wants it. `levels`: those that it has set."""

    levels: Mapping[Harm, tuple[int, int]] = {}
    mask: bool = True

    def of(self, harm: Harm) -> tuple[int, int]:
        """From how many percent on this is held, and hidden."""
        return self.levels.get(harm) or DEFAULTS.get(harm, (NEVER, NEVER))


USUAL: Final = Policy()


class Context(Struct, frozen=True):
    """Who wrote it, and where. `private`: among those who opened the conversation; `here_s`: since when they are a member, in seconds."""

    about: About = About.MESSAGE
    trust: float = 0.2
    role: int = 0
    here_s: int = 10**9
    private: bool = False
    link: bool = False


class Reason(Struct, frozen=True):
    """A kind of harm, and how likely people would call it so."""

    harm: Harm
    percent: int


class Outcome(Struct, frozen=True):
    """What is done, and why, the worst first. `uncertain`: what of the judgement is less than it should be, in words; `note`: staff hear
    of it although it stands; `text`: what is left of it, where personal data is covered."""

    action: Action
    reasons: tuple[Reason, ...] = ()
    uncertain: str = ""
    note: bool = False
    text: str = ""

    @property
    def why(self) -> Harm:
        """The first reason."""
        return self.reasons[0].harm if self.reasons else Harm.OTHER


def decide(verdict: Verdict, policy: Policy, context: Context, text: str = "") -> Outcome:
    """What is done about a text of which a model said `verdict`. `text` is needed where personal data may be covered."""
    known = verdict.language in LANGUAGES and verdict.certain >= CERTAIN_MIN
    found: list[tuple[Action, Reason]] = []
    note = False
    for harm, score in verdict.scores.items():
        percent = round(100 * score)
        hold, hide = _levels(harm, policy, context)
        if harm is Harm.SELF_HARM:
            note = note or percent >= hold
        elif harm is Harm.PERSONAL:
            if percent >= hold and not context.private:
                covered = policy.mask and bool(covered_spans(verdict)) and context.about is About.MESSAGE
                found.append((Action.MASK if covered else Action.HOLD, Reason(harm, percent)))
        elif percent >= hold:
            # In a language that it hardly knows, what the model is sure of is for a person to look at.
            sure = percent >= hide and (known or harm not in _LEARNED)
            found.append((Action.HIDE if sure else Action.HOLD, Reason(harm, percent)))
    if context.link and context.here_s < STRANGER_S and context.trust < STRANGER_TRUST and not context.role & (Role.OWNER | Role.MODERATOR):
        found.append((Action.HOLD, Reason(Harm.SPAM, STRANGER_PERCENT)))
    if not found:
        return Outcome(Action.ALLOW, _noted(verdict) if note else (), note=note)
    action = max(one for one, _ in found)
    ordered = sorted(found, key=lambda one: (-one[0], _place(one[1].harm), -one[1].percent))
    reasons = {reason.harm: reason for _, reason in reversed(ordered)}
    uncertain = "" if known or not _LEARNED & reasons.keys() else _unsure(verdict)
    covered_text = cover(text, verdict) if action is Action.MASK else ""
    return Outcome(action, tuple(reversed(reasons.values())), uncertain, note, covered_text)


def unjudged(why: str) -> Outcome:
    """Of what must not be delivered before it was judged, and nobody could: it waits."""
    return Outcome(Action.HOLD, (Reason(Harm.OTHER, 100),), why)


def cover(text: str, verdict: Verdict) -> str:
    """The text with what is personal covered, its length as before."""
    letters = list(text)
    for begin, end in covered_spans(verdict):
        letters[begin:end] = "▒" * len(letters[begin:end])
    return "".join(letters)


def check_levels(levels: Iterable[Level]) -> str:
    """What is wrong with levels that a community would set; "": nothing."""
    seen: set[Harm] = set()
    for level in levels:
        name = level.harm.name
        if level.harm not in DEFAULTS or level.harm in seen:
            return f"levels: {name} is none of {', '.join(harm.name for harm in DEFAULTS)}, or is named twice"
        seen.add(level.harm)
        if level.hold < HOLD_MIN or level.hide < max(HIDE_MIN, level.hold):
            return f"levels: {name} is held from {HOLD_MIN} percent on at the earliest, hidden from {HIDE_MIN} on, not before it is held"
        if level.harm in STRICT and level.hold > STRICT_MAX:
            return f"levels: {name} is held from {STRICT_MAX} percent on at the latest"
        if level.harm in (Harm.SELF_HARM, Harm.PERSONAL) and level.hide < NEVER:
            return f"levels: {name} is never hidden without a person: {NEVER}"
    return ""


def write_levels(levels: Iterable[Level]) -> str:
    """Levels as they are stored."""
    return ",".join(f"{int(level.harm)}:{level.hold}:{level.hide}" for level in levels)


def read_policy(levels: str, mask: bool) -> Policy:
    """A community's policy as it is stored."""
    read: dict[Harm, tuple[int, int]] = {}
    for part in filter(None, levels.split(",")):
        harm, hold, hide = map(int, part.split(":"))
        read[Harm(harm)] = (hold, hide)
    return Policy(read, mask) if read or not mask else USUAL


def write_reasons(reasons: Iterable[Reason]) -> str:
    """Reasons as they are stored."""
    return ",".join(f"{int(reason.harm)}:{reason.percent}" for reason in reasons)


def read_reasons(stored: str) -> tuple[Reason, ...]:
    """Reasons as they were stored."""
    pairs = (part.split(":") for part in filter(None, stored.split(",")))
    return tuple(Reason(Harm(int(harm)), int(percent)) for harm, percent in pairs)


def _levels(harm: Harm, policy: Policy, context: Context) -> tuple[int, int]:
    hold, hide = policy.of(harm)
    shift = 0
    if context.trust < DISTRUSTED:
        shift = -TRUST_SHIFT
    elif context.trust >= TRUSTED and harm not in STRICT:
        shift = TRUST_SHIFT
    return max(HOLD_MIN, hold + shift), hide if hide >= NEVER else max(HIDE_MIN, min(NEVER - 1, hide + shift))


def covered_spans(verdict: Verdict) -> list[tuple[int, int]]:
    """What of a text is personal: from and to, in letters."""
    return [(span.begin, span.end) for span in verdict.spans if span.harm is Harm.PERSONAL and span.end > span.begin]


def _noted(verdict: Verdict) -> tuple[Reason, ...]:
    return (Reason(Harm.SELF_HARM, round(100 * verdict.scores.get(Harm.SELF_HARM, 0.0))),)


def _place(harm: Harm) -> int:
    return _PLAIN.index(harm) if harm in _PLAIN else len(_PLAIN)


def _unsure(verdict: Verdict) -> str:
    what = f"it seems to be {verdict.language}" if verdict.language else "which it is cannot be told"
    return f"the model does not know this language well: {what}"
