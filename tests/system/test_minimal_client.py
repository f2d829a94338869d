"""The smallest example, as a program, against the running system: what the protocol's reference says is enough."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio

from client import connect
from protocol.operations import CreateCommunity
from supervisors.generated import ROOT
from tests.system.running import PASSWORD, Dev, register

pytestmark = pytest.mark.xdist_group("system")

PROGRAM_S = 60.0


async def test_thirty_lines_without_anything_of_ours_talk_to_the_server(dev: Dev) -> None:
    first, second = dev.urls
    credentials = await register(first)
    async with connect(first, credentials) as session:
        await session.do(CreateCommunity("A place to talk"))
        spaces = (await session.overview()).spaces
        [stream] = [state.stream for space in spaces for state in space.streams if state.may_write and state.name == "general"]
        await session.say(stream, "is anybody there?")
        command = [sys.executable, "examples/minimal_client.py", second, credentials.login.name, PASSWORD, "thirty lines are"]
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=ROOT)
        printed = b""
        try:
            assert process.stdout is not None
            with trio.fail_after(PROGRAM_S):
                while b"committed" not in printed or b"are\n" not in printed:
                    part = await process.stdout.receive_some()
                    assert part, f"the program ended: {printed!r}"
                    printed += part
        finally:
            process.terminate()
            await process.wait()
            await process.stdout.aclose()
    assert set(printed.decode().splitlines()) == {
        f"[1] user {credentials.user}: is anybody there?",
        f"[2] user {credentials.user}: thirty lines are",
        "committed as message 2",
    }
