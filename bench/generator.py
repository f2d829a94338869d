"""The load generator's other side: compiles it, writes its plan, and gives it its orders.

    Seats ─▶ plan file ─▶ generator (C, one process) ◀─ orders ─▶ Report, or GeneratorFailed

Invariant: a `Report` exists only for a run in which every delivery was checked and nothing was missing; everything else raises.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec
import trio

SOURCE: Final = Path(__file__).with_name("generator.c")
BUILD: Final = Path(__file__).parent.parent / "build" / "bench"
ANSWER_S: Final = 300.0
"""The generator itself gives up when nothing moves; this bounds what moves but never ends."""


Dialect = Literal["educonnect", "socketio", "plain", "nats"]


class GeneratorFailed(Exception):
    """A delivery was wrong, missing or doubled, or a socket ended: the text says which."""


class CompilerMissing(Exception):
    """There is no C compiler here."""


class Seat(msgspec.Struct, frozen=True):
    """One socket: at which server, in which room (by place in the plan), who, and what it says first."""

    server: int
    room: int
    user: int
    follows: bool
    opening: bytes


class Plan(msgspec.Struct, frozen=True):
    """Everything the generator knows beforehand. `rooms` are stream ids."""

    dialect: Dialect
    ports: tuple[int, ...]
    rooms: tuple[int, ...]
    seats: tuple[Seat, ...]
    stall_s: float = 20.0
    """Without any progress for so long, something is lost."""


class Report(msgspec.Struct, frozen=True):
    """One run. `cpu_s` is the generator's own."""

    messages: int
    deliveries: int
    wall_s: float
    cpu_s: float
    bytes_in: int
    bytes_out: int
    receives: int
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class _Answer(msgspec.Struct, frozen=True):
    ok: bool
    why: str = ""


class _Bytes(msgspec.Struct, frozen=True):
    members: list[tuple[int, int]]


class Generator:
    """A running generator. One order at a time."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._unread = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def connect(self, count: int) -> None:
        """Opens sockets until there are `count`, in the order of the plan, and waits until all are welcomed and live."""
        await self._order(f"connect {count}")

    async def say(self, messages: int, outstanding: int, posters: int) -> Report:
        """In each room `messages`, at most `outstanding` of them not yet with every member and acknowledged; `posters` take turns."""
        return await self._run(f"say {messages} {outstanding} {posters}")

    async def type(self, messages: int, outstanding: int, posters: int) -> Report:
        """The same with typing notices, which nobody acknowledges."""
        return await self._run(f"typing {messages} {outstanding} {posters}")

    async def ask(self, questions: int, outstanding: int) -> Report:
        """Questions that are answered to their author alone and change nothing: `outstanding` from each member, `questions` in all."""
        return await self._run(f"asks {questions} {outstanding}")

    async def post(self, messages: int, outstanding: int) -> Report:
        """Posts to be acknowledged alone: `outstanding` from each member, `messages` in all."""
        return await self._run(f"posts {messages} {outstanding}")

    async def post_at(self, per_s: float, seconds: float) -> Report:
        """Posts at a rate, whatever is still unanswered; times count from when each was due."""
        return await self._run(f"rate {per_s} {seconds}")

    async def bytes_by_member(self) -> list[tuple[int, int]]:
        """(in, out) for each socket since it opened, its handshake included."""
        return msgspec.json.decode(await self._order("bytes"), type=_Bytes).members

    async def _run(self, order: str) -> Report:
        return msgspec.json.decode(await self._order(order), type=Report)

    async def _order(self, order: str) -> bytes:
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(order.encode() + b"\n")
        except trio.BrokenResourceError:
            pass  # it has ended; its last line says why
        with trio.move_on_after(ANSWER_S):
            line = await self._read_line()
            answer = msgspec.json.decode(line, type=_Answer)
            if not answer.ok:
                raise GeneratorFailed(f"{order}: {answer.why}")
            return line
        raise GeneratorFailed(f"{order}: no end after {ANSWER_S:g} s")

    async def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            some = await self._process.stdout.receive_some(1 << 20)
            if not some:
                raise GeneratorFailed("the generator ended without a word")
            self._unread += some
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def compile_generator(source: Path = SOURCE, *headers: Path) -> Path:
    """A generator's program, compiled from this checkout's source if it is not there yet. Blocks. Raises `CompilerMissing`."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise CompilerMissing("the load generator needs a C compiler (gcc)")
    text = b"".join(path.read_bytes() for path in (source, *headers))
    program = BUILD / f"{source.stem}-{hashlib.sha256(text).hexdigest()[:16]}"
    if not program.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        draft = program.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(draft), str(source)], check=True)
        draft.rename(program)
    return program


def write_plan(plan: Plan, path: Path) -> None:
    with path.open("w") as file:
        file.write(f"D {plan.dialect}\nT {plan.stall_s}\n")
        file.writelines(f"S {port}\n" for port in plan.ports)
        file.writelines(f"R {room}\n" for room in plan.rooms)
        file.writelines(_lines(plan.seats))


def _lines(seats: Iterable[Seat]) -> Iterable[str]:
    for seat in seats:
        yield f"M {seat.server} {seat.room} {seat.user} {int(seat.follows)} {seat.opening.hex()}\n"


@asynccontextmanager
async def open_generator(plan: Plan, folder: Path) -> AsyncIterator[Generator]:
    """A generator for the length of the block; its sockets end with it."""
    program = await trio.to_thread.run_sync(compile_generator)
    number, name = tempfile.mkstemp(prefix=f"plan-{plan.dialect}-", dir=folder)
    os.close(number)
    path = Path(name)
    write_plan(plan, path)
    process = await trio.lowlevel.open_process([str(program), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Generator(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
