"""The hand that strikes: carries out a round's strikes and takes each of them back.

    Strike ─▶ what it does to the stage ─▶ healed: when it was taken back, and what nothing could be promised of meanwhile

A kill is healed by the system's own supervisors, so it counts from the kill; a fault that lasts counts from the moment in which it is
taken back; the parent from the moment in which it is started again, and stands.

Invariant: whatever was stopped goes on, whatever was shut is open, and whatever was filled is empty when `strike` ends, however it ends.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from random import Random

import asyncpg
import trio
from msgspec import Struct

from actors.storage_port import StorageError
from gateway.redis_connection import Connection, RedisError, Way, open_connection, parse_address
from persistence.bridge import Bridge
from proofs.faulting import crew
from proofs.faulting.catalogue import Strike
from proofs.faulting.seams import Conditions
from proofs.faulting.stage import OPEN, Stage
from proofs.faulting.steering import Steered

FOUND_S = 10.0
BACK_S = 30.0
"""How long a process that was ended may take to be there again before a round goes on without it."""
LOOK_S = 0.02
HELD = Conditions(held=True)
TERMINATE_EVERY_S = 0.4
STALLED_SHARE = 0.1
FLOOD_PER_S = 40.0
"""Posts of 4,000 characters into one room: some 120 kB/s for each who follows it: one that does not read is full within two seconds."""
JUNK_BYTES = 256 * 1024
EVERYWHERE = -1

Crew = Steered[crew.Order, crew.Answer]


class Mark(Struct, frozen=True):
    """What a strike leaves in the round's record."""

    strike: Strike
    healed_at: float
    note: str = ""


