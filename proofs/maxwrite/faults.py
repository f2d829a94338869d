"""What goes wrong during a run: devices cut off, processes paused or killed. Each fault mends itself before the run is judged.

    partition  some devices lose their line, with or without a word, for a while
    pause      SIGSTOP, then SIGCONT: a process that looks alive and does nothing, as on a starved machine
    kill       SIGKILL; its supervisor starts it again

Invariant: only children of this very process are touched, and whatever was stopped is continued, however a run ends.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence
from random import Random

import psutil
import trio

from proofs.maxwrite.learner import Learner
from proofs.rehearsal.killing import Killer, is_ours
from proofs.rehearsal.wire import Cut

KINDS = ("partition", "pause", "kill")
VICTIMS = ("gateway", "redis", "postgres")
PAUSE_S = 1.5
"""Longer than what the system waits for between its own parts, shorter than what ends a client's patience."""
FOUND_S = 10.0
LOOK_S = 0.02


class Faults:
    """Chooses by `chance`; counts by kind and victim."""

    def __init__(self, killer: Killer, chance: Random) -> None:
        self._killer = killer
        self._chance = chance
        self.done: Counter[str] = Counter()

    async def strike(self, kind: str, learners: Sequence[Learner], seconds: float) -> None:
        """One fault, mended when this returns, at the latest after about `seconds`."""
        match kind:
            case "partition":
                await self._partition(learners, seconds)
            case "pause":
                await self._pause(self._chance.choice(VICTIMS), min(PAUSE_S, seconds))
            case "kill":
                await self._kill(self._chance.choice(VICTIMS))
            case _:
                raise AssertionError(kind)

    async def _partition(self, learners: Sequence[Learner], seconds: float) -> None:
        cut_off = self._chance.sample(list(learners), self._chance.randint(1, len(learners)))
        how = self._chance.choice((Cut.RESET, Cut.VANISH))
        for learner in cut_off:
            learner.wire.cut(how)
        self.done[f"partition ({how.value})"] += 1
        try:
            await trio.sleep(seconds * self._chance.random())
        finally:
            for learner in cut_off:
                learner.wire.restore()

    async def _pause(self, victim: str, seconds: float) -> None:
        pid = await self._find(victim)
        if not pid:
            return
        process = psutil.Process(pid)
        stopped = [process, *process.children(recursive=True)]
        try:
            for one in stopped:
                _send(one, signal.SIGSTOP)
            self.done[f"pause {victim}"] += 1
            await trio.sleep(seconds * self._chance.random())
        finally:
            for one in stopped:
                _send(one, signal.SIGCONT)

    async def _kill(self, victim: str) -> None:
        pid = await self._find(victim)
        if pid:
            os.kill(pid, signal.SIGKILL)
            self.done[f"kill {victim}"] += 1

    async def _find(self, victim: str) -> int:
        with trio.move_on_after(FOUND_S):
            while (pid := self._killer.victim(victim)) == 0 or not is_ours(pid):  # noqa: ASYNC110 (the supervisor tells nobody)
                await trio.sleep(LOOK_S)
            return pid
        return 0


def _send(process: psutil.Process, what: signal.Signals) -> None:
    try:
        process.send_signal(what)
    except psutil.NoSuchProcess:
        return  # it ended by itself meanwhile: nothing to stop, nothing to continue
