"""Search in messages against a real Postgres: what is found, by whom, in which order, and what is not found any more."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest
import trio

import persistence.search
from actors.storage import Answered, Denied, FindMessages, ListSpaces, MessagesFound, SpaceList
from persistence.append import append_events, event
from persistence.bridge import Bridge
from persistence.operations.messages import rewrite
from persistence.sovereignty.retention import forget_what_is_too_old
from protocol.codes import Code
from protocol.events import Edited
from protocol.operations import (
    Block,
    ChangeChannel,
    CreateChannel,
    Delete,
    Edit,
    OpenConversation,
    Post,
    React,
    Remove,
    Say,
    SetModeration,
    SetRole,
    Unblock,
)
from protocol.values import HeldState, Role
from tests.persistence.moderation.scene import NEVER_SWEEPS, FakeModels, moderated, until
from tests.persistence.searching import library
from tests.persistence.world import Mailbox

STAFF = Role.OWNER | Role.MODERATOR


async def test_whole_words_come_first_then_the_newest(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        for text in ("the exam is hard", "examples help", "exam on Monday", "an EXAM, again", "nothing"):
            await lib.w.ok(ann, Say(channel, text))
        await lib.index()
        found = await lib.find(ann, "exam")
        assert [("".join(one.excerpt), one.whole) for one in found] == [
            ("an EXAM, again", True),
            ("exam on Monday", True),
            ("the exam is hard", True),
            ("examples help", False),
        ]
        assert found[0].excerpt == ("an ", "EXAM", ", again") and found[3].excerpt == ("", "examples", " help")
        assert (found[0].stream, found[0].author, found[0].name) == (channel, ann.user, "Ann")


async def test_all_the_words_have_to_be_there(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        for text in ("exam on Monday", "exam on Tuesday", "Monday is free"):
            await lib.w.ok(ann, Say(channel, text))
        await lib.index()
        assert await lib.texts(ann, "monday exam") == ["exam on Monday"]
        assert await lib.texts(ann, "mon exa") == ["exam on Monday"]
        assert await lib.texts(ann, "!!! ...") == []


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("I like mathematics", "matematics"),  # a slip
        ("I like mathematics", "themat"),  # a part
        ("she was running home", "runs"),  # another form
        ("los exámenes finales", "examen"),
        ("Les élèves étudient", "eleves"),  # without accents
        ("قرأت الكتاب اليوم", "كتاب"),  # without its article
        ("أَهْلاً وَسَهْلاً بكم", "اهلا"),  # without vowel signs
        ("Ninapenda kusoma vitabu", "kusoma"),
        ("Anasoma sana", "soma"),  # a verb without its person
        ("look at https://example.com/plan", "example.com"),
        ("well-known facts", "known"),
        ("It's o'clock \\ 100%_", "100"),
    ],
)
async def test_what_is_meant_is_found(bridge: Bridge, said: str, typed: str) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        await lib.w.ok(ann, Say(channel, "something else entirely"))
        await lib.w.ok(ann, Post(channel, said))
        await lib.index()
        [found] = await lib.find(ann, typed)
        assert "".join(found.excerpt) == said and len(found.excerpt) > 1


@pytest.mark.parametrize("words", ["'", "\\", "a & b | !c", "(", ":*", "%", "_", "''", "a\\'b", "\x01", "<->", "é" * 200])
async def test_no_word_is_an_error(bridge: Bridge, words: str) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        await lib.w.ok(ann, Say(channel, f"before {words} after"))
        await lib.w.ok(ann, Say(channel, "nul \0 here"))
        await lib.index()
        assert isinstance(await lib.ask(ann, words), MessagesFound)
        assert len(await lib.find(ann, "before")) == 1


async def test_only_who_may_read_a_stream_now_finds_what_is_in_it(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        w = lib.w
        ann, ben, cem = [await w.person(name) for name in ("ann", "ben", "cem")]
        space, _, channel = await w.community(ann, ben)
        staff = await w.ok(ann, CreateChannel(space, "staff", STAFF, STAFF))
        private = await w.ok(ann, OpenConversation((ben.user,)))
        for stream in (channel, staff, private):
            await w.ok(ann, Say(stream, f"tide {stream}"))
        await lib.index()
        everywhere = {f"tide {stream}" for stream in (channel, staff, private)}
        assert set(await lib.texts(ann, "tide")) == everywhere
        assert set(await lib.texts(ben, "tide")) == {f"tide {channel}", f"tide {private}"}
        assert await lib.texts(cem, "tide") == []
        # Narrowed, and answered the same whether it is there or not.
        assert await lib.texts(ann, "tide", stream=staff) == [f"tide {staff}"]
        assert set(await lib.texts(ann, "tide", space=space)) == {f"tide {channel}", f"tide {staff}"}
        for person, in_space, in_stream in ((cem, space, 0), (ben, 0, staff), (cem, 0, 2**40), (ben, 2**40, 0)):
            assert await lib.ask(person, "tide", space=in_space, stream=in_stream) == Denied(Code.NOT_FOUND)
        # What changes is true at once.
        await w.ok(ann, SetRole(space, ben.user, Role.MODERATOR))
        assert set(await lib.texts(ben, "tide")) == everywhere
        await w.ok(ann, SetRole(space, ben.user, Role.LEARNER))
        await w.ok(ann, ChangeChannel(channel, "general", STAFF, STAFF))
        assert set(await lib.texts(ben, "tide")) == {f"tide {private}"}
        await w.ok(ann, ChangeChannel(channel, "general", 15, 15))
        await w.ok(ann, Remove(space, ben.user))
        assert set(await lib.texts(ben, "tide")) == {f"tide {private}"}


async def test_what_blocked_people_say_is_not_found(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann, ben = await lib.w.person("ann"), await lib.w.person("ben")
        _, _, channel = await lib.w.community(ann, ben)
        await lib.w.ok(ben, Say(channel, "tide"))
        await lib.index()
        await lib.w.ok(ann, Block(ben.user))
        assert await lib.texts(ann, "tide") == await lib.texts(ann, "tid") == []
        assert await lib.texts(ben, "tide") == ["tide"]
        await lib.w.ok(ann, Unblock(ben.user))
        assert await lib.texts(ann, "tide") == ["tide"]


async def test_an_edited_message_is_found_as_it_reads_now(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        seq = await lib.w.ok(ann, Say(channel, "the tide is high"))
        await lib.index()
        await lib.w.ok(ann, Edit(channel, seq, "the water is high"))
        # Before the index has heard of it, too: the log is asked.
        assert await lib.texts(ann, "tide") == [] and await lib.texts(ann, "high") == ["the water is high"]
        await lib.index()
        assert await lib.texts(ann, "tide") == [] and await lib.texts(ann, "water") == ["the water is high"]
        assert await lib.index_is_true() and not await lib.w.column("select 1 from search_words where word = 'tide'")


async def test_a_message_that_was_taken_back_is_not_found_and_leaves_no_word(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        seq = await lib.w.ok(ann, Say(channel, "unforgettable"))
        await lib.w.ok(ann, React(channel, seq, "👍"))
        await lib.index()
        await lib.w.ok(ann, Delete(channel, seq))
        assert await lib.texts(ann, "unforgettable") == await lib.texts(ann, "forget") == []
        await lib.index()
        assert not await lib.w.rows("select 1 from search_messages") and not await lib.w.rows("select 1 from search_words")


async def test_what_is_held_or_covered_is_not_found(bridge: Bridge) -> None:
    async with moderated(bridge, FakeModels(), NEVER_SWEEPS) as (w, _), library(bridge, w) as lib:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        await w.ok(ben, Say(channel, "bad tide"))
        await until(bridge, "select * from held where stream_id = $1", channel)
        assert await lib.texts(ann, "tide") == []
        await lib.index()
        assert await lib.texts(ann, "tide") == [] and not await w.rows("select 1 from search_words where word = 'tide'")
        # Where a community checks first: nothing before it was let through.
        await w.ok(ann, SetModeration(space, check_first=True))
        await w.ok(ben, Say(channel, "foul current"))
        await w.ok(ben, Say(channel, "harmless current"))
        await until(bridge, "select * from held where state = $1", HeldState.HIDDEN, count=2)
        await until(bridge, "select * from log where stream_id = $1 and kind = 1 and body like '%harmless%'::bytea", channel)
        await lib.index()
        assert await lib.texts(ann, "current") == ["harmless current"]


async def test_what_is_covered_is_found_as_it_reads_now(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        seq = await lib.w.ok(ann, Say(channel, "my number is 0700123456, call"))
        await lib.index()

        async def cover(tx: asyncpg.Connection) -> None:
            text = "my number is ▒▒▒▒▒▒▒▒▒▒, call"
            assert await rewrite(tx, channel, seq, text, 0, forget=True)
            await append_events(tx, [event(channel, 0, Edited(seq, text), seq)])

        await bridge.run(cover, deadline_s=30)
        assert await lib.texts(ann, "0700123456") == [] and len(await lib.texts(ann, "call")) == 1
        await lib.index()
        assert not await lib.w.rows("select 1 from search_words where word like '%0700%'") and await lib.index_is_true()


async def test_what_is_older_than_a_community_keeps_is_not_found_and_leaves_no_word(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        space, _, channel = await lib.w.community(ann)
        await lib.w.ok(ann, Say(channel, "ancient"))
        await lib.w.rows("update log set at = at - 100 * 86400 where stream_id = $1", channel)
        await lib.w.ok(ann, Say(channel, "recent"))
        await lib.index()
        await lib.w.rows("update spaces set retention_days = 30 where id = $1", space)
        assert await forget_what_is_too_old(bridge, lib.w.herald) == 1
        assert await lib.texts(ann, "ancient") == []
        await lib.index()
        assert await lib.w.column("select seq from search_messages") == [2]
        assert {row["word"] for row in await lib.w.rows("select word from search_words")} == {"recent"}


async def test_pages_bring_everything_once(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        w = lib.w
        ann = await w.person("ann")
        space, _, first = await w.community(ann)
        second = await w.ok(ann, CreateChannel(space, "more", 15, 15))
        expected = set()
        for n in range(23):
            stream = (first, second)[n % 2]
            seq = await w.ok(ann, Say(stream, "tide" if n % 3 else "tides"))
            expected.add((stream, seq))
        await lib.index()
        for limit in (1, 4, 15, 23, 50):
            place, seen = None, []
            while True:
                page = await lib.ask(ann, "tide", place=place, limit=limit)
                assert isinstance(page, MessagesFound) and len(page.messages) <= limit
                seen += [(one.stream, one.seq, one.whole) for one in page.messages]
                place = page.place
                if place is None:
                    break
            assert {(stream, seq) for stream, seq, _ in seen} == expected and len(seen) == len(expected)
            assert [whole for *_, whole in seen] == sorted((whole for *_, whole in seen), reverse=True)


async def test_what_is_in_almost_every_message_is_found_from_the_newest_on(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        for n in range(60):
            await lib.w.ok(ann, Say(channel, f"the tide {n} {'rare' if n == 7 else ''}"))
        await lib.index()
        assert [one.seq for one in await lib.find(ann, "the", limit=5)] == [60, 59, 58, 57, 56]
        assert [one.seq for one in await lib.find(ann, "the rare")] == [8]
        assert [one.seq for one in await lib.find(ann, "tid", limit=3)] == [60, 59, 58]


async def test_an_index_made_in_parts_is_the_one_made_at_once(bridge: Bridge) -> None:
    """Whatever is said, edited and taken back in between, in whatever order the index hears of it."""
    chance = random.Random(7)
    async with library(bridge) as lib:
        w = lib.w
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, first = await w.community(ann, ben)
        channels = [first, await w.ok(ann, CreateChannel(space, "more", 15, 15))]
        vocabulary = ["tide", "tides", "water", "moon", "la lune", "القمر"]
        said: list[tuple[int, int]] = []
        for _ in range(120):
            match chance.randrange(6):
                case 0 if said:
                    stream, seq = chance.choice(said)
                    await w.ask(ann, Edit(stream, seq, " ".join(chance.sample(vocabulary, 2))))
                case 1 if said:
                    stream, seq = chance.choice(said)
                    await w.ask(ann, Delete(stream, seq))
                case 2:
                    await lib.index(chance.choice((1, 2, 5, 500)))
                    assert await lib.index_is_true()
                case _:
                    stream = chance.choice(channels)
                    said.append((stream, await w.ok(ann, Say(stream, " ".join(chance.sample(vocabulary, 3))))))
        await lib.index(3)
        assert await lib.index_is_true()
        assert await lib.index_is_whole()


async def test_what_a_channel_says_that_one_does_not_read_changes_nothing_that_one_finds(bridge: Bridge) -> None:
    """Neither which words are taken for slips, nor which of many similar words are looked for: both would tell of what is said there."""
    async with library(bridge) as lib:
        w = lib.w
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, channel = await w.community(ann, ben)
        staff = await w.ok(ann, CreateChannel(space, "staff", STAFF, STAFF))
        await w.ok(ben, Say(channel, "did she resing"))
        many = [f"wages{chr(ord('a') + n)}" for n in range(20)]
        for word in many:
            await w.ok(ben, Say(channel, word))
        await lib.index()
        before = await lib.find(ben, "resign", limit=50), await lib.find(ben, "wages", limit=50)
        assert [len(found) for found in before] == [1, 20]
        for _ in range(5):
            await w.ok(ann, Say(staff, "resign or wages99"))
        await lib.index()
        assert (await lib.find(ben, "resign", limit=50), await lib.find(ben, "wages", limit=50)) == before
        assert len(await lib.find(ann, "resign", limit=50)) == 5


async def test_who_reads_nothing_finds_nothing(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann, ben = await lib.w.person("ann"), await lib.w.person("ben")
        _, _, channel = await lib.w.community(ann)
        await lib.w.ok(ann, Say(channel, "tide"))
        await lib.index()
        for words in ("tide", "tid", "t", "running tides", "tiede"):
            assert await lib.find(ben, words) == []


async def test_what_other_communities_say_hides_nothing(bridge: Bridge) -> None:
    """Whoever floods a place of their own with words would else keep everybody from finding parts of theirs, forms of them, and slips."""
    async with library(bridge) as lib:
        w = lib.w
        ann, eve = await w.person("ann"), await w.person("eve")
        _, _, channel = await w.community(ann)
        _, _, elsewhere = await w.community(eve)
        for text in ("zmathematics", "the mathes", "zmathematicz"):
            await w.ok(ann, Say(channel, text))
        letters = "abcdefghijklmnopqrstuvwxyz0"
        flood = [f"{begin}math{a}{b}{end}" for begin, end in (("", ""), ("y", "ematic")) for a in letters for b in letters]
        for at in range(0, len(flood), 250):
            await w.ok(eve, Say(elsewhere, " ".join(flood[at : at + 250])))
        await lib.index()
        assert len(await lib.texts(ann, "math")) == 3 and await lib.texts(ann, "mathe", stream=channel)
        assert len(await lib.texts(ann, "zmathematica")) == 2
        assert await lib.texts(ann, "z") == ["zmathematicz", "zmathematics"]


@asynccontextmanager
async def locked(bridge: Bridge) -> AsyncIterator[None]:
    """Nobody can read the words of any place."""
    begun, over = threading.Event(), threading.Event()

    async def hold(tx: asyncpg.Connection) -> None:
        await tx.execute("lock table search_words in access exclusive mode")
        begun.set()
        await asyncio.to_thread(over.wait, 60)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(bridge.run, hold, deadline_s=60))
        try:
            assert await trio.to_thread.run_sync(begun.wait, 60)
            yield
        finally:
            over.set()


async def test_words_that_would_take_too_long_are_given_up(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence.search, "STATEMENT_MS", 20)
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        await lib.w.community(ann)
        async with locked(bridge):
            refused = await lib.ask(ann, "tide")
        assert isinstance(refused, Denied) and refused.code is Code.LIMIT
        monkeypatch.setattr(persistence.search, "STATEMENT_MS", 30_000)
        assert isinstance(await lib.ask(ann, "tide"), MessagesFound)


async def test_whoever_searches_keeps_nobody_else_waiting(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many searches are stuck, one connection is: the others answer what else is asked."""
    monkeypatch.setattr(persistence.search, "STATEMENT_MS", 30_000)
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        await lib.w.community(ann)
        stuck: Mailbox[Answered] = Mailbox()
        async with locked(bridge):
            for ticket in range(20):
                lib.store.ask(FindMessages(ann.user, "tide", 0, 0, None, 5), ticket, stuck)
            for _ in range(10):
                mailbox: Mailbox[Answered] = Mailbox()
                lib.store.ask(ListSpaces(ann.user), 0, mailbox)
                assert isinstance((await mailbox.wait(1))[0].result, SpaceList)
            assert not stuck.told
        assert len(await stuck.wait(20)) == 20


async def test_whoever_searches_much_waits_for_it_alone(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time searches; if they came in order, one account's burst of searches that take long would be everybody's minute."""
    monkeypatch.setattr(persistence.search, "STATEMENT_MS", 30_000)
    async with library(bridge) as lib:
        people = [await lib.w.person(name) for name in ("ann", "ben", "cem")]
        await lib.w.community(people[0])
        answered: Mailbox[Answered] = Mailbox()
        async with locked(bridge):
            for ticket in range(20):
                lib.store.ask(FindMessages(people[0].user, "tide", 0, 0, None, 5), ticket, answered)
            for ticket in range(100, 102):
                lib.store.ask(FindMessages(people[1].user, "tide", 0, 0, None, 5), ticket, answered)
            lib.store.ask(FindMessages(people[2].user, "tide", 0, 0, None, 5), 200, answered)
        order = [one.ticket for one in await answered.wait(23)]
        # The first was under way before anybody else asked.
        assert order[:6] == [0, 1, 100, 200, 2, 101] or order[:6] == [0, 100, 200, 1, 101, 2], order
        assert sorted(order) == [*range(20), 100, 101, 200]
