"""The port of trust: what a person may ask about their own, and what the platform's staff say about whose word others build on.

Invariant: nobody but its owner learns a score, and there is no list of scores.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from actors.accounts import Caller, Claims
from actors.trust_words import Explained

SEEDS_MAX = 10_000
SEEDS_LISTED_MAX = 200


class Seed(Struct, frozen=True):
    """Somebody whose word others build on, and who said so when (Unix seconds)."""

    user: int
    display_name: str
    named_by: int
    at: int


class SeedPage(Struct, frozen=True):
    """Seeds, by ascending account. `more`: there are others behind the last one."""

    seeds: tuple[Seed, ...]
    more: bool


class TrustBook(Protocol):
    """`persistence.trust_book.PostgresTrust`. All of it may raise `StorageError`."""

    async def explain(self, user: int) -> Explained | None:
        """A person's trust, told to that person; None: there is no such account."""
        ...

    async def list_seeds(self, after: int) -> SeedPage:
        """At most `SEEDS_LISTED_MAX`."""
        ...

    async def name_seed(self, claims: Claims, user: int, caller: Caller) -> bool:
        """Names somebody; again changes nothing. False: no such account, or there are `SEEDS_MAX` already."""
        ...

    async def unname_seed(self, claims: Claims, user: int, caller: Caller) -> bool:
        """Takes it back. False: they were none."""
        ...
