"""Jobs: work that a transaction asks for and that somebody does later, once to completion.

    transaction ─enqueue─▶ row ─claim (SKIP LOCKED, a lease)─▶ job actor ─▶ done: the row goes, in the transaction of the effect
                                        ▲                          ╰─ failed: again later, ever more slowly; at last a dead letter
                                        ╰── lease over: its worker was killed

Invariant: a job's effect in the database and the end of its row are one transaction, so it is never lost and never done twice; what it does
to the world outside (mail, push) is done at least once, and carries the job's effect key, by which a repeat is recognised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Annotated, Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

T = TypeVar("T")
P_co = TypeVar("P_co", covariant=True)

KIND_LENGTH_MAX = 60
KEY_LENGTH_MAX = 200
PAYLOAD_BYTES_MAX = 64 * 1024

ORDERED: Final[ContextVar[bool]] = ContextVar("ORDERED", default=False)
"""Set in the context of a unit of work that ordered jobs, so that workers are woken when it has committed."""

JOBS_TOPIC: Final = "jobs"
"""Announced to all processes when jobs were ordered or cancelled: whoever works looks at once."""

_encoder = msgspec.msgpack.Encoder()


def pack(payload: Struct) -> Raw:
    """The bytes of a kind's own struct, as `Order.payload` wants them."""
    return Raw(_encoder.encode(payload))


class Order(Struct, frozen=True):
    """Asks for one job. `payload` is the msgpack bytes of the kind's own struct.

    `key`: while a job of this kind with this key is waiting, another order changes nothing: that job stands for both, and begins after both
    transactions. `priority`: lower goes first. `deadline_s`: no attempt begins later than this; what was not done by then is a dead letter;
    0: whenever.
    """

    kind: Annotated[str, Meta(max_length=KIND_LENGTH_MAX)]
    payload: Raw
    delay_s: float = 0.0
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    key: Annotated[str, Meta(max_length=KEY_LENGTH_MAX)] = ""
    deadline_s: float = 0.0
    space: int = 0
    """The community on whose behalf it is done; 0: none's."""


class LeaseLost(Exception):
    """This attempt holds its job no more: the lease was over and another worker took it, or it was cancelled. What `finish` was to write
    has not happened. A run lets it pass."""


class Hopeless(Exception):
    """Raised by a run that knows that trying again cannot help: the job is a dead letter at once."""


class Work(Protocol[P_co]):
    """One attempt at a job, as its kind's `run` sees it."""

    @property
    def payload(self) -> P_co: ...

    @property
    def effect_key(self) -> str:
        """The same for every attempt, and no other job's: tell it to the world outside (a message id, an idempotency key)."""
        ...

    @property
    def attempt(self) -> int:
        """From 1 on."""
        ...

    @property
    def space(self) -> int: ...

    async def finish(self, effect: Callable[[Any], Awaitable[T]]) -> T:
        """Ends the job: runs `effect(tx)` in the transaction that deletes its row; what it returned. At most once in a run, as its last
        act; a run that returns without it ends the job with no effect in the database.

        `effect` gets an asyncpg connection that it shares with other jobs' effects: it awaits nothing else, changes no session state, and
        may be called again on another connection, if what it did was undone. Raises `LeaseLost`, `StorageError`, or what `effect` raised.
        """
        ...

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        """How far it is, for whoever looks. Never waits; written down about once a second."""
        ...


class Way(Struct, frozen=True):
    """How jobs of a kind are tried: the n-th retry comes after a random part of `first_s` doubled n times, at most `most_s`."""

    first_s: float = 2.0
    most_s: float = 3600.0
    at_once_max: int = 8
    """Of this kind in one process."""

    def delay_s(self, attempt: int, random: float) -> float:
        """How long to wait after the attempt with this number (from 1 on) failed; `random` in [0, 1). Full jitter."""
        return random * min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 60))


class JobKind(Struct, frozen=True):
    """What `Order.kind` names: whose payload it is, who runs it, and how often and for how long at most."""

    name: str
    payload: type[Struct]
    run: Callable[[Work[Any]], Awaitable[None]]
    attempts_max: int = 12
    timeout_s: float = 30.0
    """One run; then it is cancelled and has failed."""
    way: Way = Way()


class Cron(Struct, frozen=True):
    """Orders a job by the clock, once however many nodes there are. `at`: five fields as cron has them, in UTC; or `every_s`.

    A tick that finds the job of an earlier one waiting or running is skipped; ticks that passed while no node was up are made up for
    by one.
    """

    name: str
    kind: str
    payload: Struct
    at: str = ""
    every_s: float = 0.0
