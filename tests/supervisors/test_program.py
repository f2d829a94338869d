"""A child process that was told to stop has not fallen when it ends; one that was not told has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from supervisors.program import Program, ProgramEnded

OBEDIENT = "import os, signal, sys; os.write(int(sys.argv[1]), b'here\\n'); os.close(int(sys.argv[1])); signal.sigwait([signal.SIGTERM])"


class Obedient(Program):
    """Says that it is ready, and ends when it is told to."""

    def _spawn(self, ready_fd: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); {OBEDIENT}"]
        return subprocess.Popen([*command, str(ready_fd)], pass_fds=(ready_fd,))


async def ended(pid: int) -> None:
    watch = os.pidfd_open(pid)
    try:
        with trio.fail_after(20):
            await trio.lowlevel.wait_readable(watch)
    finally:
        os.close(watch)
    await wait_all_tasks_blocked()


async def test_who_was_asked_to_stop_and_did_has_not_fallen() -> None:
    program = Obedient("it", (), {}, stop_s=5.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(program.serve)
        pid = program.pid
        program.ask_to_stop()
        await ended(pid)
        program.ask_to_stop()
        assert program.pid == 0, "a number that is nobody's any more is sent no signal"
        nursery.cancel_scope.cancel()


async def test_who_ends_unasked_has_fallen() -> None:
    program = Obedient("it", (), {}, stop_s=5.0)
    with pytest.RaisesGroup(pytest.RaisesExc(ProgramEnded, match="it ended: exit status 0")):
        async with trio.open_nursery() as nursery:
            await nursery.start(program.serve)
            os.kill(program.pid, 15)
