"""A 2G link between two network namespaces of this machine, for whatever program is to be measured over it.

    async with open_link() as link:
        await link.begin(Conditions())
        process = await trio.lowlevel.open_process(link.in_server([...]))     # listens on SERVER_ADDRESS
        process = await trio.lowlevel.open_process(link.in_client([...]))     # connects to it
        counts = await link.counts()

Real kernels, real TCP; only the packets' fate on the way is ours (`bench/link_model.py`), decided in a process of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import trio

from bench.link_model import Conditions, Counts
from bench.link_relay import CLIENT_ADDRESS, SERVER_ADDRESS, Order, Told

__all__ = ["CLIENT_ADDRESS", "SERVER_ADDRESS", "Conditions", "Link", "LinkCounts", "LinkMissing", "open_link"]

START_S: Final = 10.0
ANSWER_S: Final = 5.0


class LinkMissing(Exception):
    """The link cannot be emulated here; the text says why."""


class LinkCounts(msgspec.Struct, frozen=True):
    """Since `begin`: each way's packets, and how often the link was cut."""

    up: Counts
    down: Counts
    cuts: int


class Link:
    """A running emulation."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._pending = b""
        self._ends = Told()

    @property
    def pid(self) -> int:
        """The relay's."""
        return self._process.pid

    async def wait_ready(self) -> None:
        """Raises `LinkMissing`."""
        self._ends = await self._hear()
        if self._ends.trouble:
            raise LinkMissing(self._ends.trouble)

    def in_client(self, command: Sequence[str]) -> list[str]:
        """The command, run at the device's end."""
        return ["nsenter", f"--net={self._ends.client}", *command]

    def in_server(self, command: Sequence[str]) -> list[str]:
        """The command, run at the server's end."""
        return ["nsenter", f"--net={self._ends.server}", *command]

    async def begin(self, conditions: Conditions) -> None:
        """From now on the link is so; counts begin at 0, and the time to its first cut begins."""
        await self._ask(Order(conditions=conditions))

    async def counts(self) -> LinkCounts:
        """What became of everything sent since `begin`."""
        told = await self._ask(Order(counts=True))
        assert told.up is not None and told.down is not None
        return LinkCounts(told.up, told.down, told.cuts)

    async def _ask(self, order: Order) -> Told:
        assert self._process.stdin is not None
        with trio.fail_after(ANSWER_S):
            await self._process.stdin.send_all(msgspec.json.encode(order) + b"\n")
            return await self._hear()

    async def _hear(self) -> Told:
        assert self._process.stdout is not None
        while b"\n" not in self._pending:
            some = await self._process.stdout.receive_some(65536)
            if not some:
                raise LinkMissing("the emulated link has ended")
            self._pending += some
        line, _, self._pending = self._pending.partition(b"\n")
        return msgspec.json.decode(line, type=Told)


@asynccontextmanager
async def open_link(trace: Path | None = None) -> AsyncIterator[Link]:
    """A link for the length of the block; processes at its ends are the caller's to end. Raises `LinkMissing`.

    `trace`: a file for a line about every packet.
    """
    for tool in ("ip", "nsenter"):
        if shutil.which(tool) is None:
            raise LinkMissing(f"the emulated link needs `{tool}`")
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "bench.link_relay", *([str(trace)] if trace else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        link = Link(process)
        with trio.fail_after(START_S):
            await link.wait_ready()
        yield link
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
