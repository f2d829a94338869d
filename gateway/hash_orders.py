"""What is asked of who works with passwords, as data: obeyed in a thread of this process, or in one beside it.

    Hash · Compare · Weigh ─▶ obey ─▶ Hashed · Compared · Weighed

A refusal is an answer like others; what is raised is a fault.
"""

from __future__ import annotations

from enum import Enum
from functools import cache

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from msgspec import Struct

from gateway.options import Cost


class Verdict(Enum):
    """What comparing a password said."""

    WRONG = "wrong"
    RIGHT = "right"
    RIGHT_BUT_OLD = "right but old"
    """Right, and its hash was made at another cost: hash it again and store that."""


class Order(Struct, frozen=True, tag=True):
    """Root of all orders. None shows what it holds: it may be written into a log."""

    def __repr__(self) -> str:
        return type(self).__name__


class Hash(Order, frozen=True):
    """Answered by `Hashed`."""

    cost: Cost
    password: str


class Compare(Order, frozen=True):
    """Answered by `Compared`. `stored` that is no hash of ours is wrong, after the time that comparing with `nobody` takes."""

    cost: Cost
    stored: str
    nobody: str
    password: str


class Weigh(Order, frozen=True):
    """How hard a password is to guess for who knows these words. Answered by `Weighed`."""

    password: str
    words: tuple[str, ...]


class Hashed(Struct, frozen=True, tag=True):
    """The string to store."""

    stored: str


class Compared(Struct, frozen=True, tag=True):
    verdict: Verdict


class Weighed(Struct, frozen=True, tag=True):
    """As `gateway.password_strength.Strength`."""

    score: int
    warning: str


AnyOrder = Hash | Compare | Weigh
AnyDone = Hashed | Compared | Weighed


def obey(order: AnyOrder) -> AnyDone:
    """Takes tens of milliseconds of a core, and for `Weigh` of the interpreter."""
    match order:
        case Hash(cost, password):
            return Hashed(_hasher(cost).hash(password))
        case Compare(cost, stored, nobody, password):
            return Compared(_compare(_hasher(cost), stored, nobody, password))
        case Weigh(password, words):
            # 26 MiB of dictionaries, wanted only where passwords are set.
            from gateway.password_strength import measure

            found = measure(password, words)
            return Weighed(found.score, found.warning)


def _compare(hasher: argon2.PasswordHasher, stored: str, nobody: str, password: str) -> Verdict:
    try:
        hasher.verify(stored, password)
    except VerifyMismatchError:
        return Verdict.WRONG
    except (InvalidHashError, VerificationError):
        # What is stored is no hash of ours: an account whose password was disabled by hand. It takes the usual time all the same.
        return Verdict.WRONG if stored == nobody else _compare(hasher, nobody, nobody, password)
    if stored == nobody:
        return Verdict.WRONG
    return Verdict.RIGHT_BUT_OLD if hasher.check_needs_rehash(stored) else Verdict.RIGHT


@cache
def _hasher(cost: Cost) -> argon2.PasswordHasher:
    return argon2.PasswordHasher(time_cost=cost.rounds, memory_cost=cost.memory_kib, parallelism=cost.lanes, type=argon2.Type.ID)
