"""The examples, as programs, against the running system: an importer, a bridge and a bot, in two gateways."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from client import Account, Credentials, Session, connect
from protocol.operations import CreateChannel, CreateCommunity, Invite, Join, Post
from protocol.values import Role
from tests.client.programs import run_program
from tests.system.running import NAMES, Dev, texts

pytestmark = pytest.mark.xdist_group("system")

PASSWORD = "correct horse"
"""As `tests.client.programs` gives it to them."""


async def somebody(url: str) -> Credentials:
    async with Account(url) as account:
        return await account.register(f"helper{next(NAMES)}", PASSWORD)


async def school(owner: Session) -> tuple[int, int, int]:
    """A community with two channels: its space and theirs."""
    space = await owner.do(CreateCommunity("A school"))
    return space, await owner.do(CreateChannel(space, "notes")), await owner.do(CreateChannel(space, "copies"))


async def test_an_import_and_a_bridge_bring_every_line_once(dev: Dev, tmp_path: Path) -> None:
    here, there = dev.urls
    credentials, carrier = await somebody(here), await somebody(there)
    lines = [f"line {number}" for number in range(60)]
    file = tmp_path / "notes.txt"
    file.write_text("\n".join(lines))
    async with connect(here, credentials) as owner:
        space, notes, copies = await school(owner)
        async with connect(there, carrier) as bridge:  # a bridge passes over its own words, so it is somebody else
            await bridge.do(Join(space))
        bring = ["examples/import_messages.py", "--url", there, "--name", credentials.login.name, "--stream", str(notes), str(file)]
        bring += ["--store", str(tmp_path / "import.db")]
        mirror = [
            "examples/bridge.py",
            "--url",
            there,
            "--name",
            carrier.login.name,
            "--source",
            str(notes),
            "--target",
            str(copies),
            "--once",
        ]
        mirror += ["--store", str(tmp_path / "bridge.db")]
        for _ in range(2):
            for command in (bring, mirror):
                done = await run_program(command)
                assert (done.returncode, done.stderr) == (0, b"")
        await owner.say(notes, "the end")
        await owner.say(copies, "the end")
        assert await texts(owner, notes, "the end") == [*lines, "the end"]
        mirrored = await texts(owner, copies, "the end")
        assert len(mirrored) == len(lines) + 1
        assert all(line in copy for line, copy in zip(lines, mirrored, strict=False))


async def test_a_bot_answers_who_mentions_it(dev: Dev, tmp_path: Path) -> None:
    here, there = dev.urls
    robot = await somebody(there)
    async with connect(here, await somebody(here)) as owner:
        space, notes, _ = await school(owner)
        await owner.do(Invite(space, robot.user, Role.LEARNER))
        async with trio.open_nursery() as nursery:
            command = ["examples/bot.py", "--url", there, "--name", robot.login.name, "--join", str(space), "--answers", "1"]
            nursery.start_soon(run_program, [*command, "--store", str(tmp_path / "bot.db")])
            with trio.fail_after(40):
                while robot.user not in {member.user for member in (await owner.members(space)).members}:
                    await trio.testing.wait_all_tasks_blocked(0.1)
                asked = await owner.do(Post(notes, f"@{robot.login.name} are you there?", mentions=(robot.user,)))
                while len((await owner.history(notes, after=asked)).events) < 1:
                    await trio.testing.wait_all_tasks_blocked(0.1)
        (answer,) = (await owner.history(notes, after=asked)).events
        assert answer.author == robot.user
