"""`educonnect sync`, as typed words and printed lines: offline first, then against a server, then what two devices disagree about."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import trio

from client.session import Status
from client.sqlite_store import MemoryStore, SqliteStore
from client.store import Settled
from client.sync import offline_desk, sync
from client.sync_commands import is_reached, merged_fields
from client.sync_fields import write_text
from client.sync_streams import SyncStreams
from client.sync_view import Progress, conflict_lines
from protocol.codec import encode
from protocol.codes import Code
from protocol.entities import Entity, Fields, write_fields
from protocol.frames import Conflict, Refused
from protocol.operations import Change, Say
from protocol.values import ConflictState, Role, SpaceKind
from tests.client.conftest import CALM
from tests.client.fake_server import FakeServer, Space
from tests.client.fake_web import FakeWeb
from tests.client.programs import run_program

PASSWORD = "correct horse"


class Terminal:
    """Types commands for one store; `printed` holds what the last one said."""

    def __init__(self, store: Path, url: str) -> None:
        self.store = store
        self.url = url
        self.printed: list[str] = []

    async def __call__(self, *words: str, login: bool = True) -> int:
        self.printed = []
        given = ["--url", self.url, "--name", "ada", "--password", PASSWORD] if login else []
        return await sync(["--store", str(self.store), "--wait", "5", *given, *words], self.printed.append)

    @property
    def text(self) -> str:
        return "\n".join(self.printed)


@pytest.fixture
def space(server: FakeServer) -> Space:
    """A community that person 1 owns, with streams of records."""
    server.own_stream(1)
    space = server.new_space(SpaceKind.COMMUNITY, "garden")
    server.record_streams(space, 1)
    space.members[1] = Role.OWNER
    return space


@pytest.fixture
def terminal(web: FakeWeb, space: Space, tmp_path: Path) -> Terminal:
    web.passwords["ada"] = (1, PASSWORD)
    return Terminal(tmp_path / "store.db", web.url)


def elsewhere(server: FakeServer, stream: int, entity: int, key: int, fields: Fields, base: int = 0, later_s: int = 0) -> None:
    """Another device of the same person writes."""
    change = Change(stream, entity, key, int(CALM.wall()) + later_s, write_fields(fields), base)
    server.decide(12, server.devices[12].last_number + 1, encode(change))


def stream_of(server: FakeServer, entity: int) -> int:
    """Where the fake server has records of this kind."""
    (stream,) = {name[0] for name in server.records.records if name[1] == entity}
    return stream


async def test_what_is_written_offline_is_kept_shown_and_sent_later(terminal: Terminal, server: FakeServer) -> None:
    assert await terminal("now") == 0
    assert await terminal("--offline", "put", "profile", "about=I like boats", "languages=sw, en", login=False) == 3
    assert terminal.printed[-1].startswith("It is kept on this device and sent when there is a connection")
    assert await terminal("queue", login=False) == 0
    assert terminal.text.endswith("[waits]") and "about: I like boats" in terminal.text
    assert await terminal("get", "profile", login=False) == 0
    assert terminal.printed == ["profile 1 (your own)  [1 change to be sent]", "  about: I like boats", "  languages: sw, en"]
    assert await terminal("status", login=False) == 0
    assert any(line.startswith("1 change of ") and line.endswith("to be sent (educonnect sync queue).") for line in terminal.printed)
    assert await terminal("now", login=False) == 0
    assert "Nothing waits to be sent." in terminal.printed and terminal.text.count("Last in step with the server: ") == 1
    assert server.records.fields(stream_of(server, Entity.PROFILE), Entity.PROFILE, 1) == {1: "I like boats", 3: ("sw", "en")}


def test_how_far_it_is_is_told_where_it_is_further_and_never_twice() -> None:
    told = Progress()
    said = [told.line(*seen) for seen in ((1, 0), (1, 6), (1, 5), (1, 6), (1, 5), (0, 3), (1, 3), (0, 0))]
    assert [line for line in said if line] == [
        "1 change still to be sent",
        "6 streams still to come",
        "5 streams still to come",
        "3 streams still to come",
    ]


async def test_what_a_store_needs_to_know_is_asked_once_and_is_nobody_elses_to_read(terminal: Terminal, web: FakeWeb) -> None:
    assert await terminal("now", login=False) == 2
    assert terminal.printed == ["This needs a connection to the server, and nobody has logged in with this store yet: give --name."]
    assert await terminal("now") == 0
    for _ in range(3):
        assert await terminal("put", "profile", "about=x", login=False) == 0
    assert [route for route, _ in web.requests] == ["login"]
    assert await terminal("--name", "ben", "now", login=False) == 2
    assert terminal.printed == ["This store is ada's. Another person needs another --store."]


async def test_a_store_of_the_program_is_its_owners_alone(web: FakeWeb, terminal: Terminal, tmp_path: Path) -> None:
    arguments = [
        "-c",
        "import sys; from supervisors.cli import main; sys.exit(main())",
        "sync",
        "--store",
        str(tmp_path / "new.db"),
        "--url",
        web.url,
        "--name",
        "ada",
    ]
    done = await run_program([*arguments, "status"])
    assert (done.returncode, done.stderr) == (0, b"") and b"Never yet in step" in done.stdout
    assert stat.S_IMODE((tmp_path / "new.db").stat().st_mode) == 0o600


async def test_tokens_that_no_longer_do_are_followed_by_the_password(terminal: Terminal, web: FakeWeb, server: FakeServer) -> None:
    await terminal("now")
    server.tokens.clear()
    server.tickets = {}
    web.refresh_tokens.clear()
    assert await terminal("put", "profile", "about=late") == 1
    assert await terminal("now") == 0
    assert server.records.fields(stream_of(server, Entity.PROFILE), Entity.PROFILE, 1) == {1: "late"}


async def test_what_is_wrong_is_said_before_anything_is_kept(terminal: Terminal) -> None:
    await terminal("now")
    for words, said in (
        (("put", "prof", "about=x"), "There is no kind of record “prof”. There are: progress, answer, profile,"),
        (("put", "profile", "age=3"), "Profile has no field “age”. It has: about, languages, time_zone, interests."),
        (("put", "profile", "about"), "Say which profile"),
        (("put", "preferences", "text_only=perhaps"), "text_only is yes or no, not “perhaps”."),
        (("put", "progress", "7", "percent=many"), "percent is a whole number, not “many”."),
        (("put", "progress", "7", "percent=101"), "This cannot be kept: field 1 (percent): a whole number from 0 to 100."),
        (("put", "progress", "percent=10"), "Say which progress: its key is a number (the lesson)."),
        (("put", "bookmark", "new", "note=@/nowhere/at/all"), "The file /nowhere/at/all cannot be read: No such file or directory."),
        (("delete", "progress", "7"), "This cannot be kept: progress cannot be deleted."),
        (("conflicts", "resolve", "9", "--mine"), "There is no conflict 9"),
        (("unapplied", "retry", "9"), "Nothing with the number 9 was refused"),
        (("scope", "set", "999"), "There is no stream 999 for you here"),
    ):
        assert await terminal("--offline", *words) == 2, words
        assert terminal.printed[-1].startswith(said)
    assert await terminal("queue") == 0
    assert terminal.printed == ["Nothing waits to be sent, and nothing was refused."]


async def test_where_no_server_answers_what_is_written_is_kept_and_the_rest_says_so(terminal: Terminal, server: FakeServer) -> None:
    await terminal("now")
    nowhere = "http://127.0.0.1:9"
    assert await terminal("--url", nowhere, "put", "profile", "about=x") == 3
    assert terminal.printed[0] == f"No server answers at {nowhere}."
    assert await terminal("--url", nowhere, "versions", "profile") == 1
    assert terminal.printed[-1] == "This needs a connection to the server."
    assert await terminal("--offline", "versions", "profile") == 1
    assert await terminal("queue") == 0 and "about: x" in terminal.text


async def test_what_is_written_waits_for_one_attempt_to_reach_the_server_and_no_longer() -> None:
    with MemoryStore() as store:
        session = offline_desk(store, print).session
        for state, reached in (("waiting", False), ("online", True), ("ended", True)):
            session.set_status(Status(state, 8.0))
            with trio.fail_after(5):
                assert await is_reached(session) is reached


async def test_a_refused_change_is_listed_with_its_reason_retried_and_discarded(terminal: Terminal, server: FakeServer) -> None:
    await terminal("now")
    server.refusals.append(Refused(0, Code.FORBIDDEN, "not yours to write"))
    assert await terminal("put", "profile", "about=x") == 1
    assert terminal.printed[1] == "It was refused. Not yours to write."
    with SqliteStore(terminal.store) as store:
        (key,) = (one.key for one in store.unapplied())
        said = store.append(encode(Say(50, "hello")))
        store.settle([Settled(said, Code.FORBIDDEN, 0, "", 1)])
    assert await terminal("unapplied", "list") == 0
    assert terminal.printed[0].startswith(f"{key}  profile 1 (your own): about: x")
    assert terminal.printed[0].endswith("[refused: not yours to write]")
    assert "message to stream 50: “hello”" in terminal.printed[1]
    assert await terminal("unapplied", "retry", str(key)) == 0
    assert terminal.printed[-1] == "It is written."
    assert await terminal("unapplied", "discard", str(said)) == 0
    assert await terminal("unapplied", "list") == 0
    assert terminal.printed == ["Nothing was refused."]


async def test_what_a_community_keeps_is_asked_of_the_server_and_never_waited_for_without_one(terminal: Terminal) -> None:
    await terminal("now")
    with trio.fail_after(10):
        assert await terminal("--offline", "unapplied", "list", "--in", "20") == 1
    assert terminal.printed == ["This needs a connection to the server."]


async def test_a_refused_step_is_said_and_leaves_nothing_to_look_after(terminal: Terminal, server: FakeServer) -> None:
    await terminal("now")
    server.refusals.append(Refused(0, Code.CONFLICT, "Reopen in CLAIMED; legal here: Claim, Resolve"))
    assert await terminal("conflicts", "reopen", "1") == 1
    assert terminal.printed[0].startswith("It was refused. Reopen in CLAIMED") and len(terminal.printed) == 1
    assert await terminal("unapplied", "list") == 0
    assert terminal.printed == ["Nothing was refused."]


async def test_records_are_begun_listed_and_deleted(terminal: Terminal) -> None:
    await terminal("now")
    assert await terminal("put", "bookmark", "new", "note=page 7") == 0
    key = terminal.printed[0].split()[1]
    assert await terminal("put", "bookmark", key, "note=page 8") == 0
    assert await terminal("list", "bookmark") == 0
    assert terminal.printed == [f"bookmark {key} (your own)", "  note: page 8"]
    assert await terminal("delete", "bookmark", key) == 0
    assert await terminal("get", "bookmark", key) == 1
    assert await terminal("list", "bookmark") == 0
    assert terminal.printed == ["There are none on this device."]


@pytest.fixture
async def disputed(terminal: Terminal, server: FakeServer, space: Space) -> str:
    """Two devices wrote one text: this one's waits for a decision. Returns the record's key."""
    await terminal("now")
    await terminal("put", "content", "new", "title=Bread", "text=Flour and water make bread.")
    key = terminal.printed[0].split()[1]
    elsewhere(server, stream_of(server, Entity.CONTENT), Entity.CONTENT, int(key), {2: "Flour and warm water make good bread."}, base=1)
    await terminal("--offline", "put", "content", key, "text=Rye flour makes bread.")
    assert await terminal("now") == 0, terminal.text
    assert "1 conflict to be decided (educonnect sync conflicts list)." in terminal.printed
    return key


async def test_a_conflict_is_shown_field_by_field_also_offline(terminal: Terminal, disputed: str) -> None:
    assert await terminal("--offline", "conflicts", "list") == 0
    assert terminal.printed[0].startswith(f"1  content {disputed} (library of community ")
    assert await terminal("--offline", "conflicts", "show", "1") == 0
    assert "  mine: Rye flour makes bread." in terminal.printed
    assert "  theirs: Flour and warm water make good bread." in terminal.printed
    assert terminal.printed[-1].startswith("To decide: educonnect sync conflicts resolve 1 --mine | --theirs | --merged")


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        (["--mine"], "Rye flour makes bread."),
        (["--theirs"], "Flour and warm water make good bread."),
        (["--merged", "text=Rye flour and warm water make good bread."], "Rye flour and warm water make good bread."),
    ],
)
async def test_a_conflict_is_decided_offline_and_holds_everywhere(
    terminal: Terminal, server: FakeServer, disputed: str, decision: list[str], text: str
) -> None:
    assert await terminal("--offline", "conflicts", "resolve", "1", *decision) == 3
    assert await terminal("now") == 0, terminal.text
    assert server.records.fields(stream_of(server, Entity.CONTENT), Entity.CONTENT, int(disputed))[2] == text
    assert await terminal("conflicts", "list") == 0
    assert terminal.printed == ["No conflict waits for you."]


async def test_what_cannot_be_put_together_is_not_decided_by_a_program(terminal: Terminal, disputed: str, tmp_path: Path) -> None:
    file = tmp_path / "bread.txt"
    assert await terminal("conflicts", "resolve", "1", "--merged") == 2
    assert terminal.printed == ["Say what is to become of text: name=value, or name=@FILE."]
    assert await terminal("conflicts", "show", "1", "--write", str(file)) == 0
    assert "<<<<<<< mine" in file.read_text()
    assert await terminal("conflicts", "resolve", "1", "--merged", str(file)) == 2
    assert terminal.printed == ["text still has marks in it. Choose between them first."]
    file.write_text("Any flour makes bread.")
    assert await terminal("conflicts", "resolve", "1", "--merged", str(file)) == 0
    assert terminal.printed == ["It is written."]
    assert await terminal("get", "content", disputed) == 0
    assert "  text: Any flour makes bread." in terminal.printed


def conflict_of(common: Fields, mine: Fields, theirs: Fields, present: Fields) -> Conflict:
    """One about a section, that waits."""
    common_, mine_, theirs_, present_ = (write_fields(side) for side in (common, mine, theirs, present))
    return Conflict(1, 26, Entity.CONTENT, 7, 2, ConflictState.PENDING, 0, 9, mine_, theirs_, common_, present_)


def test_a_file_without_a_name_is_the_text_that_both_changed_and_not_a_heading_that_one_did(tmp_path: Path) -> None:
    theirs: Fields = {1: "Bread", 2: "Flour and warm water."}
    conflict = conflict_of({1: "Bread", 2: "Flour and water."}, {1: "Brown bread", 2: "Rye flour."}, theirs, theirs)
    write_text(str(tmp_path / "text.txt"), "Rye flour and warm water.")
    assert merged_fields(conflict, [str(tmp_path / "text.txt")]) == {1: "Brown bread", 2: "Rye flour and warm water."}


def test_theirs_is_what_the_decision_writes_and_what_stands_there_since_is_shown_beside_it() -> None:
    def shown(present: str) -> list[str]:
        conflict = conflict_of({2: "before"}, {2: "mine"}, {2: "theirs"}, {2: present})
        return [line.strip() for line in conflict_lines(conflict, SyncStreams(MemoryStore()))]

    assert "theirs: theirs" in shown("theirs") and not any(line.startswith("now:") for line in shown("theirs"))
    assert {"mine: mine", "theirs: theirs", "now: newer"} <= set(shown("newer"))
    # Decided for mine and opened again: theirs, which is what can be had by deciding otherwise, must be seen.
    assert {"mine: mine", "theirs: theirs", "now: mine"} <= set(shown("mine"))


async def test_a_decided_conflict_is_opened_again_and_decided_otherwise(terminal: Terminal, disputed: str) -> None:
    assert await terminal("conflicts", "claim", "1") == 0
    assert await terminal("conflicts", "resolve", "1", "--theirs") == 0
    assert await terminal("conflicts", "resolve", "1", "--mine") == 2
    assert terminal.printed == ["It is decided already. To decide it anew, first: educonnect sync conflicts reopen 1"]
    assert await terminal("conflicts", "list", "--all") == 0 and "decided" in terminal.text
    assert await terminal("conflicts", "undo", "1") == 0
    assert await terminal("conflicts", "resolve", "1", "--mine") == 0
    assert await terminal("get", "content", disputed) == 0
    assert "  text: Rye flour makes bread." in terminal.printed


async def test_a_replaced_value_is_listed_and_brought_back(terminal: Terminal, server: FakeServer, disputed: str) -> None:
    assert await terminal("conflicts", "resolve", "1", "--mine") == 0
    assert await terminal("versions", "content", disputed) == 0
    place = terminal.printed[0].split()[0]
    assert "Flour and warm water" in terminal.printed[0]
    assert await terminal("restore", "content", disputed, "--place", "99") == 2
    assert await terminal("restore", "content", disputed, "--place", place) == 0
    assert await terminal("get", "content", disputed) == 0
    assert "  text: Flour and warm water make good bread." in terminal.printed


async def test_what_a_device_keeps_is_chosen_and_told_with_reasons(terminal: Terminal, server: FakeServer) -> None:
    await terminal("now")
    await terminal("put", "profile", "about=" + "x" * 400)
    assert await terminal("scope", "show") == 0
    assert terminal.printed[0] == "To be kept on this device: everything, as many bytes as it takes."
    own = stream_of(server, Entity.PROFILE)
    assert await terminal("scope", "set", str(own)) == 0
    assert await terminal("scope", "quota", "300") == 0
    assert await terminal("scope", "show") == 0
    assert terminal.printed[0] == "To be kept on this device: 1 stream that you chose, at most 300 bytes."
    assert f"{own}  your own: left out (the quota of 300 bytes is used up)" in terminal.printed
    assert await terminal("get", "profile") == 1
