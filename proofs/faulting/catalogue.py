"""What can go wrong, and the schedule of a round: drawn from a seed, the same for the same seed and round. Pure.

    draw(seed, round) ─▶ Strike, Strike, …     what, to whom, when, for how long

The first strike of a round walks through all kinds in an order of the seed, so that every kind comes; others join it by chance.

Invariant: every strike is over `ROUND_S` seconds after the round began, but for those that are alone.
"""

from __future__ import annotations

from random import Random

from msgspec import Struct

ROUND_S = 7.0
MORE_CHANCE = (0.55, 0.25)
"""That a second strike comes to the first, and a third to the second."""


class Kind(Struct, frozen=True):
    """One kind of fault. `seconds`: how long it lasts, from and to. `alone`: nothing else in its round. `places`: whether it has a gateway
    as its victim. `needs`: what the machine must allow for it (`disk`, `poor`)."""

    name: str
    what: str
    seconds: tuple[float, float] = (0.0, 0.0)
    alone: bool = False
    places: bool = False
    needs: str = ""


KINDS = (
    Kind("kill-gateway", "SIGKILL of a gateway", places=True),
    Kind("stop-gateway", "SIGSTOP of a gateway, then SIGCONT", (1.0, 4.0), places=True),
    Kind("drain-gateway", "SIGTERM to a gateway: it drains, and its supervisor starts another", places=True),
    Kind("kill-valkey", "SIGKILL of Valkey"),
    Kind("stop-valkey", "SIGSTOP of Valkey", (1.0, 4.0)),
    Kind("restart-valkey", "an orderly restart of Valkey, with all that it knew gone"),
    Kind("flush-valkey", "FLUSHALL"),
    Kind("overrun-valkey", "a gateway is slow to read, and Valkey's output buffer for pub/sub runs over", (1.5, 2.5), places=True),
    Kind("kill-postgres", "SIGKILL of the postmaster"),
    Kind("kill-backend", "SIGKILL of one of Postgres' backends: all of them restart"),
    Kind("stop-postgres", "SIGSTOP of every process of Postgres", (1.0, 4.0)),
    Kind("stop-backend", "SIGSTOP of one backend, whatever locks it holds", (1.0, 4.0)),
    Kind("terminate-backends", "pg_terminate_backend of every backend, now and again", (0.5, 3.0)),
    Kind("fill-disk", "Postgres' disk is full", (1.5, 3.5), needs="disk"),
    Kind("kill-parent", "SIGKILL of the parent process, and all go down with it; it is started again", alone=True),
    Kind("stop-parent", "SIGSTOP of the parent process: nobody restarts anything", (1.0, 4.0)),
    Kind("hold-clients", "the network drops all between clients and a gateway", (1.0, 5.0), places=True),
    Kind("hold-redis", "the network drops all between a gateway and Redis", (1.0, 5.0), places=True),
    Kind("hold-postgres", "the network drops all between a gateway and Postgres", (1.0, 5.0), places=True),
    Kind("deaf-clients", "the network drops what a gateway sends to its clients, and not what they send", (1.0, 5.0), places=True),
    Kind("mute-clients", "the network drops what clients send to a gateway, and not what it sends", (1.0, 5.0), places=True),
    Kind("deaf-redis", "the network drops what Redis sends to a gateway", (1.0, 5.0), places=True),
    Kind("mute-redis", "the network drops what a gateway sends to Redis", (1.0, 5.0), places=True),
    Kind(
        "deaf-postgres", "the network drops what Postgres answers to a gateway: what was committed is not heard of", (1.0, 5.0), places=True
    ),
    Kind("mute-postgres", "the network drops what a gateway asks of Postgres", (1.0, 5.0), places=True),
    Kind("delay-clients", "200 ms more each way between clients and a gateway", (2.0, 5.0), places=True),
    Kind("delay-redis", "200 ms more each way between a gateway and Redis", (2.0, 5.0), places=True),
    Kind("delay-postgres", "100 ms more each way between a gateway and Postgres", (2.0, 5.0), places=True),
    Kind("slow-clients", "40 kB/s between clients and a gateway, for each connection", (2.0, 5.0), places=True),
    Kind("slow-postgres", "100 kB/s between a gateway and Postgres, for each connection", (2.0, 5.0), places=True),
    Kind("cut-clients", "every connection to a gateway is reset, and whoever comes is refused", (0.0, 3.0), places=True),
    Kind("cut-redis", "a gateway's connections to Redis are reset, and new ones refused", (0.0, 4.0), places=True),
    Kind("cut-postgres", "a gateway's connections to Postgres are reset, and new ones refused", (0.0, 4.0), places=True),
    Kind("cut-poor", "the 2G link is cut in silence", (2.0, 4.0), needs="poor"),
    Kind("jump-gateway", "a gateway's wall clock jumps, and back", (1.0, 4.0), places=True),
    Kind("jump-clients", "the wall clocks of a third of the clients jump, and back", (1.0, 4.0)),
    Kind("stop-reading", "some clients stop reading while their room is flooded", (6.0, 7.0), alone=True),
    Kind("storm", "every client loses its connection at once"),
    Kind("roll", "every gateway is drained and restarted, one after the other", alone=True),
)
BY_NAME = {kind.name: kind for kind in KINDS}
JUMPS_S = (-7200.0, -3.0, 30.0, 300.0, 7200.0, 86_400.0 * 400)


class Strike(Struct, frozen=True):
    """One fault of a round. `gateway` -1: none in particular; `value` is the kind's own (how far a clock jumps)."""

    kind: str
    at_s: float
    for_s: float
    gateway: int = -1
    value: float = 0.0

    def __str__(self) -> str:
        where = f" {self.gateway + 1}" if self.gateway >= 0 else ""
        length = f" for {self.for_s:.1f} s" if self.for_s else ""
        by = f" by {self.value:+.0f} s" if self.value else ""
        return f"{self.kind}{where}{by} at {self.at_s:.1f} s{length}"


def draw(seed: int, number: int, gateways: int, have: frozenset[str], kinds: tuple[str, ...] = ()) -> tuple[Strike, ...]:
    """The strikes of round `number` (from 1), by time. `have`: of what kinds may need; `kinds`: only these."""
    able = [kind for kind in KINDS if (not kind.needs or kind.needs in have) and (not kinds or kind.name in kinds)]
    lap, place = divmod(number - 1, len(able))
    order = list(able)
    Random(f"{seed} lap {lap}").shuffle(order)
    chance = Random(f"{seed} round {number}")
    chosen = [order[place]]
    others = [kind for kind in able if not kind.alone and kind is not chosen[0]]
    if not chosen[0].alone:
        for odds in MORE_CHANCE:
            if not others or chance.random() >= odds:
                break
            chosen.append(others.pop(chance.randrange(len(others))))
    strikes = [_strike(kind, chance, gateways) for kind in chosen]
    return tuple(sorted(strikes, key=lambda strike: strike.at_s))


def _strike(kind: Kind, chance: Random, gateways: int) -> Strike:
    for_s = round(chance.uniform(*kind.seconds), 1)
    at_s = round(chance.uniform(0.5, max(0.6, min(3.0, ROUND_S - 1 - for_s))), 1)
    gateway = chance.randrange(gateways) if kind.places else -1
    value = chance.choice(JUMPS_S) if kind.name.startswith("jump") else 0.0
    return Strike(kind.name, at_s, for_s, gateway, value)
