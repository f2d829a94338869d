"""A person's archive: all that is kept about them, in words, and nothing about others that is not theirs to know.

    account · devices · sessions · memberships · messages · records · notices · trust · audit …      one file each, one line a row

Secrets stay (hashes, keys, tokens), and so does who reported or blocked them. It is for people and other programs to read; it is not
imported.

Invariant: every query is bound to the account that asks, by its number and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec

from persistence.moderation.words import text_of
from persistence.sovereignty.archive import Manifest, Writer
from persistence.sovereignty.leaving import GROUP, says
from persistence.sovereignty.person import own_spaces
from persistence.sovereignty.together import STREAMS
from protocol.merge import unpack_record
from protocol.values import HeldForm

FORMAT: Final = "educonnect.person"

FILES: Final[dict[str, str]] = {
    "account": "select id, name::text, display_name, email::text, email_verified_at, language, created_at, trust"
    " from accounts where id = $1",
    "devices": "select id, name, seen_at from devices where user_id = $1 and idempotency is null order by id",
    "sessions": "select id, device_id, created_at, last_seen_at, expires_at, revoked_at, user_agent, address from sessions"
    " where user_id = $1 order by id",
    "passkeys": "select name, created_at, last_used_at, backed_up from passkeys where user_id = $1 order by id",
    "totp": "select created_at, confirmed_at, last_used_at from mfa_totp where user_id = $1",
    "memberships": "select m.space_id, s.kind, s.name, m.role, m.joined_at from members m join spaces s on s.id = m.space_id"
    " where m.user_id = $1 order by m.space_id",
    "invitations": "select space_id, role, at from invitations where user_id = $1 order by space_id",
    "read_markers": "select stream_id, seq from read_markers where user_id = $1 order by stream_id",
    "blocks": "select blocked, at from blocks where user_id = $1 order by blocked",
    "reports": "select about, space_id, reason, words, at, state, decided_at from reports where reporter = $1 order by id",
    "moderation_labels": "select at, text, about, harm, harmful from moderation_labels where author = $1 order by id",
    "notices": "select seq, kind, space_id, stream_id, at_seq, words, at, read_at from notices where user_id = $1 order by seq",
    "notice_rules": "select space_id, stream_id, kind, ways from notice_rules where user_id = $1 order by space_id, stream_id, kind",
    "reminders": "select at, stream_id, seq, words from reminders where user_id = $1 order by id",
    "attempts": "select space_id, stream_id, question, lesson, at, seconds, points from attempts where user_id = $1"
    " order by stream_id, question, place",
    "mentorships": "select id, mentor, learner, community, subject, words, state, proposed_at, answered_at, closed_at,"
    " case when mentor = $1 then mentor_reached else learner_reached end as reached,"
    " case when mentor = $1 then mentor_rating else learner_rating end as rating"
    " from mentorships where mentor = $1 or learner = $1 order by id",
    "mentors_shown": "select mentor, at, place, times, by, score, factors from match_shown where seeker = $1 order by mentor",
    "shown_as_mentor": "select shown, at from mentor_exposure where user_id = $1",
    "learning_days": "select space_id, day, lesson, question, answers, rights, passed, seconds from learning_days where user_id = $1"
    " order by space_id, day, lesson, question",
    "learning": "select space_id, since, active_day, last_lesson, risk, reasons, looked_day from learners where user_id = $1"
    " order by space_id",
    "endorsements": "select endorsed, space_id, day from trust_relationships where endorser = $1 order by endorsed, space_id",
    "api_keys": "select name, prefix, space_id, created_at, expires_at, last_used_at, revoked_at from api_keys"
    " where user_id = $1 order by id",
    "uploads": "select id, name, media_type, bytes, encode(sha256, 'hex') as sha256, space_id, stream_id, seq, created_at from uploads"
    " where user_id = $1 order by id",
    "deeds": "select at, action, space_id, subject, address from audit_log where actor = $1 order by at, id",
}
_MESSAGES: Final = (
    "select l.stream_id, l.seq, l.at, l.body from members m join streams s on s.space_id = m.space_id"
    " join log l on l.stream_id = s.id and l.author = m.user_id and l.kind in (1, 2, 4, 6) where m.user_id = $1 order by l.stream_id, l.seq"
)
_HELD: Final = (
    "select id, space_id, stream_id, target, form, state, body, reasons, judged_by, degraded, appeal,"
    " extract(epoch from at)::bigint as at, extract(epoch from decided_at)::bigint as decided_at from held where author = $1 order by id"
)
_RECORDS: Final = "select stream_id, entity, key, cells from records where stream_id = any($1) order by stream_id, entity, key"
# Goals and meetings are theirs as much as the other's, as long as they may read them.
_TOGETHER: Final = f"{STREAMS} and exists (select from members m where m.space_id = o.space_id and m.user_id = $1)"


async def export_person(tx: asyncpg.Connection, user: int, writer: Writer) -> Manifest:
    """Writes everything that is kept about an account; `tx` sees one snapshot."""
    for name, query in FILES.items():
        with writer.file(f"{name}.ndjson") as add:
            group: list[dict[str, Any]] = []
            async for row in tx.cursor(f"select to_jsonb(q)::text from ({query}) q", user, prefetch=GROUP):
                group.append(msgspec.json.decode(row[0], type=dict[str, Any]))
                if len(group) == GROUP:
                    add(group)
                    group = []
            add(group)
    with writer.file("messages.ndjson") as add:
        async for stream, seq, at, body in tx.cursor(_MESSAGES, user, prefetch=GROUP):
            add([{"stream": stream, "seq": seq, "at": at, **says(body)}])
    with writer.file("held.ndjson") as add:
        async for row in tx.cursor(_HELD, user, prefetch=GROUP):
            add([{**dict(row), "body": text_of(HeldForm(row["form"]), row["body"])}])
    _, streams = await own_spaces(tx, user)
    streams = sorted({*streams, *(row["records"] for row in await tx.fetch(_TOGETHER, user))})
    with writer.file("records.ndjson") as add:
        async for stream, entity, key, cells in tx.cursor(_RECORDS, streams, prefetch=GROUP):
            fields = {str(number): value for number, value in unpack_record(cells, entity).fields.items()}
            add([{"stream": stream, "entity": entity, "key": key, "fields": fields}])
    return writer.close(user, "", "", datetime.now(UTC), FORMAT)
