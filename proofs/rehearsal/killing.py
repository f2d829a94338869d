"""SIGKILL at random moments, to processes that this program started, which their supervisors start again.

    gateway    one of the gateways, at random          redis    the embedded Valkey          postgres    the postmaster

SIGKILL leaves the kernel's page cache, so what Postgres had written but not synced survives: this tries processes, not the disk.

Invariant: nothing is killed but a child of this very process.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import psutil
import trio

from supervisors.dev import Installation

KINDS = ("gateway", "redis", "postgres")
SECONDS_A_KILL = 20.0
"""Each kind is killed about this often: a restart and the devices' return take some seconds, and both are to be seen."""
ALIVE_S = 15.0
"""How long a victim may take to be there again after the kill before."""
LOOK_S = 0.05


class Killer:
    """Kills; counts by kind."""

    def __init__(self, installation: Installation, chance: Random, say: Callable[[str], None]) -> None:
        self._installation = installation
        self._chance = chance
        self._say = say
        self.kills: Counter[str] = Counter()

    async def storm(self, kinds: Sequence[str], seconds: float) -> None:
        """Kills every kind at least once within `seconds`, at moments spread by chance over all but the last tenth of them."""
        times = max(1, round(seconds / SECONDS_A_KILL))
        slot_s = 0.9 * seconds / times
        moments = sorted((slot_s * (n + self._chance.random()), kind) for kind in kinds for n in range(times))
        began = trio.current_time()
        for moment, kind in moments:
            await trio.sleep_until(began + moment)
            with trio.move_on_after(ALIVE_S):
                await self._kill(kind)
                self._say(f"  {trio.current_time() - began:5.1f} s  killed {kind}")

    async def _kill(self, kind: str) -> None:
        while (pid := self.victim(kind)) == 0 or not is_ours(pid):  # noqa: ASYNC110 (the supervisor tells nobody)
            await trio.sleep(LOOK_S)
        os.kill(pid, signal.SIGKILL)
        self.kills[kind] += 1

    def victim(self, kind: str) -> int:
        """The process to kill; 0 while there is none."""
        if kind == "gateway":
            return self._chance.choice(self._installation.gateways).pid
        if kind == "redis":
            address = self._installation.redis
            return address.pid if address is not None else 0
        # Postgres writes its number there itself, and removes the file at an orderly end.
        try:
            lines = (self._installation.folder / "postgres" / "cluster" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return 0
        return int(lines[0]) if lines else 0


def is_ours(pid: int) -> bool:
    """Whether that process is a living child of this one."""
    try:
        process = psutil.Process(pid)
        return bool(process.ppid() == os.getpid() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
