"""A person's own trust, told to that person: each part with words, each door with what is missing.

    Parts + Thresholds ─▶ Explained          for its owner alone; never beside anybody else's

Invariant: the parts, added and multiplied as it says, are the score.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.trust import ADDRESS, DEEDS_MOST, START, TIME_MOST, VOUCHED_MOST, Parts
from actors.trust_gates import Gate, Thresholds


class Circumstances(Struct, frozen=True):
    """What the words need beside the parts: how many vouch, in how many communities; reports that still count."""

    endorsers: int = 0
    communities: int = 0
    upheld: int = 0
    seed: bool = False


class PartTold(Struct, frozen=True):
    """One part: what it gives now, and at most."""

    name: str
    points: float
    most: float
    words: str


class DoorTold(Struct, frozen=True):
    """One door. `missing`: what is needed still; 0 where it is open."""

    name: str
    needs: float
    open: bool
    missing: float
    words: str


class Explained(Struct, frozen=True):
    """The answer to "how far am I trusted, and why?". `trust` is the sum of the parts' points times `kept`."""

    trust: float
    kept: float
    parts: tuple[PartTold, ...]
    kept_words: str
    doors: tuple[DoorTold, ...]


def explain(parts: Parts, circumstances: Circumstances, thresholds: Thresholds) -> Explained:
    """What to tell."""
    told = (
        PartTold("start", round(parts.start, 3), START, "What everybody begins with."),
        PartTold("address", round(parts.address, 3), ADDRESS, _address(parts)),
        PartTold("time", round(parts.time, 3), TIME_MOST, "It grows by itself while you are here: half of it in three months."),
        PartTold("vouched", round(parts.vouched, 3), VOUCHED_MOST, _vouched(parts, circumstances)),
        PartTold("deeds", round(parts.deeds, 3), DEEDS_MOST, "Mentorings that you completed, and reports of yours that were right."),
    )
    doors = tuple(_door(gate, parts.score, thresholds) for gate in Gate)
    return Explained(parts.score, round(parts.kept, 3), told, _kept(parts, circumstances), doors)


def opened(before: float, after: float, thresholds: Thresholds) -> str:
    """What somebody is told whose trust rose so: the doors that are open to them now; empty: none more than before."""
    doors = [_DOORS[gate].format(many=thresholds.mentions_many) for gate in Gate if before < thresholds.of(gate) <= after]
    return f"You can {' and '.join(doors)} now." if doors else ""


def _address(parts: Parts) -> str:
    return "Your e-mail address is confirmed." if parts.address else "Confirm your e-mail address to have this part."


def _vouched(parts: Parts, circumstances: Circumstances) -> str:
    if circumstances.seed:
        return "You are one of those whose word others build on; this part is what others' words give you."
    if not circumstances.endorsers:
        return "Nobody vouches for you yet. People who know you from a community can; it counts by how far they are trusted themselves."
    people = "One person vouches" if circumstances.endorsers == 1 else f"{circumstances.endorsers} people vouch"
    where = "one community" if circumstances.communities == 1 else f"{circumstances.communities} communities"
    if parts.vouched < _LITTLE:
        return f"{people} for you, in {where}. They are not much trusted themselves yet, so it counts little until they are."
    return f"{people} for you, in {where}. Words fade by half in a year, unless they are said again."


def _kept(parts: Parts, circumstances: Circumstances) -> str:
    if parts.kept >= 1.0:
        return "Nothing speaks against you."
    if circumstances.upheld:
        reports = "A report about you was upheld" if circumstances.upheld == 1 else f"{circumstances.upheld} reports about you were upheld"
        return f"{reports}; it takes {1 - parts.kept:.0%} of the sum at present, and half as much in half a year."
    return f"Several reports of yours were rejected; that takes {1 - parts.kept:.0%} of the sum at present, and wears off in some months."


def _door(gate: Gate, trust: float, thresholds: Thresholds) -> DoorTold:
    needs = thresholds.of(gate)
    is_open = trust >= needs
    what = _DOORS[gate].format(many=thresholds.mentions_many)
    words = f"You can {what}." if is_open else f"You can {what} from {needs:.2f} on."
    return DoorTold(gate.value, needs, is_open, 0.0 if is_open else round(needs - trust, 3), words)


_LITTLE: Final = 0.02
_DOORS: Final = {
    Gate.LINKS: "write links",
    Gate.MENTIONS: "mention {many} people or more in one message",
    Gate.COMMUNITIES: "found communities",
    Gate.MENTORING: "be proposed as a mentor",
}
