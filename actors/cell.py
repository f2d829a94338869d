"""The vocabulary of actors: what one is, how it is addressed, and what it is lent.

    tell ─▶ inbox ─▶ receive(message) ─▶ effects through ports
            bounded   synchronous,        never wait
                      one at a time

An actor is an object with one method. It is *synchronous*: it decides, changes its own state, and asks ports for effects;
whatever takes time comes back later as another message. So an idle actor costs an object and no task, a turn cannot be
interleaved with another turn of the same actor, and a whole tree runs in a simulator from a seed.

Invariant: one actor's `receive` is never re-entered, and an exception in it reaches nobody but its supervisor.
Running actors lives in `supervisors.dispatcher`; this module only names things, so that every room may use them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

K = TypeVar("K", bound=Hashable)
M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)


class Ref(Protocol[M_contra]):
    """Where to send messages for one actor. Holding it keeps neither the actor nor its state alive."""

    def tell(self, message: M_contra, size_bytes: int = 0) -> bool:
        """Puts `message` in the inbox without waiting; False when its bound refused it or the actor has stopped (a dead letter).

        `size_bytes` counts against the inbox's bound in bytes.
        """
        ...

    def tell_control(self, message: M_contra) -> None:
        """Puts `message` in the control lane: handled before everything else, never refused while the actor lives.

        The lane has a bound all the same (`InboxSpec.control_max`): reaching it crashes the actor.
        """
        ...


class Timer(Protocol):
    """A message that will be told later, unless cancelled. Cancelling twice, or after it fired, does nothing."""

    def cancel(self) -> None: ...


class Actor(Protocol[M_contra]):
    """One thing's state, and the one place where each message to it is handled."""

    def receive(self, message: M_contra) -> None:
        """Handles one message. Raising means: drop this state, build a new actor from its factory, go on with the next message."""
        ...

    def passivate(self) -> bool:
        """Asked after an idle while: True if nothing is lost when this object goes (it comes back by replay)."""
        ...

    def stopped(self) -> None:
        """Told once, when the actor crashed, was passivated or stops for good: gives back what it holds (subscriptions, sockets)."""
        ...


class Context(Protocol[M_contra]):
    """What an actor is lent by whoever runs it: its own address, time, and the right to end itself.

    It belongs to the actor's place: the actor that is built after a crash gets the same one.
    """

    @property
    def self(self) -> Ref[M_contra]: ...

    def now(self) -> float:
        """Monotonic time in seconds, for deadlines and intervals."""
        ...

    def wall(self) -> float:
        """Unix time in seconds."""
        ...

    def random(self) -> float:
        """Uniform in [0, 1): jitter and sampling."""
        ...

    def ticket(self) -> int:
        """A number that no actor of this process was given before: names a question to a port, so that an answer to an actor which has
        crashed or gone since is none to the one in its place."""
        ...

    def after(self, delay_s: float, message: M_contra) -> Timer:
        """Tells `message` to this actor (control lane) once `delay_s` has passed; forgotten when the actor is rebuilt or stops."""
        ...

    def stop(self) -> None:
        """Ends this actor for good after the current message; later messages are dead letters."""
        ...


class Pool(Protocol[K_contra, M_contra]):
    """A supervised set of actors of one kind, by key. An actor is built when first addressed, and again after passivation or a crash."""

    def get(self, key: K_contra) -> Ref[M_contra]:
        """The actor of `key`, activated if need be."""
        ...

    def find(self, key: K_contra) -> Ref[M_contra] | None:
        """The actor of `key` if it is active now."""
        ...


Factory = Callable[[K, Context[M]], Actor[M]]
"""Builds an actor for a key: called at activation and after every crash, so state comes from ports and messages alone."""