class Hand:
    """See the module. `windows`: when nothing was promised of a gateway's deliveries; `stalled`: the devices that did not read."""

    def __init__(
        self,
        stage: Stage,
        crews: Sequence[Crew],
        rooms: Mapping[int, Sequence[int]],
        devices: Sequence[int],
        bridge: Bridge,
        cut_poor: Callable[[bool], Awaitable[None]] | None = None,
    ) -> None:
        """`rooms`: channels that bear a flood, and who follows them. `cut_poor(True)` takes the poor link away, `cut_poor(False)` gives it
        back."""
        self._stage = stage
        self._crews = crews
        self._rooms = rooms
        self._devices = devices
        self._bridge = bridge
        self.windows: list[crew.Window] = []
        self.marks: list[Mark] = []
        self.spans: list[tuple[float, float]] = []
        """A flood that everybody read, the same while some did not, and again with all."""
        self._poor = cut_poor
        self._healed_events: dict[Strike, trio.Event] = {}
        self._over_events: dict[Strike, trio.Event] = {}

    async def play(self, strikes: Sequence[Strike], chance: Random, nursery: trio.Nursery) -> float:
        """All strikes of a round, each at its time, in `nursery`. Returns as soon as the last is healed, and when that was; what was killed
        may still be on its way back (`settle`)."""
        self.windows.clear()
        self.marks.clear()
        self.spans.clear()
        self._healed_events = {strike: trio.Event() for strike in strikes}
        self._over_events = {strike: trio.Event() for strike in strikes}
        began = trio.current_time()
        for strike in strikes:
            nursery.start_soon(self._strike, strike, began, Random(chance.random()))
        for event in self._healed_events.values():
            await event.wait()
        return max((mark.healed_at for mark in self.marks), default=time.monotonic())

    async def settle(self) -> None:
        """Waits until whatever a round has killed is there again."""
        for event in self._over_events.values():
            await event.wait()

    async def _strike(self, strike: Strike, began: float, chance: Random) -> None:
        await trio.sleep_until(began + strike.at_s)
        name, _, seam = strike.kind.partition("-")
        acts: dict[str, Callable[[Strike, Random], Awaitable[str]]] = {
            "kill-gateway": self._end_gateway,
            "stop-gateway": self._stop_gateway,
            "drain-gateway": self._end_gateway,
            "kill-valkey": self._end_valkey,
            "stop-valkey": self._stop_valkey,
            "restart-valkey": self._end_valkey,
            "flush-valkey": self._flush,
            "overrun-valkey": self._overrun,
            "kill-postgres": self._kill_postgres,
            "kill-backend": self._kill_postgres,
            "stop-postgres": self._stop_postgres,
            "stop-backend": self._stop_postgres,
            "terminate-backends": self._terminate,
            "fill-disk": self._fill_disk,
            "kill-parent": self._kill_parent,
            "stop-parent": self._stop_parent,
            "cut-poor": self._cut_poor,
            "jump-gateway": self._jump_gateway,
            "jump-clients": self._jump_clients,
            "stop-reading": self._stop_reading,
            "storm": self._storm,
            "roll": self._roll,
        }
        act = acts.get(strike.kind)
        if act is None:
            assert seam in ("clients", "redis", "postgres"), strike.kind
            act = self._cut if name == "cut" else self._bend
        note = await act(strike, chance)
        self._healed(strike, time.monotonic(), note)
        self._over_events[strike].set()

    def _healed(self, strike: Strike, at: float, note: str = "") -> None:
        """The first time counts."""
        if not self._healed_events[strike].is_set():
            self.marks.append(Mark(strike, at, note))
            self._healed_events[strike].set()

    @contextmanager
    def _window(self, gateway: int) -> Iterator[None]:
        """Nothing is promised of this gateway's deliveries in the block."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.windows.append(crew.Window(gateway, begin, time.monotonic()))

    # Gateways

    async def _end_gateway(self, strike: Strike, _: Random) -> str:
        number = signal.SIGKILL if strike.kind == "kill-gateway" else signal.SIGTERM
        return await self._restart(strike.gateway, number, lambda: self._healed(strike, time.monotonic()))

    async def _roll(self, _: Strike, __: Random) -> str:
        began = time.monotonic()
        for gateway in range(self._stage.gateways):
            await self._restart(gateway, signal.SIGTERM, lambda: None)
        return f"it took {time.monotonic() - began:.0f} s"

    async def _restart(self, gateway: int, number: signal.Signals, struck: Callable[[], None]) -> str:
        """Ends a gateway, and waits until its supervisor has started another."""
        pid = await self._found(lambda: self._stage.gateway_pid(gateway))
        if not pid:
            return "no such process"
        with self._window(gateway):
            os.kill(pid, number)
            struck()
            with trio.move_on_after(BACK_S):
                await self._stage.wait_gateway(gateway, pid)
        return ""

    async def _stop_gateway(self, strike: Strike, _: Random) -> str:
        pid = await self._found(lambda: self._stage.gateway_pid(strike.gateway))
        with self._window(strike.gateway):
            await self._pause([pid] if pid else [], strike.for_s)
        return "" if pid else "no such process"

    async def _jump_gateway(self, strike: Strike, _: Random) -> str:
        self._stage.set_clock(strike.gateway, strike.value)
        try:
            await trio.sleep(strike.for_s)
        finally:
            self._stage.set_clock(strike.gateway, 0.0)
        return ""

    # Valkey

    async def _end_valkey(self, strike: Strike, _: Random) -> str:
        pid = await self._found(self._stage.valkey_pid)
        if pid:
            os.kill(pid, signal.SIGKILL if strike.kind == "kill-valkey" else signal.SIGTERM)
        return "" if pid else "no such process"

    async def _stop_valkey(self, strike: Strike, _: Random) -> str:
        pid = await self._found(self._stage.valkey_pid)
        await self._pause([pid] if pid else [], strike.for_s)
        return "" if pid else "no such process"

    async def _flush(self, _: Strike, __: Random) -> str:
        return await self._tell_valkey(("FLUSHALL",))

    async def _overrun(self, strike: Strike, chance: Random) -> str:
        """The gateway's side takes nothing while its own heartbeat channel is filled with rubbish."""
        seam = f"{self._stage.names[strike.gateway]}:redis"
        note = await self._tell_valkey(("CONFIG", "SET", "client-output-buffer-limit", "pubsub 65536 32768 1"))
        try:
            await self._stage.set_way(seam, down=HELD)
            ends = trio.current_time() + strike.for_s
            while trio.current_time() < ends:
                note = await self._litter(chance) or note
                await trio.sleep(0.2)
        finally:
            with trio.CancelScope(shield=True):
                await self._stage.set_way(seam, down=OPEN)
                await self._tell_valkey(("CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60"))
        return note

    async def _litter(self, chance: Random) -> str:
        try:
            connection = await self._valkey()
        except RedisError as error:
            return f"Valkey was away: {error}"
        try:
            channels = await connection.ask("PUBSUB", "CHANNELS", "heart:v1:*")
            for channel in channels:
                for _ in range(4):
                    await connection.ask("PUBLISH", channel, chance.randbytes(JUNK_BYTES))
            said = (await connection.ask("INFO", "stats")).decode()
            over = next((line for line in said.splitlines() if line.startswith("client_output_buffer_limit_disconnections")), "")
            return f"Valkey hung up on {over.rpartition(':')[2]}"
        except Exception as error:  # noqa: BLE001 - another strike may end this one
            return f"Valkey was away: {error!r}"
        finally:
            await connection.close()

    async def _tell_valkey(self, *commands: tuple[str, ...]) -> str:
        try:
            connection = await self._valkey()
            try:
                for command in commands:
                    await connection.ask(*command)
            finally:
                await connection.close()
        except Exception as error:  # noqa: BLE001 - another strike may have ended it
            return f"Valkey was away: {error!r}"
        return ""

    async def _valkey(self) -> Connection:
        return await open_connection(Way(parse_address(f"unix://{self._stage.redis_path}"), "faults"))

    # Postgres

    async def _kill_postgres(self, strike: Strike, chance: Random) -> str:
        with self._window(EVERYWHERE):
            if strike.kind == "kill-backend":
                pids = self._stage.backend_pids()
                pid = chance.choice(pids) if pids else 0
            else:
                pid = await self._found(self._stage.postmaster_pid)
            if not pid:
                return "no such process"
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._healed(strike, time.monotonic())
            await trio.sleep(0.2)  # the supervisor has to see it first
            with trio.move_on_after(FOUND_S):
                await self._answers()
        return ""

    async def _stop_postgres(self, strike: Strike, chance: Random) -> str:
        pids = self._stage.postgres_pids()
        if strike.kind == "stop-backend":
            backends = self._stage.backend_pids()
            pids = [chance.choice(backends)] if backends else []
        with self._window(EVERYWHERE):
            await self._pause(pids, strike.for_s)
        return "" if pids else "no such process"

    async def _terminate(self, strike: Strike, _: Random) -> str:
        async def work(connection: asyncpg.Connection) -> int:
            sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where backend_type = 'client backend' and pid <> $1"
            return int(await connection.fetchval(sql, connection.get_server_pid()))

        ended = 0
        with self._window(EVERYWHERE):
            ends = trio.current_time() + strike.for_s
            while True:
                with suppress(StorageError):
                    ended += await self._bridge.run(work, deadline_s=2.0)
                if trio.current_time() >= ends:
                    break
                await trio.sleep(TERMINATE_EVERY_S)
        return f"{ended} terminated"

    async def _fill_disk(self, strike: Strike, _: Random) -> str:
        with self._window(EVERYWHERE):
            with self._stage.full_disk():
                ends = trio.current_time() + strike.for_s
                refused = await self._wants_room()
                await trio.sleep_until(ends)
            self._healed(strike, time.monotonic(), refused)
            with trio.move_on_after(FOUND_S):
                await self._answers()
        return ""

    async def _wants_room(self) -> str:
        """What Postgres says to who wants more than what it has reserved."""

        async def work(connection: asyncpg.Connection) -> None:
            await connection.execute("create temp table room on commit drop as select repeat(n::text, 500) from generate_series(1, 9999) n")

        try:
            await self._bridge.run(work, deadline_s=2.0)
        except StorageError as error:
            return f"Postgres said: {str(error).splitlines()[0]}"
        return "Postgres found room"

    async def _answers(self) -> None:
        """Waits until Postgres writes again."""

        async def work(connection: asyncpg.Connection) -> int:
            return int(await connection.fetchval("select 1"))

        while True:
            with suppress(StorageError):
                await self._bridge.run(work, deadline_s=1.0)
                return
            await trio.sleep(0.05)

    # The parent

    async def _kill_parent(self, strike: Strike, _: Random) -> str:
        with self._window(EVERYWHERE):
            self._stage.kill_parent()
            await self._stage.wait_parent_gone()
            fell_at = time.monotonic()
            await self._stage.start_house()
            self._healed(strike, time.monotonic(), f"it stood {time.monotonic() - fell_at:.1f} s later")
        return ""

    async def _stop_parent(self, strike: Strike, _: Random) -> str:
        await self._pause([self._stage.parent], strike.for_s)
        return ""

    # Networks

    async def _bend(self, strike: Strike, _: Random) -> str:
        """Holds, delays or slows one seam of one gateway, in one direction or both."""
        what, _dash, seam = strike.kind.partition("-")
        name = f"{self._stage.names[strike.gateway]}:{'client' if seam == 'clients' else seam}"
        bent = {
            "delay": Conditions(delay_s=0.1 if seam == "postgres" else 0.2),
            "slow": Conditions(rate_bytes_s=100_000 if seam == "postgres" else 40_000),
        }.get(what, HELD)
        up = bent if what != "deaf" else OPEN
        down = bent if what != "mute" else OPEN
        touched = self._window(strike.gateway) if seam != "redis" else _nothing()
        with touched:
            try:
                await self._stage.set_way(name, up, down)
                await trio.sleep(strike.for_s)
            finally:
                with trio.CancelScope(shield=True):
                    await self._stage.set_way(name, OPEN, OPEN)
        return ""

    async def _cut(self, strike: Strike, _: Random) -> str:
        seam = strike.kind.partition("-")[2]
        name = f"{self._stage.names[strike.gateway]}:{'client' if seam == 'clients' else seam}"
        with self._window(strike.gateway) if seam == "postgres" else _nothing():
            try:
                cut = await self._stage.set_way(name, refused=True, cut=True)
                await trio.sleep(strike.for_s)
            finally:
                with trio.CancelScope(shield=True):
                    await self._stage.set_way(name, refused=False)
        return f"{cut} cut"

    async def _cut_poor(self, strike: Strike, _: Random) -> str:
        if self._poor is None:
            return "there is no poor link"
        try:
            await self._poor(True)
            await trio.sleep(strike.for_s)
        finally:
            with trio.CancelScope(shield=True):
                await self._poor(False)
        return ""

    # Clients

    async def _jump_clients(self, strike: Strike, chance: Random) -> str:
        jumping = tuple(chance.sample(list(self._devices), len(self._devices) // 3))
        await self._tell(crew.Order(act="clock", devices=jumping, value=strike.value))
        try:
            await trio.sleep(strike.for_s)
        finally:
            with trio.CancelScope(shield=True):
                await self._tell(crew.Order(act="clock", devices=jumping, value=0.0))
        return f"of {len(jumping)}"

    async def _storm(self, _: Strike, __: Random) -> str:
        cut = 0
        for name in self._stage.names:
            cut += await self._stage.set_way(f"{name}:client", cut=True)
        return f"{cut} at once"

    async def _stop_reading(self, strike: Strike, chance: Random) -> str:
        """A flood that all of a room read, the same while some of them do not, and again with all: the others are not to notice."""
        room = chance.choice(sorted(self._rooms))
        stalled = tuple(chance.sample(sorted(self._rooms[room]), max(1, int(len(self._rooms[room]) * STALLED_SHARE))))
        lags = await self._lags()
        try:
            await self._tell(crew.Order(talk_per_s=FLOOD_PER_S / len(self._crews), flood=room))
            await self._watch_readers(strike.for_s / 2)
            await self._tell(crew.Order(act="stall", devices=stalled))
            await self._watch_readers(strike.for_s)
            await self._tell(crew.Order(act="go_on", devices=stalled))
            await self._watch_readers(strike.for_s / 2)
        finally:
            with trio.CancelScope(shield=True):
                await self._tell(crew.Order(act="go_on", devices=stalled, flood=0, talk_per_s=0.0))
        lagged = await self._lags() - lags
        return f"{len(stalled)} of {len(self._rooms[room])} in room {room}, told {lagged} times that they were too slow"

    async def _watch_readers(self, seconds: float) -> None:
        begin = time.monotonic()
        await trio.sleep(seconds)
        self.spans.append((begin, time.monotonic()))

    async def _lags(self) -> int:
        return sum([(await one.ask(crew.Order(act="lags"))).lags for one in self._crews])

    # Tools

    async def _tell(self, order: crew.Order) -> None:
        for one in self._crews:
            await one.ask(order)

    async def _found(self, look: Callable[[], int]) -> int:
        with trio.move_on_after(FOUND_S):
            while not (pid := look()):  # noqa: ASYNC110 (the supervisor tells nobody)
                await trio.sleep(LOOK_S)
            return pid
        return 0

    async def _pause(self, pids: Sequence[int], seconds: float) -> None:
        try:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            await trio.sleep(seconds)
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@contextmanager
def _nothing() -> Iterator[None]:
    yield
