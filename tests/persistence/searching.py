"""A world in which people search: the journal, the index brought up to date when a test says so, and what somebody finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from actors.storage import Answered, FindMessages, FoundPlace, MessagesFound, Result
from persistence.bridge import Bridge
from persistence.indexer import Indexer
from persistence.store import Store
from protocol.frames import FoundMessage
from tests.persistence.world import Mailbox, Person, World, world


class Library:
    """A world with a store and an index."""

    def __init__(self, w: World, store: Store) -> None:
        self.w = w
        self.store = store
        self.indexer = Indexer(w.bridge)

    async def index(self, events: int = 500) -> None:
        """Everything that was said until now."""
        streams = await self.w.column("select id from streams order by id")
        while any(row["more"] for row in await self.w.rows("select * from index_messages($1, $2)", streams, events)):
            pass

    async def ask(
        self, person: Person, words: str, *, space: int = 0, stream: int = 0, place: FoundPlace | None = None, limit: int = 20
    ) -> Result:
        mailbox: Mailbox[Answered] = Mailbox()
        self.store.ask(FindMessages(person.user, words, space, stream, place, limit), 0, mailbox)
        return (await mailbox.wait(1))[0].result

    async def find(self, person: Person, words: str, *, space: int = 0, stream: int = 0, limit: int = 20) -> list[FoundMessage]:
        found = await self.ask(person, words, space=space, stream=stream, limit=limit)
        assert isinstance(found, MessagesFound), found
        return list(found.messages)

    async def texts(self, person: Person, words: str, *, space: int = 0, stream: int = 0) -> list[str]:
        """What the found messages say."""
        return ["".join(one.excerpt) for one in await self.find(person, words, space=space, stream=stream)]

    async def index_is_true(self) -> bool:
        """Whether the words of each stream are those of its messages, counted, and nothing else."""
        counted = await self.w.rows(
            "select m.space_id, m.stream_id, substring(x.lexeme from position('.' in x.lexeme) + 1) as word, count(*) as n"
            " from search_messages m cross join lateral unnest(m.words) x group by 1, 2, 3 order by 1, 2, 3"
        )
        kept = await self.w.rows("select space_id, stream_id, word, messages as n from search_words order by 1, 2, 3")
        vocabulary = [row["word"] for row in await self.w.rows("select word from search_vocabulary")]
        assert sorted(vocabulary) == sorted({row["word"] for row in kept})
        return sorted(map(tuple, counted)) == sorted(map(tuple, kept))

    async def index_is_whole(self) -> bool:
        """Whether it is what an index made now would be."""
        there = await self.w.rows("select stream_id, seq, words::text from search_messages order by 1, 2")
        await self.w.rows("delete from search_messages")
        assert not await self.w.rows("select word from search_words union all select word from search_vocabulary")
        await self.w.rows("delete from search_cursors")
        await self.index()
        return there == await self.w.rows("select stream_id, seq, words::text from search_messages order by 1, 2")


@asynccontextmanager
async def library(bridge: Bridge, w: World | None = None) -> AsyncIterator[Library]:
    """`w`: a world that is there already."""
    if w is None:
        async with world(bridge) as made, library(bridge, made) as lib:
            yield lib
        return
    store = Store(bridge)
    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        yield Library(w, store)
        nursery.cancel_scope.cancel()
