"""One cell's place and people, and how samples are registered.

    @operation(Delete) / @command(Follow) / @route("auth.log_in")      one sample each, or several with a word that tells them apart

Invariant: a command that declares what it needs and has no sample is a hole; the matrix counts it and fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from msgspec import Struct

from proofs.matrixing.ground import Actor, Ground, Login, Place
from proofs.matrixing.speaking import Judge, Request, Talker
from proofs.matrixing.standing import Manner, Where
from protocol.codes import Code
from protocol.frames import AnyCommand, Command
from protocol.operations import AnyOperation, Operation
from protocol.permissions import Needs


class Site(Struct, frozen=True):
    """Where a cell is tried. `place` is the community that is named; `talker` the actor's socket, where they have one."""

    ground: Ground
    actor: Actor
    place: Place
    where: Where
    port: int
    source: str
    """The loopback address of this actor's sockets."""
    watcher: Talker
    """A socket of the place's owner, who follows its channel."""
    writer: Talker
    """A socket of a mentor of the place."""
    talker: Talker | None = None

    @property
    def is_own(self) -> bool:
        return self.where is Where.OWN

    @property
    def user(self) -> int:
        return self.actor.user

    @property
    def other(self) -> Login:
        """Whoever a command about oneself must not reach."""
        return self.place.owner


class Ask(Struct, frozen=True):
    """A command for an open socket, and how its answers are read."""

    command: AnyCommand
    judge: Judge


class Run(Struct, frozen=True):
    """A conversation of its own: what came of it."""

    run: Callable[[], Awaitable[Code]]


OperationSample = Callable[[Site], Awaitable[AnyOperation]]
CommandSample = Callable[[Site], Awaitable[Ask | Run]]
RouteSample = Callable[[Site], Awaitable[Request]]
S = TypeVar("S", bound=Callable[[Site], Awaitable[object]])


class Sample(Struct, frozen=True):
    """How one command is asked for. `word`: tells several of one command apart.

    `foreign`: it can name something of somebody else's, or of another community. `mine`: it is about what the actor wrote themselves.
    `needs`: where it is not the command's own. `done`: whether the value of what was done says that anything was. `without`: standings of
    whom there is no such thing.
    """

    subject: str
    word: str
    make: Callable[[Site], Awaitable[object]]
    foreign: bool = True
    mine: bool = False
    needs: Needs | None = None
    done: Callable[[int], bool] = lambda value: True
    without: frozenset[Manner] = frozenset()
    past: frozenset[Code] = frozenset()
    """Codes of a refusal that only who was let in can get: of a proof that cannot be made here, for example."""
    ended_too: bool = False
    """Of a session that is over it is done as well."""
    strict: bool = True
    """An unknown field in it is refused, as everywhere but in what a newer client may open with."""

    @property
    def name(self) -> str:
        return f"{self.subject} {self.word}".strip()


OPERATIONS: Final[dict[type[Operation], list[Sample]]] = {}
COMMANDS: Final[dict[type[Command], list[Sample]]] = {}
ROUTES: Final[dict[str, list[Sample]]] = {}


def operation(
    kind: type[Operation],
    word: str = "",
    *,
    foreign: bool = True,
    mine: bool = False,
    needs: Needs | None = None,
    done: Callable[[int], bool] = lambda value: True,
    without: frozenset[Manner] = frozenset(),
) -> Callable[[OperationSample], OperationSample]:
    """Registers how an operation is asked for."""

    def register(make: OperationSample) -> OperationSample:
        OPERATIONS.setdefault(kind, []).append(Sample(kind.__name__, word, make, foreign, mine, needs, done, without))
        return make

    return register


def command(
    kind: type[Command], word: str = "", *, foreign: bool = True, mine: bool = False, needs: Needs | None = None
) -> Callable[[CommandSample], CommandSample]:
    """Registers how a command is asked for."""
    strict = kind.__struct_config__.forbid_unknown_fields

    def register(make: CommandSample) -> CommandSample:
        COMMANDS.setdefault(kind, []).append(Sample(kind.__name__, word, make, foreign, mine, needs, strict=strict))
        return make

    return register


def route(
    endpoint: str,
    word: str = "",
    *,
    foreign: bool = False,
    mine: bool = False,
    needs: Needs | None = None,
    ended_too: bool = False,
    past: tuple[Code, ...] = (),
) -> Callable[[RouteSample], RouteSample]:
    """Registers how a route is asked for."""

    def register(make: RouteSample) -> RouteSample:
        sample = Sample(endpoint, word, make, foreign, mine, needs=needs, ended_too=ended_too, past=frozenset(past))
        ROUTES.setdefault(endpoint, []).append(sample)
        return make

    return register
