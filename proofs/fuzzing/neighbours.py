"""Healthy clients beside the attack: they chat all the while, and every word must arrive, once, in order, acknowledged.

say ─▶ acknowledged (timed) ─▶ heard by every other (timed)
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import trio
from msgspec import Struct, field

from client import Session
from protocol.events import Posted, Said
from protocol.frames import Event

SAY_EVERY_S: Final = 0.1
QUIET_S: Final = 30.0


class Figures(Struct):
    """What the neighbours lived through. Times in seconds."""

    said: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    sockets_lost: int = 0
    to_acknowledgement_s: list[float] = field(default_factory=list)
    to_delivery_s: list[float] = field(default_factory=list)

    def percentile_ms(self, times_s: list[float], share: float) -> float:
        """The time in milliseconds that `share` of them stayed within."""
        ordered = sorted(times_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Neighbours:
    """Sessions in one channel. `run` lets them chat until `stop`; `check` then compares what was said with what was heard."""

    def __init__(self, sessions: list[Session], stream: int) -> None:
        self._sessions = sessions
        self._stream = stream
        self._stopping = trio.Event()
        self._said_at: dict[str, float] = {}
        self._acknowledged: dict[str, int] = {}
        self._heard: list[list[tuple[int, str]]] = [[] for _ in sessions]
        self._arrived = trio.Event()
        self.figures = Figures()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Chats. Started when everybody listens; returns when everybody has heard everything, or `QUIET_S` after `stop`."""
        async with trio.open_nursery() as listeners:
            for number, session in enumerate(self._sessions):
                await listeners.start(self._listen, number, session)
                listeners.start_soon(self._watch, session)
            task_status.started()
            async with trio.open_nursery() as speakers:
                for number, session in enumerate(self._sessions):
                    speakers.start_soon(self._speak, number, session)
            with trio.move_on_after(QUIET_S):
                while any(len(heard) < len(self._acknowledged) for heard in self._heard):
                    self._arrived = trio.Event()
                    await self._arrived.wait()
            listeners.cancel_scope.cancel()
        self._check()

    def stop(self) -> None:
        """No more words."""
        self._stopping.set()

    async def _speak(self, number: int, session: Session) -> None:
        count = 0
        while not self._stopping.is_set():
            count += 1
            text = f"neighbour {number}, word {count}"
            self._said_at[text] = trio.current_time()
            self.figures.said += 1
            with trio.move_on_after(QUIET_S):
                self._acknowledged[text] = await session.say(self._stream, text)
                self.figures.acknowledged += 1
                self.figures.to_acknowledgement_s.append(trio.current_time() - self._said_at[text])
            await trio.sleep(SAY_EVERY_S)

    async def _listen(self, number: int, session: Session, *, task_status: trio.TaskStatus[None]) -> None:
        with session.events(self._stream) as events:
            task_status.started()
            async for item in events:
                if isinstance(item, Event) and isinstance(item.body, Said | Posted) and item.body.text in self._said_at:
                    self._heard[number].append((item.seq, item.body.text))
                    self.figures.to_delivery_s.append(trio.current_time() - self._said_at[item.body.text])
                    self._arrived.set()

    async def _watch(self, session: Session) -> None:
        await session.online()
        async for status in session.statuses():
            if status.state in ("waiting", "ended"):
                self.figures.sockets_lost += 1

    def _check(self) -> None:
        figures = self.figures
        for heard in self._heard:
            texts = [text for _, text in heard]
            figures.lost += len(set(self._acknowledged) - set(texts))
            figures.doubled += len(texts) - len(set(texts))
            figures.reordered += sum(before >= after for (before, _), (after, _) in pairwise(heard))
