"""Each way in which untrusted bytes can misbehave ends as `SandboxFailed`, and nothing of the process is left."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import trio

from sandbox.process import SandboxFailed, Why, run_in_sandbox

MIB = 160


async def run(task: str, payload: bytes = b"", *, seconds: float = 10.0, answer_max: int = 100_000) -> bytes:
    return await run_in_sandbox(f"trials.{task}", payload, seconds=seconds, memory_mib=MIB, answer_max=answer_max)


def in_sandboxes() -> list[int]:
    """Processes that run one of these trials. What other tests have opened meanwhile is theirs."""
    return [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if b"sandbox/child.py\0trials." in _command(folder) and os.getsid(int(folder.name)) != os.getsid(0)
    ]


def _command(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


async def gone() -> None:
    """What was killed is gone a moment later."""
    with trio.fail_after(5):
        while in_sandboxes():  # noqa: ASYNC110 - nobody tells when the kernel is done with a process
            await trio.sleep(0.005)


def written(folder: Path) -> bytes:
    """What the files of a folder hold."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_an_answer_comes_back_whole() -> None:
    payload = os.urandom(100_000)
    assert await run("echo", payload) == payload


@pytest.mark.parametrize(
    ("task", "payload", "why"),
    [
        ("loop", b"", Why.TIME),
        ("grow", b"4096", Why.MEMORY),
        ("talk", b"9000000", Why.REFUSED),
        ("echo", bytes(100_001), Why.REFUSED),
        ("crash", b"", Why.KILLED),
        ("fork", b"", Why.TIME),
        ("no_such_task", b"", Why.KILLED),
    ],
)
async def test_whatever_it_does_it_is_said_what_happened_and_nothing_is_left(task: str, payload: bytes, why: Why) -> None:
    with pytest.raises(SandboxFailed) as failed:
        await run(task, payload, seconds=0.5 if why is Why.TIME else 10.0)
    assert failed.value.why is why, failed.value
    await gone()


async def test_what_a_task_raises_is_said_and_no_more_than_a_bounded_part_of_its_words() -> None:
    with pytest.raises(SandboxFailed, match="w" * 100) as failed:
        await run("complain", b"this is no document")
    assert failed.value.why is Why.REFUSED and len(failed.value.words) <= 2000


async def test_one_that_is_cancelled_is_gone() -> None:
    with trio.move_on_after(0.3) as scope:
        await run("loop")
    assert scope.cancelled_caught
    await gone()


async def test_it_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(SandboxFailed):
        await run("write", str(tmp_path / "file").encode())
    assert not written(tmp_path)


async def test_it_knows_no_secret_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUCONNECT_DATABASE_URL", "postgres://somebody:secret@somewhere/")
    with socket.create_server(("127.0.0.1", 0)) as server:
        reached, *names = (await run("surroundings", f"127.0.0.1:{server.getsockname()[1]}".encode())).decode().split()
    assert reached == ("unreached" if _makes_networks() else "reached")
    assert set(names) <= {"PATH", "LC_ALL", "LC_CTYPE", "MALLOC_ARENA_MAX", "PYTHONDONTWRITEBYTECODE"}


def _makes_networks() -> bool:
    """Whether this kernel gives who asks a network of its own."""
    return os.system("unshare --user --net true 2>/dev/null") == 0
