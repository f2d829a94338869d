"""Real processes: each way to fail is seen for what it is, and nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
import trio

from actors.inference import Echo, Echoed
from ml_actors.kinds import KINDS, Options, Unusable
from ml_actors.registry import SHIPPED
from ml_actors.template import Template
from ml_actors.workers import ProcessWorker, WorkerGone, own_memory_mib
from supervisors.ml_node import spawn

ECHO = SHIPPED / "echo" / "1"
MEMORY_MIB = 96


def asks(*acts: str) -> list[bytes]:
    return [msgspec.msgpack.encode(Echo(f"w{n}", act)) for n, act in enumerate(acts)]


def read(answer: bytes | str) -> str:
    return answer if isinstance(answer, str) else msgspec.msgpack.decode(answer, type=Echoed).words


@asynccontextmanager
async def living(folder: Path = ECHO, options: Options | None = None) -> AsyncIterator[ProcessWorker]:
    worker = ProcessWorker(spawn, KINDS["echo"], folder, options or Options(), MEMORY_MIB)
    try:
        with trio.fail_after(30):
            yield worker
    finally:
        pid = worker.pid
        await worker.end()
        assert not pid or _is_gone(pid), "nothing of it is left"


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_process_that_cannot_be_begun_is_a_life_that_is_over() -> None:
    def refused(command: object, descriptor: int) -> NoReturn:
        raise OSError(24, "Too many open files")

    worker = ProcessWorker(refused, KINDS["echo"], ECHO, Options(), MEMORY_MIB)
    with pytest.raises(WorkerGone, match="Too many open files"):
        await worker.begin()
    await worker.end()


async def test_it_loads_warms_and_answers_and_what_raises_costs_itself_alone() -> None:
    async with living() as worker:
        assert await worker.begin() == "echo@1"
        await worker.warm()
        answers = await worker.answer([*asks("", "raise", ""), b"\xc1"])
        assert [read(one) for one in answers[:1]] == ["w0"] and read(answers[2]) == "w2"
        assert read(answers[1]) == "RuntimeError: as it was told" and read(answers[3]).startswith("not understood")


async def test_one_that_never_ends_can_be_ended_and_one_that_crashes_is_noticed() -> None:
    async with living() as worker:
        await worker.begin()
        with trio.move_on_after(0.2) as waited:
            await worker.answer(asks("spin"))
        assert waited.cancelled_caught
    async with living() as worker:
        await worker.begin()
        with pytest.raises(WorkerGone, match="ended by signal 9"):
            await worker.answer(asks("crash"))


async def test_one_that_grows_above_its_bound_is_found_and_one_that_grows_at_once_meets_a_fence() -> None:
    async with living() as worker:
        await worker.begin()
        await worker.answer(asks(f"grow:{MEMORY_MIB}"))
        with pytest.raises(WorkerGone, match="killed for its memory"):
            await worker.watch()
    async with living() as worker:
        await worker.begin()
        (answer,) = await worker.answer(asks("grow:1000000"))
        assert read(answer).startswith("MemoryError"), "the kernel gives it no more than the fence, however fast it asks"


async def test_a_file_that_is_not_what_its_card_says_and_a_device_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes(
        (ECHO / "card.json").read_bytes().replace(b'"files": []', b'"files": [{"name": "a", "bytes": 1, "sha256": "' + b"0" * 64 + b'"}]')
    )
    (tmp_path / "a").write_bytes(b"x")
    async with living(tmp_path) as worker:
        with pytest.raises(Unusable, match="its card says"):
            await worker.begin()
    async with living(options=Options(device="cuda")) as worker:
        with pytest.raises(Unusable, match="cuda"):
            await worker.begin()


async def test_one_that_is_forked_answers_dies_when_it_is_ended_and_dies_with_its_template() -> None:
    template = Template(spawn)

    def forked() -> ProcessWorker:
        return ProcessWorker(spawn, KINDS["echo"], ECHO, Options(), MEMORY_MIB, fork=template.fork)

    one, other, again = forked(), forked(), forked()
    try:
        with trio.fail_after(60):
            assert await one.begin() == "echo@1" and await other.begin() == "echo@1"
            assert [read(answer) for answer in await one.answer(asks("", "raise"))] == ["w0", "RuntimeError: as it was told"]
            with trio.move_on_after(0.2):
                await one.watch()
            assert 0.0 < one.memory_mib < own_memory_mib(template.pid) / 2, "what it was born with is its template's"
            with trio.move_on_after(0.2):
                await one.answer(asks("spin"))
            pid = one.pid
            await one.end()
            assert _is_gone(pid)
            assert [read(answer) for answer in await other.answer(asks(""))] == ["w0"], "the other one noticed nothing"
            os.kill(template.pid, signal.SIGKILL)
            with pytest.raises(WorkerGone, match="it ended"):
                await other.watch()
            assert await again.begin() == "echo@1", "another template is begun"
            await again.answer(asks(f"grow:{MEMORY_MIB}"))
            with pytest.raises(WorkerGone, match="killed for its memory"):
                await again.watch()
    finally:
        for worker in (one, other, again):
            await worker.end()
        template.end()


def test_it_dies_with_its_parent_even_in_the_middle_of_an_endless_loop(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import trio
        from ml_actors.workers import ProcessWorker
        from ml_actors.kinds import KINDS, Options
        from ml_actors.registry import SHIPPED
        from supervisors.ml_node import spawn
        from tests.ml_actors.test_worker_process import asks

        async def main():
            worker = ProcessWorker(spawn, KINDS["echo"], SHIPPED / "echo" / "1", Options(), {MEMORY_MIB})
            await worker.begin()
            print(worker.pid, flush=True)
            await worker.answer(asks("spin"))

        trio.run(main)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    watch = os.pidfd_open(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert trio.run(_ended, watch)
    os.close(watch)


async def _ended(watch: int) -> bool:
    with trio.move_on_after(10):
        await trio.lowlevel.wait_readable(watch)
        return True
    return False
