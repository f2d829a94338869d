"""A stage for claims about actors: a clock that is turned by hand, and actors that do what their messages say.

Every message is an `Act` with a number; what happened is `Stage.told`, a list of (key, number). The dispatcher is the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actors.cell import Context, Ref
from supervisors.pool import CellPool
from supervisors.turns import Turns


class Scripted(Exception):
    """A crash that the script asked for."""


@dataclass(frozen=True)
class Act:
    number: int
    do: Callable[[Player], object] | None = None


@dataclass
class Player:
    """An actor that writes down what it is told, and does it."""

    stage: Stage
    key: str
    context: Context[Act]
    acting: bool = False

    def receive(self, message: Act) -> None:
        assert not self.acting, "a turn inside a turn"
        assert self.stage.players.get(self.key) is self, "two actors in one place"
        self.acting = True
        try:
            self.stage.told.append((self.key, message.number))
            if message.do is not None:
                message.do(self)
        finally:
            self.acting = False

    def passivate(self) -> bool:
        self.stage.asked_to_leave.append(self.key)
        return self.stage.may_leave(self.key)

    def stopped(self) -> None:
        assert self.stage.players.pop(self.key) is self, "told twice that it stopped"
        self.stage.stopped.append(self.key)
        self.stage.on_stopped(self.key)


@dataclass
class Stage:
    """The world of the players."""

    time_s: float = 1000.0
    told: list[tuple[str, int]] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    asked_to_leave: list[str] = field(default_factory=list)
    crashes: list[tuple[str, Exception]] = field(default_factory=list)
    dead_letters: list[tuple[object, int]] = field(default_factory=list)
    players: dict[str, Player] = field(default_factory=dict)
    may_leave: Callable[[str], bool] = lambda key: True
    on_stopped: Callable[[str], object] = lambda key: None
    on_build: Callable[[str, Context[Act]], object] = lambda key, context: None

    def __post_init__(self) -> None:
        self.turns = Turns(
            clock=lambda: self.time_s,
            wall=lambda: 1_700_000_000.0 + self.time_s,
            random=lambda: 0.5,
            on_crash=lambda pool, key, cause: self.crashes.append((str(key), cause)),
            on_dead_letter=lambda pool, key, message, count: self.dead_letters.append((message, count)),
        )

    def pool(self, name: str = "player", **policy: Any) -> CellPool[str, Act]:
        return self.turns.pool(name, self.build, **policy)

    def build(self, key: str, context: Context[Act]) -> Player:
        self.built.append(key)
        self.on_build(key, context)
        player = self.players[key] = Player(self, key, context)
        return player

    def run(self) -> None:
        """Lets everybody act until nobody has anything to do, at this instant."""
        self.turns.advance()
        for _ in range(10_000):
            if not self.turns.ready:
                return
            self.turns.run_ready(100)
        raise AssertionError("the actors never come to rest")

    def check(self) -> None:
        """Raises what went wrong inside an actor without being in the script: the supervisor caught that too."""
        for _, cause in self.crashes:
            if not isinstance(cause, Scripted):
                raise cause
        assert self.turns.hook_failures == 0, "a stopped() or a report crashed"

    def wait(self, seconds: float) -> None:
        """Lets time pass, stopping at every deadline on the way."""
        end_s = self.time_s + seconds
        self.run()
        while (due_s := self.turns.next_deadline_s()) <= end_s:
            self.time_s = max(self.time_s, due_s)
            self.run()
        self.time_s = end_s


def crash(player: Player) -> None:
    raise Scripted(f"{player.key} was told to crash")


def stop(player: Player) -> None:
    player.context.stop()


def tell(ref: Ref[Act], number: int) -> Callable[[Player], object]:
    return lambda player: ref.tell(Act(number))
