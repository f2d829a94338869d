"""Parties in processes of their own, steered by lines of JSON: one order in, one answer out, in turn.

    Steered.ask(order) ──stdin──▶ serve(answer) ──stdout──▶ answer        stdin ends: it ends

Invariant: a steered process never outlives the process that started it by more than its last answer.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec
import trio

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")
ANSWER_S = 60.0
STOP_S = 5.0
LAST_WORDS = 3000
LINE_BYTES_MAX = 64 * 1024 * 1024


class SteeredEnded(Exception):
    """It ended, or did not answer in time."""


class Steered(Generic[Asked, Answered]):
    """The near side."""

    def __init__(self, name: str, process: trio.Process, answers: type[Answered], log: Path) -> None:
        self.name = name
        self._log = log
        self._process = process
        self._decoder = msgspec.json.Decoder(answers)
        self._pending = bytearray()
        self._turn = trio.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, order: Asked) -> Answered:
        """One order and its answer. Raises `SteeredEnded`. An order under way is not given up by a cancellation, or answers would shift."""
        async with self._turn:
            with trio.CancelScope(shield=True):
                assert self._process.stdin is not None
                try:
                    with trio.fail_after(ANSWER_S):
                        await self._process.stdin.send_all(msgspec.json.encode(order) + b"\n")
                        return self._decoder.decode(await self._line())
                except (trio.BrokenResourceError, trio.TooSlowError) as error:
                    raise self._ended(repr(error)) from error
            raise AssertionError("behind a shield nothing is cancelled")

    def _ended(self, what: str) -> SteeredEnded:
        return SteeredEnded(f"{self.name}: {what}; its last words:\n{self._log.read_text(errors='replace')[-LAST_WORDS:]}")

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        while (end := self._pending.find(b"\n")) < 0:
            some = await self._process.stdout.receive_some(1 << 20)
            if not some:
                raise self._ended("it has ended")
            self._pending += some
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        return line


def _log(path: Path) -> BinaryIO:
    return path.open("ab")


@asynccontextmanager
async def steered(
    name: str, module: str, answers: type[Answered], folder: Path, *, before: Sequence[str] = (), arguments: Sequence[str] = ()
) -> AsyncIterator[Steered[Any, Answered]]:
    """Starts `python -m module` (behind the words of `before`), and ends it with the block. What it complains of goes to `folder`."""
    command = [*before, sys.executable, "-m", module, *arguments]
    with _log(folder / f"{name}.log") as log:
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    try:
        yield Steered(name, process, answers, folder / f"{name}.log")
    finally:
        with trio.CancelScope(shield=True):
            assert process.stdin is not None
            await process.stdin.aclose()
            with trio.move_on_after(STOP_S):
                await process.wait()
            process.kill()
            await process.wait()


async def serve(orders: type[Asked], answer: Callable[[Asked], Awaitable[object]]) -> None:
    """The far side: answers every order until standard input ends."""
    decoder = msgspec.json.Decoder(orders)
    stdin = trio.lowlevel.FdStream(0)
    stdout = trio.lowlevel.FdStream(1)
    pending = bytearray()
    while True:
        while (end := pending.find(b"\n")) < 0:
            some = await stdin.receive_some(1 << 20)
            if not some:
                return
            pending += some
        line = bytes(pending[:end])
        del pending[: end + 1]
        await stdout.send_all(msgspec.json.encode(await answer(decoder.decode(line))) + b"\n")
