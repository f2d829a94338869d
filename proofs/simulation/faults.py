"""How bad a simulated world is: one value, drawn from the seed, so that some runs are calm and others are storms."""

from __future__ import annotations

from dataclasses import dataclass

from proofs.simulation.world import World


@dataclass
class Faults:
    """Probabilities per occasion; `heal` turns all of them off."""

    link_drop: float = 0.0
    link_double: float = 0.0
    link_delay_s: float = 0.01
    link_away: bool = False
    store_away: float = 0.0
    journal_full: float = 0.0
    """It has no room for a mutation, and for the next one it may have."""
    journal_refuses: float = 0.0
    """The transaction does not happen, and everybody in it is told so."""
    journal_unsure: float = 0.0
    """The transaction happens, but its answer is lost: it is submitted again, and found done."""
    disk_delay_s: float = 0.005
    stalled_until_s: float = 0.0
    """Until then Postgres takes everything and answers nothing."""
    socket_delay_s: float = 0.1
    slow_reader: float = 0.0
    """A client stops reading for a while when a message arrives."""
    last_word_lost: float = 0.0
    """A proxy passes the close code on, and not the Goodbye before it."""
    says_twice: float = 0.0
    """A server of a later version says `Draining` again."""
    renewal_fails: float = 0.0
    """The way to a new token is not open now."""

    @staticmethod
    def draw(world: World) -> Faults:
        """A mixture: each kind of fault is absent, rare or frequent."""

        def level(most: float) -> float:
            return world.chance.choice((0.0, most / 10, most))

        return Faults(
            link_drop=level(0.5),
            link_double=level(0.3),
            link_delay_s=world.chance.choice((0.002, 0.02, 0.5)),
            store_away=level(0.2),
            journal_full=level(0.2),
            journal_refuses=level(0.2),
            journal_unsure=level(0.2),
            disk_delay_s=world.chance.choice((0.0005, 0.005, 0.1)),
            socket_delay_s=world.chance.choice((0.005, 0.1, 0.8)),
            slow_reader=level(0.05),
            last_word_lost=level(0.5),
            says_twice=level(1.0),
            renewal_fails=level(0.5),
        )

    def heal(self) -> None:
        """From here on the world is kind."""
        self.link_drop = self.link_double = self.store_away = 0.0
        self.journal_full = self.journal_refuses = self.journal_unsure = self.slow_reader = 0.0
        self.last_word_lost = self.says_twice = self.renewal_fails = self.stalled_until_s = 0.0
        self.link_away = False
