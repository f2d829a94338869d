"""How mentors and mentorships are shown in a terminal: lines for people.

The sentences of why a mentor is shown come as keys with what fills them; these are their English words (docs/mentoring.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from client.replica import RecordView
from client.sync_view import moment
from protocol.entities import STYLES
from protocol.frames import MentorFound, MentorsFound, MentorshipItem
from protocol.values import MentorshipState


def visible(text: str) -> str:
    """What others wrote, on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)


def _styles(bits: str) -> str:
    return ", ".join(words for bit, words in STYLES.items() if bits.isdecimal() and int(bits) & bit)


WHY: Final[dict[str, Callable[[str], str]]] = {
    "subject": lambda what: f"teaches {what}",
    "subject-near": lambda what: f"teaches {what}, which is close to it",
    "style": lambda what: f"teaches as you like to learn: {_styles(what)}",
    "language": lambda what: f"speaks your language ({what})",
    "hours": lambda what: f"has {what} hours a week when you have time, too",
    "near": lambda what: "lives by nearly the same clock",
    "history": lambda what: f"has mentored {what} before, and it went well",
    "open": lambda what: "takes learners now",
}
"""By key: the sentence, of what fills it."""


def why_words(why: str) -> str:
    """The one sentence; of a key that is newer than this program, nothing that could be wrong."""
    key, _, what = why.partition(":")
    sentence = WHY.get(key)
    return sentence(visible(what)) if sentence is not None else "fits you"


def found_lines(found: MentorsFound) -> list[str]:
    """One mentor a line or two, best first."""
    lines = [f"Note: {found.degraded}."] if found.degraded else []
    for one in found.mentors:
        lines += _mentor_lines(one)
    if not found.considered and not found.degraded:
        lines.append("Nobody mentors here yet: a mentor has said that they are open, and is trusted enough (docs/mentoring.md).")
    elif not found.mentors:
        lines.append("Nobody was found. Other words, another language or more hours may help.")
    looked = "1 mentor was" if found.considered == 1 else f"{found.considered} mentors were"
    lines.append(f"{looked} looked at, {found.fitting} of them {'fits' if found.fitting == 1 else 'fit'}.")
    return lines


def _mentor_lines(one: MentorFound) -> list[str]:
    where = f", ask with --in {one.space}" if one.space else ""
    lines = [f"{one.percent:>3} %  {visible(one.display_name)} (@{visible(one.name)}, {one.user}): {why_words(one.why)}{where}"]
    return [*lines, f"       {visible(one.about)}"] if one.about else lines


def mentorship_lines(items: Sequence[MentorshipItem], user: int) -> list[str]:
    """One a line."""
    return [_line(item, user) for item in items] or ["There is none."]


def _line(item: MentorshipItem, user: int) -> str:
    mine = item.mentor == user
    other = f"{visible(item.other_name)} ({item.learner if mine else item.mentor})"
    match item.state:
        case MentorshipState.PROPOSED:
            stands = f"{other} asks you" if mine else f"you asked {other}"
        case MentorshipState.ACTIVE:
            stands = f"you mentor {other}" if mine else f"{other} mentors you"
            stands += "; they say it is over" if item.other_said else "; you said it is over" if item.said else ""
        case _:
            stands = f"with {other}: {item.state.name.lower().replace('_', ' ')}"
    where = f", conversation {item.conversation}" if item.conversation else ""
    words = f": “{visible(item.words)}”" if item.words and item.state is MentorshipState.PROPOSED else ""
    return f"{item.mentorship}  {visible(item.subject)}, {stands}{where}{words}"


MEETINGS: Final = ("proposed", "agreed", "held", "cancelled")
"""A meeting's states, by number."""


def together_lines(goals: Sequence[RecordView], meetings: Sequence[RecordView]) -> list[str]:
    """What the two want to reach, and when they meet, the next meeting first; each by the number that `goal` and `meet` take as --key."""
    lines = [f"     goal {one.key}: {_text(one, 1)}{' – reached' if one.fields.get(4) is True else ''}" for one in goals]
    for one in sorted(meetings, key=lambda view: (_number(view, 1), view.key)):
        state = _number(one, 5)
        where = f", {_text(one, 3)}" if _text(one, 3) else ""
        lines.append(
            f"     meeting {one.key}: {moment(_number(one, 1))}{where} – {MEETINGS[state] if state < len(MEETINGS) else 'unknown'}"
        )
    return lines


def _text(view: RecordView, field: int) -> str:
    return visible(str(view.fields.get(field, "")))


def _number(view: RecordView, field: int) -> int:
    value = view.fields.get(field, 0)
    return value if isinstance(value, int) else 0
