"""Words of a mentorship, covered where they do harm, and given back: in its row, in both inboxes, and in its own stream.

    hidden, upheld ─▶ each word that stands as it was judged: ▒▒▒, and both inboxes hear how it stands     released ─▶ as it was

Invariant: what somebody has written since is left alone, either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import asyncpg
from msgspec.structs import replace

from persistence.append import kind_of
from persistence.mentoring.closing import NOTED, tell
from persistence.moderation.aside import SUBJECT, WORDS
from protocol import codec
from protocol.entities import COVER
from protocol.events import MentorshipNoted, MentorshipSaidOver

_REPLACE: Final = (
    "update mentorships set subject = case when $7 and subject = $2 then $3 else subject end,"
    " words = case when $7 and words = $4 then $5 else words end,"
    " said = case when said = $4 and by_user = $6 and (state = 1 or not $7) then $5 else said end"
    " where id = $1 and ($7 and (subject = $2 or words = $4) or said = $4 and by_user = $6 and (state = 1 or not $7))"
    " returning mentor, learner, records"
)
"""A proposal's words are what was said last, too, until somebody answers; later words are only that."""
_TOLD: Final = (
    "select l.stream_id, l.seq, l.body from mentorships o join accounts a on a.id in (o.mentor, o.learner)"
    " join log l on l.stream_id = a.inbox and l.kind = $2 where o.id = $1"
    " union all select l.stream_id, l.seq, l.body from mentorships o join log l on l.stream_id = o.records and l.kind = $3"
    " where o.id = $1 and o.records > 0"
)
_SAID_OVER: Final = kind_of(MentorshipSaidOver)


async def cover(tx: asyncpg.Connection, mentorship: int, author: int, judged: Mapping[int, str], *, back: bool = False) -> None:
    """Covers these words of their author's, or gives them back. Nobody is told of a mentorship that is gone."""
    subject, words = judged.get(SUBJECT, ""), judged.get(WORDS, "")
    pairs = [(COVER, text) if back else (text, COVER) for text in (subject, words)]
    (subject_was, subject_is), (words_was, words_is) = [(was, now) if was and now else (None, None) for was, now in pairs]
    proposed = SUBJECT in judged
    # Also where nothing of it changes: who is telling an inbox of it at this moment is waited for.
    await tx.execute("select from mentorships where id = $1 for update", mentorship)
    row = await tx.fetchrow(_REPLACE, mentorship, subject_was, subject_is, words_was, words_is, author, proposed)
    if words and not back:
        # What inboxes and the stream say of it already, also where it has moved on since; given back, the next word to the inboxes says it.
        for told in await tx.fetch(_TOLD, mentorship, NOTED, _SAID_OVER):
            body = codec.decode_body(bytes(told["body"]))
            of_it = isinstance(body, MentorshipSaidOver) or (isinstance(body, MentorshipNoted) and body.mentorship == mentorship)
            if of_it and isinstance(body, (MentorshipSaidOver, MentorshipNoted)) and body.words == words:
                covered = codec.encode(replace(body, words=COVER))
                await tx.execute("update log set body = $3 where stream_id = $1 and seq = $2", told["stream_id"], told["seq"], covered)
    if row is not None:
        await tell(tx, mentorship, row["mentor"], row["learner"])
