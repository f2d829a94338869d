"""What is done about what was said: taken back, covered, or let through; in the transaction that writes down why.

    Ruling ─keep─▶ row in held, once for an event ─▶ withdraw: redacted, `Deleted`, `TakenBack` ─▶ review stream, a notice in kind words
    release ─▶ an ordinary message of its author's, if they may still write there ─▶ or it has lapsed

Locks, in this order: the space, the message's row of the log, the row of `held`, the stream.

Invariant: a message leaves the log in the transaction that puts its text into `held`; the one that marks it released brings it back, once.
What its author or staff deleted comes back by nothing.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from actors.moderation import Action, Outcome, write_reasons
from actors.notices import Notice
from persistence.append import NewEvent, event, kind_of
from persistence.mentoring.covering import cover
from persistence.moderation import names, records
from persistence.moderation.aside import read_said
from persistence.moderation.spoken import Spoken
from persistence.notices import notify
from persistence.operations.messages import message_text, redact, rewrite
from persistence.operations.space import SpaceSeen, lock_space
from persistence.review import find_review
from persistence.uploads.attaching import attach_again
from protocol import codec
from protocol.events import Deleted, Edited, HeldDecided, HeldForReview, Mentioned, Posted, Redacted, Said, TakenBack
from protocol.permissions import Permission
from protocol.values import Harm, HeldForm, HeldState, NoticeKind, SpaceKind

_MENTIONED: Final = kind_of(Mentioned)
_SAID: Final = kind_of(Said)
_POSTED: Final = kind_of(Posted)
_EDITED: Final = kind_of(Edited)
_REDACTED: Final = kind_of(Redacted)
_KEEP: Final = (
    "insert into held (space_id, review_id, stream_id, event_seq, target, entity, key, author, form, state, body, reasons, judged_by,"
    " degraded, language, told, decided_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::smallint, $11, $12, $13, $14, $15, true,"
    " case when $10::smallint in (3, 7) then now() end)"
    " on conflict (stream_id, event_seq, entity, key) where event_seq > 0 do nothing returning id"
)
_FOUND: Final = (
    "update held set state = $2::smallint, review_id = $3, reasons = $4, judged_by = $5, degraded = $6, language = $7, told = true,"
    " decided_at = case when $2::smallint in (3, 4, 6, 7) then now() end where id = $1 and state = 1"
)
_PLACE: Final = (
    "select m.role & s.write_roles <> 0 as writes from streams s"
    " join accounts a on a.id = $2 and a.disabled_at is null"
    " cross join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = $2 limit 1) m where s.id = $1"
)

WHY: Final = {
    Harm.OTHER: "it could not be looked at yet",
    Harm.TOXIC: "it can hurt somebody",
    Harm.HATE: "it puts people down for what they are",
    Harm.INSULT: "it can hurt somebody",
    Harm.THREAT: "it reads like a threat",
    Harm.SEXUAL: "it is not fit for everybody here",
    Harm.SELF_HARM: "we want to be sure that you are well",
    Harm.SPAM: "it reads like advertising, or was said again and again",
    Harm.PERSONAL: "it shows personal data, such as a number or an address",
}
assert set(WHY) == set(Harm)


class Ruling(Struct, frozen=True):
    """What is to be done about one thing. `by`: who judged; `degraded`: in what that was less than it should be."""

    spoken: Spoken
    outcome: Outcome
    by: str
    degraded: str = ""
    language: str = ""


class Done(Struct, frozen=True):
    """What a transaction appends at last. `became`: the row that was released, and the place of its event among these, from 0."""

    events: tuple[NewEvent, ...] = ()
    told: bool = False
    became: int | None = None


async def rule(tx: asyncpg.Connection, ruling: Ruling) -> Done:
    """Does what was decided about something that stands: an event of the log. Does nothing where it was done before, nor where what was
    said is gone by now: deleted, or erased with its author, while it was judged."""
    spoken, outcome = ruling.spoken, ruling.outcome
    space = await lock_space(tx, spoken.space, spoken.author)
    if not await _stands(tx, spoken):
        return Done()
    if outcome.action is Action.MASK and await _changed_since(tx, spoken):
        await _forget(tx, spoken)
        return Done()
    review = _review_of(space, spoken.author)
    if spoken.form is HeldForm.NAME and await names.is_known(tx, spoken, 0 if review is None else review.id):
        return Done()
    state = _state_of(spoken, outcome)
    held: int | None = await tx.fetchval(
        _KEEP,
        spoken.space if spoken.space_kind is not SpaceKind.PERSONAL else 0,
        0 if review is None else review.id,
        spoken.stream,
        spoken.seq,
        spoken.target,
        spoken.entity,
        spoken.key,
        spoken.author,
        spoken.form,
        state,
        spoken.body,
        write_reasons(outcome.reasons),
        ruling.by,
        (ruling.degraded or outcome.uncertain)[:200],
        ruling.language,
    )
    if held is None:
        return Done()
    events: tuple[NewEvent, ...] = ()
    if outcome.action is not Action.ALLOW:
        events = await _withdraw(tx, spoken, outcome, held)
        if spoken.form is HeldForm.RECORD and outcome.action is Action.HIDE:
            await records.order(tx, held)
        if not (spoken.form is HeldForm.NAME and await names.waits_elsewhere(tx, spoken, held)):
            await notify(tx, _notice(ruling, held, spoken.space))
    stream, _ = await find_review(tx, review)
    seq = spoken.target if spoken.form in (HeldForm.MESSAGE, HeldForm.EDIT) else 0
    opened = event(stream, 0, HeldForReview(held, spoken.form, state, spoken.author, outcome.why, spoken.stream, seq))
    return Done((*events, opened), told=True)


async def rule_first(tx: asyncpg.Connection, ruling: Ruling) -> Done:
    """Does what was decided about something that nobody has seen yet: lets it through, or keeps it."""
    spoken, outcome = ruling.spoken, ruling.outcome
    space = await lock_space(tx, spoken.space, spoken.author)
    await lock_message(tx, spoken.stream, spoken.form, spoken.target)
    # Before anything is done: a person may have decided while the model thought, or another gateway that took the claim over.
    if await tx.fetchval("select id from held where id = $1 and state = $2 for update", spoken.held, HeldState.CHECKING) is None:
        return Done()
    if spoken.form in _ASIDE and ((outcome.action is Action.ALLOW and not outcome.note) or not await names.is_shown(tx, spoken)):
        # It stands, and nothing is to be kept of it; or something else stands there by now.
        await tx.execute("delete from held where id = $1", spoken.held)
        return Done()
    if spoken.form in _ASIDE:
        state = _state_of(spoken, outcome)
        if state is HeldState.HIDDEN:
            await _take_away(tx, spoken, spoken.held)
        done = Done()
    elif outcome.action <= Action.MASK:
        body = spoken.body if outcome.action is Action.ALLOW else _covered(spoken.body, outcome.text)
        events = await release(tx, spoken.held, spoken.stream, spoken.author, spoken.form, spoken.target, body, unseen=True)
        state = HeldState.LAPSED if not events else _LET_THROUGH[outcome.action is Action.MASK, outcome.note]
        if state is HeldState.HIDDEN:
            # Covered in part, as what stands already would be: its author may appeal, and a person may give it back.
            await tx.execute(
                "update held set event_seq = became, target = case when form = $2 then became else target end where id = $1",
                spoken.held,
                HeldForm.MESSAGE,
            )
        done = Done(events, told=bool(events), became=0 if events else None)
    else:
        state = _STATES[outcome.action]
        done = Done()
    review = _review_of(space, spoken.author)
    await tx.execute(
        _FOUND,
        spoken.held,
        state,
        0 if review is None else review.id,
        write_reasons(outcome.reasons),
        ruling.by,
        (ruling.degraded or outcome.uncertain)[:200],
        ruling.language,
    )
    if (outcome.action is not Action.ALLOW or outcome.note) and state is not HeldState.LAPSED:
        stream, _ = await find_review(tx, review)
        opened = event(stream, 0, HeldForReview(spoken.held, spoken.form, state, spoken.author, outcome.why, spoken.stream, spoken.target))
        done = Done((*done.events, opened), told=True, became=done.became)
    if outcome.action is not Action.ALLOW and state is not HeldState.LAPSED:
        await notify(tx, _notice(ruling, spoken.held, spoken.space))
    return done


async def put_off(tx: asyncpg.Connection, ruling: Ruling, wait_s: float) -> Done:
    """Nobody could judge it: it waits, for people or for the model, and staff hear of it once."""
    spoken = ruling.spoken
    if spoken.form in _ASIDE:
        # It stands meanwhile: nobody has to hurry, and nobody is told of each name that was not looked at yet.
        await tx.execute("update held set not_before = now() + make_interval(secs => $2) where id = $1 and state = 1", spoken.held, wait_s)
        return Done()
    space = await lock_space(tx, spoken.space, spoken.author)
    review = _review_of(space, spoken.author)
    told: bool | None = await tx.fetchval(
        "update held h set not_before = now() + make_interval(secs => $2), review_id = $3, reasons = $4, degraded = $5, judged_by = $6,"
        " told = true from (select id, told from held where id = $1 for update) o where h.id = o.id and h.state = 1 returning o.told",
        spoken.held,
        wait_s,
        0 if review is None else review.id,
        write_reasons(ruling.outcome.reasons),
        ruling.degraded[:200],
        ruling.by,
    )
    if told is not False:
        return Done()
    stream, _ = await find_review(tx, review)
    opened = HeldForReview(spoken.held, spoken.form, HeldState.CHECKING, spoken.author, ruling.outcome.why, spoken.stream, spoken.target)
    return Done((event(stream, 0, opened),), told=True)


async def lock_message(tx: asyncpg.Connection, stream: int, form: HeldForm, target: int) -> None:
    """Locks the message that something is about, before its row of `held`: whoever edits or deletes it locks in the same order."""
    if target and form in (HeldForm.MESSAGE, HeldForm.EDIT):
        await tx.fetchval("select kind from log where stream_id = $1 and seq = $2 for update", stream, target)


async def release(
    tx: asyncpg.Connection, held: int, stream: int, author: int, form: HeldForm, target: int, body: bytes, *, unseen: bool
) -> tuple[NewEvent, ...]:
    """The event by which something comes back, or comes at all; its number is written down as what the row became. None: it has lapsed.

    `unseen`: it was checked first, and is no event yet. The message is locked (`lock_message`), and so is the row of `held`. Locks the
    stream, so that the number is known. What its author could not say now, they cannot have said for them either.
    """
    standing: asyncpg.Record | None = None
    if target and form in (HeldForm.MESSAGE, HeldForm.EDIT):
        standing = await tx.fetchrow(
            "select body from log where stream_id = $1 and seq = $2 and kind = any($3)", stream, target, (_SAID, _POSTED)
        )
        if standing is None and unseen:
            # An edit of what was deleted meanwhile.
            return ()
        if standing is not None and not unseen and not _is_covered(message_text(body) or "", message_text(standing["body"]) or ""):
            # A part of it was covered, and its author has written something else since.
            return ()
    # The lock in a statement of its own: what is read after it is how it stands now.
    head: int | None = await tx.fetchval("select head from streams where id = $1 for update", stream)
    if head is None or not await tx.fetchval(_PLACE, stream, author):
        return ()
    if not await tx.fetchval("update held set became = $2 where id = $1 and became in (0, event_seq) returning id", held, head + 1):
        return ()
    said = codec.decode_body(body)
    if standing is not None:
        assert isinstance(said, (Said, Posted)), said
        await rewrite(tx, stream, target, said.text, author)
        back = event(stream, author, Edited(target, said.text), target)
    else:
        # The tag is the second byte of every body: an array of fewer than sixteen, and tags below 128.
        back = NewEvent(stream, author, body[1], body)
        if isinstance(said, Posted) and said.attachments:
            await attach_again(tx, stream, head + 1, author, said.attachments)
    if isinstance(said, Posted) and back.kind == _POSTED and (said.mentions or said.reply_to):
        mentioned = [user for user in dict.fromkeys(said.mentions) if user != author] + ([0] if said.reply_to else [])
        await tx.execute(
            "insert into outbox (kind, user_id, stream_id, seq, author) select $1, u, $3, $4, $5 from unnest($2::bigint[]) u",
            _MENTIONED,
            mentioned,
            stream,
            head + 1,
            author,
        )
    return (back,)


async def _stands(tx: asyncpg.Connection, spoken: Spoken) -> bool:
    """Locks what was said, and tells whether it is there still."""
    spoken_in = spoken.target if spoken.form in (HeldForm.MESSAGE, HeldForm.EDIT) else spoken.seq
    kind: int | None = await tx.fetchval("select kind from log where stream_id = $1 and seq = $2 for update", spoken.stream, spoken_in)
    if spoken.form in (HeldForm.MESSAGE, HeldForm.EDIT):
        return kind in (_SAID, _POSTED)
    return kind is not None and kind != _REDACTED and await names.is_shown(tx, spoken)


async def _changed_since(tx: asyncpg.Connection, spoken: Spoken) -> bool:
    """Whether the message, whose row is locked, reads otherwise than what was judged."""
    if spoken.form not in (HeldForm.MESSAGE, HeldForm.EDIT):
        return False
    body = await tx.fetchval("select body from log where stream_id = $1 and seq = $2", spoken.stream, spoken.target)
    return message_text(body) != message_text(spoken.body)


async def _forget(tx: asyncpg.Connection, spoken: Spoken) -> None:
    """Of words that were to be covered in a message that reads otherwise by now: they go from its edits and its earlier versions, too."""
    said = message_text(spoken.body)
    if spoken.form is HeldForm.EDIT:
        await tx.execute(
            "update log set body = $3, kind = $4 where stream_id = $1 and seq = $2 and kind = $5",
            spoken.stream,
            spoken.seq,
            codec.encode(Redacted()),
            _REDACTED,
            _EDITED,
        )
    versions = await tx.fetch("select version, body from message_versions where stream_id = $1 and seq = $2", spoken.stream, spoken.target)
    await tx.execute(
        "delete from message_versions where stream_id = $1 and seq = $2 and version = any($3)",
        spoken.stream,
        spoken.target,
        [row["version"] for row in versions if message_text(row["body"]) == said],
    )


def _state_of(spoken: Spoken, outcome: Outcome) -> HeldState:
    """Where it stands after this. A community's name, or the one that somebody logs in by, is a person's to decide, whatever was found."""
    if spoken.form is HeldForm.NAME and not spoken.target and outcome.action is Action.HIDE:
        return HeldState.WAITING
    return _STATES[outcome.action]


def _is_covered(text: str, shown: str) -> bool:
    """Whether what is shown is this text with a part of it covered, or all of it."""
    return len(text) == len(shown) and all(there in (letter, "▒") for letter, there in zip(text, shown, strict=True))


async def _withdraw(tx: asyncpg.Connection, spoken: Spoken, outcome: Outcome, held: int) -> tuple[NewEvent, ...]:
    """Takes it away, or covers a part of it. A record or a name that is only held stands until a person has decided."""
    stream, target = spoken.stream, spoken.target
    if spoken.form in (HeldForm.MESSAGE, HeldForm.EDIT):
        if outcome.action is Action.MASK:
            if not await rewrite(tx, stream, target, outcome.text, 0, forget=True):
                return ()
            return (event(stream, 0, Edited(target, outcome.text), target),)
        if not await redact(tx, stream, target, held):
            return ()
        return (event(stream, 0, Deleted(target), target), event(stream, 0, TakenBack(target, outcome.why)))
    if outcome.action is Action.HIDE:
        await _take_away(tx, spoken, held)
    return ()


async def _take_away(tx: asyncpg.Connection, spoken: Spoken, held: int) -> None:
    """Replaces a person's name, covers words of a mentorship. Records are a job's, other names a person's."""
    if spoken.form is HeldForm.NAME and spoken.target:
        await names.take_name(tx, held, spoken.target, spoken.body)
    elif spoken.form is HeldForm.RECORD and not spoken.entity:
        await cover(tx, spoken.key, spoken.author, read_said(spoken.body))


