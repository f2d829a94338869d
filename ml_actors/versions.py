"""Which version answers whom, and how far apart two versions are. Pure.

    entries of the book ─▶ plans ─▶ choose(plan, key, ready) ─▶ the one who answers
                                      canary: percent of the keys       shadows: asked beside it, compared, never used

A key (a user, a stream) falls on the same side as long as the share is the same, and stays with the canary while the share grows.

Invariant: whoever answers is ready; a canary that is not leaves its share to the active version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from msgspec import Struct

from actors.inference import AnyResult, Echoed, Foreseen, Matches, Questions, Verdict
from actors.model_book import Card, Entry, State

SHADOWS_MAX: Final = 2
"""Of one name; the first ones. Each costs what the active version costs."""


class Plan(Struct, frozen=True):
    """What one model is served with. Titles (`moderation@3`); "": none."""

    active: str = ""
    canary: str = ""
    percent: int = 0
    shadows: tuple[str, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(title for title in (self.active, self.canary, *self.shadows) if title))


def plans(entries: Iterable[Entry]) -> dict[str, Plan]:
    """By name. A name without an active version has none: what is merely tried never answers alone."""
    by_name: dict[str, dict[State, list[Entry]]] = {}
    for entry in entries:
        by_name.setdefault(entry.card.name, {}).setdefault(entry.state, []).append(entry)
    return {name: plan for name, states in by_name.items() if (plan := _plan(states)) is not None}


def _plan(states: Mapping[State, list[Entry]]) -> Plan | None:
    if not states.get(State.ACTIVE):
        return None
    canaries = states.get(State.CANARY, [])
    shadows = states.get(State.SHADOW, [])
    return Plan(
        states[State.ACTIVE][0].card.title,
        canaries[0].card.title if canaries else "",
        canaries[0].percent if canaries else 0,
        tuple(entry.card.title for entry in shadows[:SHADOWS_MAX]),
    )


def choose(plan: Plan, name: str, key: int, ready: Collection[str]) -> str:
    """The version that answers this key; "": none is ready."""
    if plan.canary in ready and slot(name, key) < plan.percent:
        return plan.canary
    return plan.active if plan.active in ready else ""


def slot(name: str, key: int) -> int:
    """A place from 0 to 99 that a key has for a model: another one for each model, so that nobody is everybody's canary."""
    digest = hashlib.blake2b(key.to_bytes(16, "big", signed=True), digest_size=8, person=name.encode()[:16]).digest()
    return int.from_bytes(digest, "big") % 100


def newest(cards: Iterable[Card]) -> dict[str, Card]:
    """By name, the card with the highest version: numbers in it count as numbers (10 is after 9)."""
    found: dict[str, Card] = {}
    for card in cards:
        if card.name not in found or order(card.version) > order(found[card.name].version):
            found[card.name] = card
    return found


def order(version: str) -> list[tuple[int, int, str]]:
    """A sort key of versions."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|[a-z]+", version)]


def apart(one: AnyResult, other: AnyResult) -> float:
    """How far apart two answers to one question are, from 0 (the same to who asked) to 1."""
    match one, other:
        case Verdict(), Verdict():
            harms = one.scores.keys() | other.scores.keys()
            return max((abs(one.scores.get(harm, 0.0) - other.scores.get(harm, 0.0)) for harm in harms), default=0.0)
        case Matches(), Matches():
            return _disjoint({m.user for m in one.matches}, {m.user for m in other.matches})
        case Questions(), Questions():
            return _disjoint({(q.prompt, q.answer) for q in one.questions}, {(q.prompt, q.answer) for q in other.questions})
        case Foreseen(), Foreseen():
            if len(one.chances) != len(other.chances):
                return 1.0
            return max((abs(a - b) for a, b in zip(one.chances, other.chances, strict=True)), default=0.0)
        case Echoed(), Echoed():
            return float(one != other)
        case _:
            return 1.0


def _disjoint(one: set[object], other: set[object]) -> float:
    return 1.0 - len(one & other) / len(one | other) if one | other else 0.0
