"""The examples, run as programs against a server on a real port, killed and run again."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from protocol.codes import Code
from protocol.events import Mentioned, Posted, Said
from protocol.frames import Failed, Follow
from protocol.values import Role, SpaceKind
from tests.client.fake_server import PAGE, Conversation, FakeServer
from tests.client.fake_web import FakeWeb
from tests.client.programs import PROGRAM_S, run_program, start_program


@pytest.fixture
def accounts(web: FakeWeb, server: FakeServer) -> FakeWeb:
    """Somebody called archivist, and two channels (61, 62) of a community that user 2 talks in."""
    server.user(7, name="archivist")
    web.passwords["archivist"] = (7, "correct horse")
    for stream in (61, 62):
        space = server.new_space(SpaceKind.COMMUNITY, f"place {stream}")
        space.streams[1] = (stream, space.streams[1][1], "general")
        server.log[stream] = []
        server.enter(space, 2, Role.OWNER)
        server.enter(space, 7, Role.LEARNER)
    return web


async def test_an_import_that_is_killed_goes_on_and_brings_every_line_once(
    accounts: FakeWeb, server: FakeServer, tmp_path: Path, nursery: trio.Nursery
) -> None:
    lines = [f"line {number}" for number in range(400)]
    file = tmp_path / "notes.txt"
    file.write_text("\n\n".join(lines))
    command = ["examples/import_messages.py", "--url", accounts.url, "--name", "archivist", "--stream", "61", str(file)]
    command += ["--store", str(tmp_path / "import.db")]
    for upto in (40, 130):
        enough = trio.Event()
        append = server.append

        def watch(stream: int, author: int, body: Said, append=append, enough=enough, upto=upto):  # type: ignore[no-untyped-def]
            event = append(stream, author, body)
            if event.stream == 61 and event.seq >= upto:
                enough.set()
            return event

        server.append = watch  # type: ignore[method-assign, assignment]
        process = await start_program(nursery, command)
        with trio.fail_after(60):
            await enough.wait()
            process.kill()
            await process.wait()
    done = await run_program(command)
    assert (done.returncode, done.stderr) == (0, b"")
    assert server.texts(61) == lines
    assert b"committed 0 messages" in (await run_program(command)).stdout


async def test_a_column_of_a_csv_file_is_imported(accounts: FakeWeb, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text('when,what\n1,"one, with a comma"\n2,two\n')
    command = ["examples/import_messages.py", "--url", accounts.url, "--name", "archivist", "--stream", "61", str(file)]
    done = await run_program([*command, "--column", "what", "--store", str(tmp_path / "import.db")])
    assert b"committed 2 messages" in done.stdout
    assert server.texts(61) == ["one, with a comma", "two"]


async def test_a_bridge_mirrors_each_message_once_over_several_runs(accounts: FakeWeb, server: FakeServer, tmp_path: Path) -> None:
    command = ["examples/bridge.py", "--url", accounts.url, "--name", "archivist", "--source", "61", "--target", "62", "--once"]
    command += ["--store", str(tmp_path / "bridge.db")]
    for number in range(30):
        server.append(61, 2, Said(str(number)))
    assert b"mirrored 30 messages" in (await run_program(command)).stdout
    server.append(61, 2, Said("another"))
    assert b"mirrored 1 messages" in (await run_program(command)).stdout
    assert server.texts(62) == [f"ben: {number}" for number in range(30)] + ["ben: another"]


async def test_a_bot_answers_each_mention_once(accounts: FakeWeb, server: FakeServer, tmp_path: Path) -> None:
    command = ["examples/bot.py", "--url", accounts.url, "--name", "archivist", "--store", str(tmp_path / "bot.db"), "--answers", "1"]
    for text in ("how are you, @archivist?", "@archivist help"):
        asked = server.append(61, 2, Posted(text, 0, (7,)))
        server.append(1007, 0, Mentioned(61, asked.seq, 2))
        done = await run_program(command)
        assert (done.returncode, done.stderr) == (0, b"")
    bodies = [event.body for event in server.log[61] if event.author == 7]
    assert bodies == [Posted("You said 4 words.", 1), Posted("Ask me anything; I count the words of what you say.", 3)]


async def test_the_smallest_client_asks_again_for_a_page_that_it_asked_for_too_soon(
    accounts: FakeWeb, server: FakeServer, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3 * PAGE):
        server.append(61, 2, Said(f"line {number}"))
    asked: list[int] = []
    follow = Conversation.follow

    def refuse_first(self: Conversation, id: int, stream: int, after: int) -> None:
        """Each page is refused once."""
        asked.append(after)
        if asked.count(after) == 1:
            self.tell(Failed(id, Code.RATE, "more than 100 commands a second; wait 3 ms", 3))
        else:
            follow(self, id, stream, after)

    monkeypatch.setattr(Conversation, "follow", refuse_first)
    arguments = [accounts.url, "archivist", "correct horse", "the last"]
    process = await start_program(nursery, ["examples/minimal_client.py", *arguments])
    assert process.stdout is not None
    printed = b""
    try:
        with trio.fail_after(PROGRAM_S):
            while b": the last\n" not in printed:
                part = await process.stdout.receive_some()
                assert part, f"the program ended: {printed!r}"
                printed += part
    finally:
        process.kill()
        await process.wait()
        await process.stdout.aclose()
    lines = [line for line in printed.decode().splitlines() if line.startswith("[")]
    assert [line.partition(": ")[2] for line in lines] == [*(f"line {number}" for number in range(3 * PAGE)), "the last"]
    assert [command.id for command in server.commands if isinstance(command, Follow)] == [2, 2, 3, 3, 3, 3, 3, 3], "and nothing else"
    assert asked == [after for after in range(0, 3 * PAGE + 1, PAGE) for _ in range(2)]