def decided(stream: int, held: int, state: HeldState, by: int, *, appealed: bool = False) -> NewEvent:
    """What the review stream hears of a decision."""
    return event(stream, 0, HeldDecided(held, state, by, appealed))


def _review_of(space: SpaceSeen | None, author: int) -> SpaceSeen | None:
    """Whose staff decide: the community's, or None: the platform's. Nobody decides about themselves, nor their friends about them."""
    if space is None or space.kind is not SpaceKind.COMMUNITY or space.standing(author).may(Permission.MODERATE):
        return None
    return space


def _notice(ruling: Ruling, held: int, space: int) -> Notice:
    """What the author is told: what happened, why, that nothing else follows, and what they can do."""
    action, why = ruling.outcome.action, WHY[ruling.outcome.why]
    what = _WHAT[ruling.spoken.form]
    if action is Action.MASK:
        words = f"A part of {what} was covered: {why}. If that is wrong, appeal, and a person looks at it."
    elif _state_of(ruling.spoken, ruling.outcome) is HeldState.HIDDEN:
        words = f"We took back {what}: {why}. Nothing else changes for you. If we are wrong, appeal, and a person looks at it."
    elif ruling.spoken.form in (HeldForm.RECORD, HeldForm.NAME):
        words = f"A person is going to look at {what}, and until then it stands: {why}. You need not do anything."
    else:
        words = f"A person looks at {what} before others see it: {why}. You need not do anything."
    return Notice(ruling.spoken.author, NoticeKind.MODERATION, space=space, subject=held, words=words)


def _covered(body: bytes, text: str) -> bytes:
    said = codec.decode_body(body)
    return codec.encode(replace(said, text=text) if isinstance(said, Posted) else Said(text))


_WHAT: Final = {
    HeldForm.OTHER: "something of yours",
    HeldForm.MESSAGE: "a message of yours",
    HeldForm.EDIT: "a change of a message of yours",
    HeldForm.RECORD: "something that you wrote for others",
    HeldForm.NAME: "a name that you gave",
}
_STATES: Final = {
    Action.ALLOW: HeldState.NOTED,
    Action.MASK: HeldState.HIDDEN,
    Action.HOLD: HeldState.WAITING,
    Action.HIDE: HeldState.HIDDEN,
}
_LET_THROUGH: Final = {
    (False, False): HeldState.RELEASED,
    (False, True): HeldState.NOTED,
    (True, False): HeldState.HIDDEN,
    (True, True): HeldState.HIDDEN,
}
"""What was checked first and is delivered: whether a part of it is covered, and whether staff are told of it."""
_ASIDE: Final = frozenset({HeldForm.RECORD, HeldForm.NAME})
"""What stands while it is looked at, also where it came into `held` first (`persistence.moderation.aside`)."""
