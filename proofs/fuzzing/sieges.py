"""A running system besieged in every way we know, one way after the other, while a thousand good clients chat.

    servers up ─▶ people and rooms ─▶ crowd (a process) ─▶ rest ─▶ attack ─▶ attack ─▶ … ─▶ rest ─▶ what the crowd lived through

Settings are those of production, with one origin named. What the good clients hear is timed attack by attack: what hurts has a name.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import msgspec
import psutil
import trio

from bench.population import make_people, make_rooms
from gateway.tokens import KeySet, load_pem
from persistence.bridge import Bridge, BridgeOptions
from proofs.fuzzing import members, strangers
from proofs.fuzzing.crowd import Seat, Window
from proofs.fuzzing.field import Attack, Field, Verdict
from protocol.codec import encode
from protocol.frames import Hello
from protocol.values import Cursor
from supervisors.dev import Installation
from supervisors.tree import running

GOOD: Final = 1_000
ROOM: Final = 10
ROGUES: Final = 40
"""Rooms of their own are filled from the front: the rogues come first, in four rooms."""
P99_MAX_MS: Final = 200.0
REST_S: Final = 5.0
CONNECT_S: Final = 150.0
END_S: Final = 60.0
ORIGIN: Final = "https://learn.example"
ENVIRONMENT: Final = {
    "EDUCONNECT_LISTEN_ORIGINS": ORIGIN,
    "EDUCONNECT_LOG_LEVEL": "error",
    "EDUCONNECT_MODERATION_FLOODING": "false",
    "EDUCONNECT_TOKENS_LIFETIME_S": "3600",
}
SIEGES: Final[dict[str, Attack]] = {
    "bombs": members.bombs,
    "fragments": members.fragments,
    "caps": members.caps,
    "chatter": members.chatter,
    "tokens": strangers.tokens,
    "tickets": members.tickets,
    "replays": members.replays,
    "origins": strangers.origins,
    "slow_heads": strangers.slow_heads,
    "slow_readers": members.slow_readers,
    "half_open": strangers.half_open,
    "flood": strangers.flood,
}
"""By the name under which `docs/security.md` lists them."""


class Siege(msgspec.Struct):
    """One attack, and what the good clients lived through meanwhile."""

    name: str
    verdict: Verdict
    window: Window
    took_s: float
    timed: bool
    """Whether it was long enough, and the crowd large enough, for times to mean something."""

    @property
    def troubles(self) -> list[str]:
        """Every promise that was broken, in words; empty if none."""
        window = self.window
        checks = (
            (window.sockets_lost, f"good clients lost their sockets {window.sockets_lost} times"),
            (window.lost, f"{window.lost} deliveries of acknowledged words are missing"),
            (window.doubled or window.reordered, f"doubled {window.doubled}, reordered {window.reordered}"),
            (window.refused, f"{window.refused} words of good clients were refused"),
            (self.timed and window.p99_ms > P99_MAX_MS, f"good clients' p99 was {window.p99_ms:.0f} ms, above {P99_MAX_MS:.0f}"),
        )
        return [f"{self.name}: {words}" for words in (*self.verdict.broken, *(words for broken, words in checks if broken))]


class Outcome(msgspec.Struct):
    """All sieges of one system."""

    sieges: list[Siege]
    good: int
    restarts: int

    @property
    def troubles(self) -> list[str]:
        broken = [trouble for siege in self.sieges for trouble in siege.troubles]
        return broken + ([f"the gateway process ended {self.restarts} times"] if self.restarts else [])


async def besiege_all(say: Callable[[str], None], *, share: float = 1.0, good: int = GOOD, names: tuple[str, ...] = ()) -> Outcome:
    """Starts a system of its own, besieges it in every way or in those named, and ends it. `share` of everything is done."""
    with TemporaryDirectory() as folder:
        installation = Installation(Path(folder), port=0, environment=ENVIRONMENT)
        async with running(installation.spec()):
            field, seats = await _prepare(installation, good, share)
            pid = installation.gateways[0].pid
            async with _crowd(field.port, seats, Path(folder), say) as (mark, windows):
                done = []
                for name, attack in {"rest": _rest, **SIEGES}.items():
                    if names and name not in (*names, "rest"):
                        continue
                    mark(name)
                    began_s = trio.current_time()
                    verdict = await attack(field)
                    done.append((name, verdict, trio.current_time() - began_s))
                    say(f"{name}: {', '.join(f'{what} {figure}' for what, figure in verdict.figures.items())}")
                mark("afterwards")
                await trio.sleep(REST_S * share)
            told = {window.name: window for window in windows()}
            sieges = [Siege(name, verdict, told[name], took_s, share == 1.0) for name, verdict, took_s in done]
            return Outcome(sieges, len(seats), int(installation.gateways[0].pid != pid))


async def _rest(field: Field) -> Verdict:
    """Nobody attacks: what the others are compared with."""
    await trio.sleep(max(2.0, 2 * REST_S * field.share))
    return Verdict()


async def _prepare(installation: Installation, good: int, share: float) -> tuple[Field, list[Seat]]:
    """People and rooms in the system's database; who is good, and who is not."""
    bridge = Bridge(BridgeOptions(installation.dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        people = await bridge.run(partial(make_people, keys=installation.key_file, count=ROGUES + good), deadline_s=60.0)
        rooms = await bridge.run(partial(make_rooms, people=people, rooms=(ROGUES + good) // ROOM, members=ROOM), deadline_s=60.0)
        nursery.cancel_scope.cancel()
    foreign = rooms[ROGUES // ROOM :]
    seats = [
        Seat(f"127.8.{n // 200}.{1 + n % 200}", encode(Hello(1, person.token, person.device, (Cursor(room.stream, 0),))), room.stream)
        for n, (room, person) in enumerate((room, person) for room in foreign for person in room.people)
    ]
    url = installation.urls[0]
    port = urlsplit(url).port
    assert port is not None
    pem = load_pem(installation.key_file)
    streams = [room.stream for room in (*rooms[:2], *foreign[:8])]
    gateway = psutil.Process(installation.gateways[0].pid)
    field = Field(url, port, KeySet(pem, lifetime_s=3_600), pem, people[:ROGUES], streams, ORIGIN, gateway, share)
    return field, seats


@asynccontextmanager
async def _crowd(
    port: int, seats: list[Seat], folder: Path, say: Callable[[str], None]
) -> AsyncIterator[tuple[Callable[[str], None], Callable[[], list[Window]]]]:
    """The good clients, connected; within the block they chat. Yields how to name the attack, and how to hear what they lived through."""
    (folder / "seats").write_bytes(msgspec.json.encode(seats))
    command = [sys.executable, "-m", "proofs.fuzzing.crowd", str(port), str(folder / "seats")]
    windows: list[Window] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:  # noqa: ASYNC220 - it takes some ms, once
        assert crowd.stdin is not None and crowd.stdout is not None
        stdin, stdout = crowd.stdin, crowd.stdout

        def mark(name: str) -> None:
            stdin.write(f"mark {name}\n".encode())
            stdin.flush()

        try:
            with trio.fail_after(CONNECT_S):
                line = await trio.to_thread.run_sync(stdout.readline, abandon_on_cancel=True)
            if line.strip() != b"connected":
                raise ConnectionError(f"the good clients did not come in: {line!r}")
            say(f"{len(seats)} good clients chat")
            yield mark, lambda: windows
            stdin.close()
            with trio.fail_after(END_S):
                told = await trio.to_thread.run_sync(stdout.read, abandon_on_cancel=True)
            windows += msgspec.json.decode(told, type=list[Window])
        finally:
            if crowd.poll() is None:
                crowd.kill()
