"""The chat, as typed lines and printed lines: at a screen made of lists, and as a program between pipes."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from client import SessionEnded, connect
from client.chat import Chat
from client.session import World
from protocol.codes import Code
from protocol.events import Deleted, Invited, Mentioned, Noticed, Posted, ReadUpTo, Renamed, Said, TakenBack
from protocol.frames import AnyCommand, AnyFrame, Failed, Follow, Goodbye, Members, Refused
from protocol.values import Harm, NoticeKind, Role, SpaceKind
from tests.client.conftest import CALM, FakeGrant
from tests.client.fake_server import FakeServer
from tests.client.fake_web import FakeWeb
from tests.client.programs import run_program


class ListScreen:
    """Types given lines, each when everything before it has been printed, and keeps what is printed. A function among the lines is
    called in its turn: something happens elsewhere."""

    def __init__(self, *lines: str | Callable[[], object]) -> None:
        self._lines = list(lines)
        self.printed: list[str] = []

    async def read(self) -> str | None:
        while True:
            await trio.sleep(1)
            line = self._lines.pop(0) if self._lines else None
            if not callable(line):
                return line
            line()

    def write(self, text: str) -> None:
        self.printed.append(text)

    def paint_name(self, name: str, user: int) -> str:
        return name

    def dim(self, text: str) -> str:
        return text

    @property
    def text(self) -> str:
        return "\n".join(self.printed)


async def chat(server: FakeServer, *lines: str | Callable[[], object], device: int = 11) -> ListScreen:
    """Types these lines and returns the screen."""
    screen = ListScreen(*lines)
    async with connect(server.transport(), FakeGrant(server, device, 4e9), world=CALM) as session:
        await Chat(session, screen).run()
    return screen


@pytest.fixture
def physics(server: FakeServer) -> int:
    """A community of both people; returns its channel."""
    space = server.new_space(SpaceKind.COMMUNITY, "Physics")
    server.enter(space, 1, Role.OWNER)
    server.enter(space, 2, Role.LEARNER)
    return space.streams[1][0]


async def test_somebody_founds_a_community_and_talks_in_it(server: FakeServer, autojump_clock: MockClock) -> None:
    screen = await chat(server, "/create community Physics", "hello, world")
    assert "[1] ada: hello, world" in screen.printed
    (space,) = server.spaces.values()
    assert server.texts(space.streams[1][0]) == ["hello, world"]


async def test_words_are_found_where_one_is_a_member(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    server.append(physics, 2, Said("tide tables"))
    screen = await chat(server, "/find tide", "/find nothing like it", "/find")
    assert "(Physics/general) [1] ben: TIDE tables" in screen.printed
    assert any(line.startswith("* Nothing found.") for line in screen.printed)
    assert "* /find WORDS; parts of words do, too." in screen.printed


async def test_a_channel_shows_what_was_said_and_what_comes(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    server.append(physics, 2, Said("earlier"))
    screen = await chat(server, "/spaces", "/open general", "now")
    assert "[1] ben: earlier" in screen.printed and "[2] ada: now" in screen.printed
    assert any(line.endswith("general  · new") for line in screen.printed)


async def test_messages_are_answered_edited_reacted_to_and_taken_back(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    screen = await chat(server, "/open general", "one", "/reply 1 two", "/edit 1 uno", "/react 1 👍", "/delete 2", "/open general")
    assert "[2] ada ↩1: two" in screen.printed
    assert "[1] ada: uno (edited)" in screen.printed
    assert "[1] ada: uno (edited)  👍1" in screen.printed
    assert screen.printed[-1] == "[1] ada: uno (edited)  👍1", "what is shown again has its reactions"
    assert "* [2] was taken back." in screen.printed


async def test_a_name_with_an_at_sign_mentions_the_person(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    await chat(server, "/open general", "what do you think, @ben?")
    assert server.log[physics][0].body == Posted("what do you think, @ben?", 0, (2,))


async def test_a_login_name_with_an_at_sign_mentions_the_person_too(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    server.names[2], server.logins[2] = "Benjamin B.", "benny"
    await chat(server, "/open general", "and you, @benny?")
    assert server.log[physics][0].body == Posted("and you, @benny?", 0, (2,))


async def test_what_one_missed_is_told_once_at_the_start_without_reading_the_whole_inbox(
    server: FakeServer, physics: int, autojump_clock: MockClock
) -> None:
    closed = server.new_space(SpaceKind.COMMUNITY, "Chess")
    server.append(1001, 2, Invited(closed.id, "Chess", Role.MENTOR, 2))
    for seq in range(1, 401):
        server.append(1001, 1, ReadUpTo(50, seq))
    server.append(physics, 2, Posted("@ada!", 0, (1,)))
    server.append(1001, 2, Mentioned(physics, 1, 2))
    head = len(server.log[1001])
    screen = await chat(server, "/spaces")
    assert screen.printed.count(f"* Ben invites you to Chess as mentor: /join {closed.id}") == 1
    assert screen.printed.count("* You were mentioned in Physics/general (message 1).") == 1
    follows = [command.after for command in server.commands if isinstance(command, Follow) and command.stream == 1001]
    assert follows and follows[-1] == head


async def test_a_chat_that_begins_offline_lists_the_spaces_once_it_is_online(
    server: FakeServer, physics: int, autojump_clock: MockClock
) -> None:
    class LateScreen(ListScreen):
        async def read(self) -> str | None:
            server.away = False
            await session.online()
            return await super().read()

    server.away = True
    screen = LateScreen("/status")
    async with connect(server.transport(), FakeGrant(server, 11, 4e9), world=CALM) as session:
        await Chat(session, screen).run()
    assert "* You are online again." in screen.printed and "Physics (owner, number" in screen.text


async def test_people_write_to_each_other_in_private(server: FakeServer, autojump_clock: MockClock) -> None:
    await chat(server, "/dm ben", "psst")
    screen = await chat(server, "/spaces", "/dm ada", device=21)
    assert "[1] ada: psst" in screen.printed


async def test_an_invitation_is_sent_heard_and_taken(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    server.user(3, 31, name="cyd")
    await chat(server, "/open general", "/invite cyd")
    space = next(iter(server.spaces))
    screen = await chat(server, f"/join {space}", "/open general", "/who", device=31)
    assert f"* Ada invites you to Physics as learner: /join {space}" in screen.printed
    assert "Welcome to Physics" in screen.text and "cyd  learner" in screen.text


async def test_who_vouches_for_somebody_is_told_so_and_can_take_it_back(
    server: FakeServer, physics: int, autojump_clock: MockClock
) -> None:
    space = next(iter(server.spaces))
    screen = await chat(server, "/open general", "/vouch ben")
    assert server.vouched == {(1, 2, space)}
    assert "You vouch for Ben in Physics." in screen.text
    screen = await chat(server, "/open general", "/unvouch ben")
    assert not server.vouched and "You do not vouch for Ben in Physics." in screen.text


async def test_what_somebody_says_whom_one_blocks_is_not_shown_until_one_takes_it_back(
    server: FakeServer, physics: int, autojump_clock: MockClock
) -> None:
    await chat(server, "/open general", "buy cheap pills", device=21)
    screen = await chat(server, "/block ben", "/open general")
    assert server.blocks == {(1, 2)}
    assert "You block Ben" in screen.text and "is by somebody whom you block." in screen.text
    assert screen.text.count("cheap pills") == 1, "before"
    screen = await chat(server, "/open general")
    assert "cheap pills" not in screen.text, "on the next day, too"
    screen = await chat(server, "/unblock ben", "/open general")
    assert not server.blocks and "cheap pills" in screen.text


async def test_a_message_is_reported_by_its_number(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    await chat(server, "/open general", "buy cheap pills", device=21)
    screen = await chat(server, "/open general", "/report 1 it is an advertisement", "/report 1", "/report")
    assert [report[1:] for report in server.reports] == [(physics, 1, "it is an advertisement"), (physics, 1, "")]
    assert "Message 1 is reported." in screen.text and "/report N; the number stands before the message." in screen.text


async def test_whoever_joins_later_goes_by_name_and_by_the_new_one_after_a_change(
    server: FakeServer, physics: int, autojump_clock: MockClock
) -> None:
    server.user(3, 31, name="cyd")
    space = next(iter(server.spaces.values()))
    main, _, _ = space.streams[0]
    screen = await chat(
        server,
        "/open general",
        lambda: server.enter(space, 3, Role.LEARNER),
        lambda: server.append(physics, 3, Said("hello")),
        lambda: server.append(main, 3, Renamed(3, "Cyd the Great")),
        lambda: server.append(physics, 3, Said("again")),
    )
    assert screen.printed[-4:] == [
        "* cyd joined Physics.",
        "[1] cyd: hello",
        "* cyd is now called Cyd the Great.",
        "[2] Cyd the Great: again",
    ]


async def test_an_author_whom_nobody_announced_is_asked_for_once(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    space = next(iter(server.spaces.values()))
    server.user(3, 31, name="cyd")
    screen = await chat(
        server,
        "/open general",
        lambda: space.members.update({3: Role.LEARNER}),
        lambda: server.append(physics, 3, Said("hello")),
        lambda: server.append(physics, 4, Said("gone when asked for")),
        lambda: server.append(physics, 4, Said("and not asked for again")),
    )
    assert "[1] cyd: hello" in screen.printed and "[2] user 4: gone when asked for" in screen.printed
    asked = [command.after for command in server.commands if isinstance(command, Members) and command.limit == 1]
    assert asked == [2, 3]


async def test_a_name_that_cannot_be_asked_for_does_not_end_the_chat(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    def answer(user: int, command: AnyCommand) -> AnyFrame | None:
        if isinstance(command, Members) and command.limit == 1:
            return Failed(command.id, Code.FORBIDDEN)
        return answer_as_ever(user, command)

    answer_as_ever = server.answer
    server.answer = answer  # type: ignore[method-assign]
    screen = await chat(server, "/open general", lambda: server.append(physics, 4, Said("hello")), "still here")
    assert screen.printed[-2:] == ["[1] user 4: hello", "[2] ada: still here"]


async def test_who_invites_is_told_by_name_and_joining_opens_the_first_channel(
    server: FakeServer, physics: int, autojump_clock: MockClock
) -> None:
    server.user(3, 31, name="cyd")
    space = next(iter(server.spaces))
    invite = server.spaces[space]

    def ben_invites() -> None:
        server.append(1003, 2, Invited(space, invite.name, Role.LEARNER, 2))

    screen = await chat(server, ben_invites, "hello?", f"/join {space}", "hello!", device=31)
    assert f"* Ben invites you to Physics as learner: /join {space}" in screen.printed
    assert f"* You are in no community yet: /join {space} takes you to Physics." in screen.printed
    assert screen.printed[-3:] == ["* Welcome to Physics.", "* Physics/general: 3 people. Type to talk, /help for more.", "[1] cyd: hello!"]


async def test_ones_own_words_are_no_news_on_any_device(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    screen = await chat(server, "/open general", "hello", "/react 1 👍", "/spaces")
    assert not [line for line in screen.printed if "new" in line]
    read = [event.body.seq for event in server.log[1001] if isinstance(event.body, ReadUpTo) and event.body.stream == physics]
    assert read == [2], "marked once, at the end"


async def test_what_others_say_elsewhere_is_counted(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    screen = await chat(server, "/open general", "hello", "/create channel labs", lambda: server.append(physics, 2, Said("hi")), "/spaces")
    assert "(Physics/general) [2] ben: hi" in screen.printed
    assert f"  {physics}  general  · 1 new" in screen.printed


async def test_an_outage_is_told_in_one_line_and_its_end_in_another(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    class OfflineScreen(ListScreen):
        async def read(self) -> str | None:
            line = await super().read()
            if line == "/help":
                server.away = True
                server.cut_all()
                await trio.sleep(60)
                server.away = False
                await trio.sleep(60)
            return line

    screen = OfflineScreen("/open general", "/help")
    async with connect(server.transport(), FakeGrant(server, 11, 4e9), world=CALM) as session:
        await Chat(session, screen).run()
    assert [line for line in screen.printed if "line" in line and line.startswith("* You are")] == [
        "* You are offline: the server cannot be reached. I keep trying; press Enter to try now.",
        "* You are online again.",
    ]


async def test_what_one_does_oneself_is_told_once(server: FakeServer, autojump_clock: MockClock) -> None:
    screen = await chat(server, "/create community Physics", "/dm ben")
    assert "* Physics/general: 1 person. Type to talk, /help for more." in screen.printed
    assert not [line for line in screen.printed if "now a member" in line or "wants to talk" in line]


async def test_a_conversation_that_somebody_begins_is_announced_by_their_name(server: FakeServer, autojump_clock: MockClock) -> None:
    def ben_writes() -> None:
        space = server.new_space(SpaceKind.CONVERSATION, "")
        server.enter(space, 1, Role.LEARNER)
        server.enter(space, 2, Role.LEARNER)

    screen = await chat(server, ben_writes)
    (space,) = server.spaces.values()
    assert f"* ben wants to talk to you: /open {space.streams[0][0]}" in screen.printed


async def test_older_messages_come_with_history_up_to_the_beginning(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    for number in range(50):
        server.append(physics, 2, Said(f"message {number}"))
    screen = await chat(server, "/open general", "/history 40")
    assert "[1] ben: message 0" in screen.printed and "* This is the beginning." in screen.printed


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("hello", "You are in no community yet"),
        ("/opne x", "There is no /opne. Did you mean /open"),
        ("/open nowhere", "There is no channel 'nowhere'"),
        ("/dm nobody", "Nobody logs in as nobody here."),
        ("/join 999", "/join was refused. There is nothing of that name or number"),
        ("/invite ben", "You are in no community yet"),
        ("/vouch ben", "You are in no community yet"),
        ("/unvouch", "/unvouch PERSON"),
        ("/join", "/join NUMBER"),
        ("/reply x y", "/reply N TEXT"),
        ("/edit 1", "/edit N TEXT"),
        ("/react 1", "/react N EMOJI"),
        ("/create", "/create community NAME"),
        ("/help", "/spaces "),
        ("/status", "online; round trip"),
    ],
)
async def test_every_mistake_is_told_and_the_chat_goes_on(server: FakeServer, autojump_clock: MockClock, typed: str, told: str) -> None:
    screen = await chat(server, typed, "/create community Physics", "still here")
    assert any(piece in screen.text for piece in told.split("|"))
    assert "[1] ada: still here" in screen.printed


async def test_a_refusal_is_told_in_the_servers_words(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    screen = ListScreen("/open general", "rude words")
    async with connect(server.transport(), FakeGrant(server, 11, 4e9), world=CALM) as session:
        server.refusals.append(Refused(0, Code.FORBIDDEN, "this channel is for mentors"))
        await Chat(session, screen).run()
    assert "* “rude words” was refused. This channel is for mentors." in screen.printed


async def test_what_is_said_offline_is_announced_kept_and_sent(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    class FlakyScreen(ListScreen):
        async def read(self) -> str | None:
            line = await super().read()
            if line == "from the tunnel":
                server.away = True
                server.cut_all()
                await trio.sleep(1)
            if line is None:
                server.away = False
            return line

    screen = FlakyScreen("/open general", "from the tunnel")
    async with connect(server.transport(), FakeGrant(server, 11, 4e9), world=CALM) as session:
        await Chat(session, screen).run()
    assert "* It is kept, and sent when you are online again." in screen.printed
    assert server.texts(physics) == ["from the tunnel"]


async def test_pressing_enter_while_offline_tries_at_once(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    class ReturningScreen(ListScreen):
        tried_s = 0.0

        async def read(self) -> str | None:
            line = await super().read()
            if line == "":
                server.away = True
                server.cut_all()
                while session.status.wait_s < 3:
                    await session.status_after(session.status)
                server.away, self.tried_s = False, trio.current_time()
            elif line == "/status":
                await session.online()
                self.tried_s = trio.current_time() - self.tried_s
            return line

    screen = ReturningScreen("/open general", "", "/status")
    async with connect(server.transport(), FakeGrant(server, 11, 4e9), world=World(lambda: 0.0, lambda: 0.999)) as session:
        await Chat(session, screen).run()
    assert "press Enter" in screen.text
    assert screen.tried_s <= 1


async def test_the_end_of_a_session_ends_the_chat_with_its_reason(server: FakeServer, physics: int, autojump_clock: MockClock) -> None:
    with pytest.raises(SessionEnded, match="logged out elsewhere"):
        async with connect(server.transport(), FakeGrant(server, 11, 4e9), world=CALM) as session:
            async with trio.open_nursery() as nursery:

                async def revoke() -> None:
                    await session.online()
                    server.tell_all(Goodbye(Code.REVOKED, "logged out elsewhere"))

                nursery.start_soon(revoke)
                await Chat(session, ListScreen("/spaces", *["/who"] * 60)).run()


async def test_the_program_can_be_driven_through_pipes(web: FakeWeb, server: FakeServer) -> None:
    arguments = ["-m", "client.chat", "--url", web.url, "--name", "cyd", "--register"]
    done = await run_program(arguments, "/create community Chess\ne4\n/quit\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"[1] cyd: e4" in done.stdout and b"\x1b" not in done.stdout
    again = await run_program([*arguments[:-1], "--open", "Chess"], "e5\n")
    assert b"[2] cyd: e5" in again.stdout


async def test_the_program_says_where_no_server_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    done = await run_program(["-m", "client.chat", "--url", url, "--name", "cyd"], "")
    assert (done.returncode, done.stdout, done.stderr) == (1, f"* No server answers at {url}.\n".encode(), b"")


async def test_the_program_says_why_it_could_not_log_in(web: FakeWeb) -> None:
    done = await run_program(["-m", "client.chat", "--url", web.url, "--name", "nobody"], "")
    assert done.returncode == 1 and done.stdout == b"* Unknown name or wrong password.\n" and done.stderr == b""


async def test_what_moderation_takes_back_goes_with_its_reason_and_its_author_is_told(
    server: FakeServer, physics: int, autojump_clock: MockClock
) -> None:
    def take_back() -> None:
        server.append(physics, 2, Said("you are worth nothing"))
        server.append(physics, 0, Deleted(1))
        server.append(physics, 0, TakenBack(1, Harm.INSULT))

    def tell() -> None:
        server.append(1001, 0, Noticed(NoticeKind.MODERATION, subject=7, words="We took back a message of yours."))

    screen = await chat(server, "/open general", take_back, tell, "/appeal x")
    assert "* [1] was taken back." in screen.printed
    assert "* [1] is gone because it can hurt somebody." in screen.printed
    assert "* We took back a message of yours. (/held has it as 7)" in screen.printed
    assert "* /appeal H WORDS; /held shows the number." in screen.printed
