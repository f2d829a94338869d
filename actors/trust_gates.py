"""Which doors trust opens: what an operation asks for, checked where a mutation enters the journal, from a socket or by HTTP.

    operation ─▶ gate? ─none──────────────▶ submitted         reading, writing, answering, joining, learning: never a gate
                   ╰────▶ trust < threshold ─▶ Refusal(TRUST)  takes the operation's place: its number is consumed, a retry is told the same

A refusal says which threshold it was, where the person stands and how they get there; what was meant can nearly always be done otherwise.

Invariant: a trust at or above every threshold costs one comparison a mutation.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from typing import Final

from msgspec import Struct

from protocol.entities import SHARED_KINDS, TABLE
from protocol.operations import (
    AnswerMentorship,
    AnyOperation,
    Change,
    ChangeChannel,
    ChangeSettings,
    CreateChannel,
    CreateCommunity,
    Edit,
    EndMentorship,
    Post,
    ProposeMentorship,
    Release,
    Rename,
    Resolve,
    Say,
)


class Gate(Enum):
    """Something that asks for trust."""

    LINKS = "links"
    MENTIONS = "mentions"
    COMMUNITIES = "communities"
    MENTORING = "mentoring"
    """Asked of the mentor, where they are shown, proposed to and where they accept (`persistence.mentoring`): not of who asks for it."""


class Thresholds(Struct, frozen=True):
    """The least trust that each gate asks for, in [0, 1]."""

    links: float = 0.25
    """Somebody new with a proven address: a spammer needs an address for each account, a learner has one."""
    mentions: float = 0.30
    """For mentioning `mentions_many` people or more in one message: a quarter of a year here, or one full word of a teacher's."""
    mentions_many: int = 6
    communities: float = 0.15
    """Below what everybody begins with: only who was found to do harm lately founds none."""
    mentoring: float = 0.45
    """Out of reach without people who vouch: a mentor is alone with learners, many of them children."""

    @property
    def highest(self) -> float:
        """From here on no operation is looked at."""
        return max(self.links, self.mentions, self.communities)

    def of(self, gate: Gate) -> float:
        """The least trust for it."""
        match gate:
            case Gate.LINKS:
                return self.links
            case Gate.MENTIONS:
                return self.mentions
            case Gate.COMMUNITIES:
                return self.communities
            case Gate.MENTORING:
                return self.mentoring


OPEN: Final = Thresholds(0.0, 0.0, 1, 0.0, 0.0)
"""Nothing asks for trust."""

_LINK: Final = re.compile(r"[a-z][a-z0-9+.\-]{1,15}://\S|\bwww\.\S|[^\s/]\.[a-z]{2,24}/\S", re.IGNORECASE)
"""A scheme, `www.`, or a name with a path. Nothing in it repeats without a bound, so it is linear in the text."""
_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_SHARED: Final = frozenset(number for number, declaration in TABLE.items() if declaration.stream in SHARED_KINDS)
"""Entities that others read."""


def has_link(text: str) -> bool:
    """Whether somebody could follow it; also where it is written with full-width letters, or with characters that nobody sees."""
    return _LINK.search(_UNSEEN.sub("", unicodedata.normalize("NFKC", text))) is not None


def words_for_others(operation: AnyOperation) -> str:
    """What others would read of it; empty for what they do not."""
    match operation:
        case Say(text=text) | Post(text=text) | Edit(text=text):
            return text
        case CreateCommunity(name=name) | CreateChannel(name=name) | ChangeChannel(name=name):
            return name
        case ChangeSettings(name=name, settings=settings):
            return f"{name}\n{settings}"
        case Rename(display_name=name):
            return name
        case ProposeMentorship(subject=subject, words=words):
            return f"{subject}\n{words}"
        case AnswerMentorship(words=words) | EndMentorship(words=words):
            return words
        case Change(entity=entity, fields=fields) if entity in _SHARED:
            return bytes(fields).decode("utf-8", "replace")
        case Resolve(fields=fields):
            return bytes(fields).decode("utf-8", "replace")
        case _:
            return ""


def refuse(operation: AnyOperation, trust: float, thresholds: Thresholds) -> str:
    """Why this may not be done yet, in words for the person; empty: it may."""
    if trust >= thresholds.highest:
        return ""
    if trust < thresholds.communities and isinstance(operation, CreateCommunity):
        return describe(Gate.COMMUNITIES, trust, thresholds)
    if trust < thresholds.mentions and isinstance(operation, Post) and len(set(operation.mentions)) >= thresholds.mentions_many:
        return describe(Gate.MENTIONS, trust, thresholds)
    if trust < thresholds.links and isinstance(operation, Release):
        # What is let through is not looked at again, and may be what was refused for its link.
        return describe(Gate.LINKS, trust, thresholds, _RELEASING)
    if trust < thresholds.links and has_link(words_for_others(operation)):
        return describe(Gate.LINKS, trust, thresholds)
    return ""


def describe(gate: Gate, trust: float, thresholds: Thresholds, words: tuple[str, str] | None = None) -> str:
    """The threshold, where the person stands, how one gets there, and what can be done meanwhile. `words`: the gate's own, or others."""
    what, meanwhile = words or _WORDS[gate]
    return (
        f"{gate.value}: {what.format(many=thresholds.mentions_many)} asks for a trust of {thresholds.of(gate):.2f},"
        f" and yours is {trust:.2f}. It grows by itself with time; sooner when you confirm your e-mail address"
        " and when people here who know you vouch for you."
        f"{meanwhile.format(fewer=thresholds.mentions_many - 1)}"
    )


_RELEASING: Final = ("letting through what was kept unapplied, in which a link may be,", " You can write it anew, without a link, now.")
_WORDS: Final = {
    Gate.LINKS: ("writing a link", " Without the link you can send it now."),
    Gate.MENTIONS: ("mentioning {many} people or more at once", " You can send it now with {fewer} at most."),
    Gate.COMMUNITIES: ("founding a community", " Every open community is there for you to join."),
    Gate.MENTORING: ("mentoring", " You can learn, answer and help in every channel now."),
}
