"""What the store asks Postgres of messages with certain words.

    words ─search_words_in─▶ whole: messages with all of them ─▶ a page is not full ─▶ alike: parts, other forms, slips ─▶ excerpts

Each statement asks anew where the account may read, and shows what the log says now. A search has a second; the database gives up before it
is felt elsewhere, and whoever asked is told to take rarer words.

Invariant: nothing is shown that the account could not read in the stream itself, or whose author it blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from actors.storage import Denied, FindMessages, FoundPlace, MessagesFound, Result
from persistence.excerpts import excerpt
from persistence.operations.messages import message_text
from protocol.codes import Code
from protocol.frames import FoundMessage
from protocol.values import ID_MAX

WORDS_MAX: Final = 10
"""Looked for at once; of more the longest, which say the most."""
STATEMENT_MS: Final = 1_000
"""For what nobody thought of. How long searches take: `python -m bench search`."""
DICTIONARIES: Final = {
    "ar": "arabic_stem",
    "da": "danish_stem",
    "de": "german_stem",
    "en": "english_stem",
    "es": "spanish_stem",
    "fi": "finnish_stem",
    "fr": "french_stem",
    "hi": "hindi_stem",
    "id": "indonesian_stem",
    "it": "italian_stem",
    "ne": "nepali_stem",
    "nl": "dutch_stem",
    "pt": "portuguese_stem",
    "ru": "russian_stem",
    "sv": "swedish_stem",
    "tr": "turkish_stem",
}
"""Which forms of a word are the same word; Postgres has these. Of other languages parts of words are found."""
ANY: Final = ("arabic_stem", "english_stem", "french_stem", "spanish_stem")
"""For an account of another language, or of none: what people write here most."""

_ASKED: Final = """
select coalesce(a.language, ''),
    array(select w from unnest(search_words_in($2)) w order by length(w) desc, w limit $3),
    exists (
        select from members m join streams s on s.space_id = m.space_id and s.kind in (3, 4) and m.role & s.read_roles <> 0
        where m.user_id = $1 and ($4::bigint = 0 or m.space_id = $4) and ($5::bigint = 0 or s.id = $5)
    )
from accounts a where a.id = $1"""
_FIND: Final = "select * from find_messages($1, $2, $3, $4, $5, $6::text[]::regdictionary[], $7, $8, $9, $10)"


async def find_messages(connection: asyncpg.Connection, queries: Sequence[FindMessages]) -> list[Result]:
    """One after the other; each for itself."""
    return [await _find(connection, query) for query in queries]


async def _find(connection: asyncpg.Connection, query: FindMessages) -> Result:
    try:
        async with connection.transaction(readonly=True):
            await connection.execute(f"set local statement_timeout = {STATEMENT_MS}")
            return await _pages(connection, query)
    except asyncpg.QueryCanceledError:
        return Denied(Code.LIMIT, "it takes too long to look for these words; look for rarer ones, or in one place")


async def _pages(tx: asyncpg.Connection, query: FindMessages) -> Result:
    asked = await tx.fetchrow(_ASKED, query.user, query.words, WORDS_MAX, query.space, query.stream)
    if asked is None:
        return Denied(Code.NOT_FOUND)
    language, words, reads = asked
    if not reads and (query.space or query.stream):
        return Denied(Code.NOT_FOUND)
    if not words:
        return MessagesFound((), None)
    spoken = DICTIONARIES.get(language[:2].lower())
    dictionaries = [spoken] if spoken else list(ANY)
    begun = query.place
    messages: list[FoundMessage] = []
    for whole in (True, False):
        if begun is not None and begun.whole is not whole:
            if whole:
                continue
            begun = None
        left = query.limit - len(messages)
        place = begun or FoundPlace(whole, ID_MAX, ID_MAX, ID_MAX)
        rows = await tx.fetch(
            _FIND, query.user, words, whole, query.space, query.stream, dictionaries, place.at, place.stream, place.seq, left + 1
        )
        for space, stream, seq, author, name, at, body, marked in rows[:left]:
            text = None if body is None else message_text(body)
            if text is not None:
                messages.append(FoundMessage(space, stream, seq, author, name, at, whole, excerpt(text, marked)))
        if len(rows) > left:
            last = rows[left - 1] if left else None
            ended = place if last is None else FoundPlace(whole, last["at"], last["stream"], last["seq"])
            return MessagesFound(tuple(messages), ended)
    return MessagesFound(tuple(messages), None)
