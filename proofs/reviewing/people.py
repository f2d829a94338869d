"""Who speaks where everything is checked first, and who decides there: each at their own gateway, all by the client.

    author ─ says, edits, takes back ─▶ gateway          moderator ─ DecideHeld ─▶ gateway      (harmless: let through, hateful: kept away)

Invariant: a refusal is an answer, except of what is only said: that is always taken.
"""

from __future__ import annotations

import random

import asyncpg
import trio
from msgspec import Struct, field

from bench.moderation import HARMFUL, HARMLESS
from bench.ours import Ours
from client import MutationRefused, Session
from client.pending import Pending
from proofs.reviewing.verdict import HATEFUL
from protocol import codec
from protocol.events import Edited, Posted, Said
from protocol.operations import DecideHeld, Delete, Edit, Say

_OWN = "select seq from log where stream_id = $1 and author = $2 and kind in (1, 6) order by seq desc limit 20"
_OPEN = (
    "select h.id, h.body from held h join streams s on s.id = h.stream_id where h.stream_id = $1 and h.review_id = s.space_id"
    " and h.told and h.body is not null and h.state in (1, 2, 3) and h.appealed_at is null order by h.id desc limit 20"
)


class Seat(Struct, frozen=True):
    """A channel, who writes in it and who moderates it."""

    stream: int
    author: Session
    author_user: int
    moderator: Session


class Deeds(Struct):
    """What was submitted, in order."""

    said: list[Pending] = field(default_factory=list)
    edited: list[Pending] = field(default_factory=list)
    others: list[Pending] = field(default_factory=list)

    async def settle(self) -> tuple[int, int, int]:
        """Waits for every answer: how many were said, edited, and otherwise done. A refused Say raises."""
        for pending in self.said:
            await pending.wait()
        return len(self.said), *[sum([await _taken(one) for one in some]) for some in (self.edited, self.others)]  # type: ignore[return-value]


async def act(ours: Ours, seat: Seat, dice: random.Random, number: int, deeds: Deeds) -> None:
    """One thing that somebody does. Texts are told apart by `number`."""
    what = dice.choices(("say", "edit", "delete", "decide"), (60, 20, 6, 14))[0]
    text = (HARMFUL if dice.random() < 0.3 else dice.choice(HARMLESS)).format(n=number)
    if what == "decide":
        rows = await ours.ask(lambda connection: connection.fetch(_OPEN, seat.stream))
        if rows:
            row = dice.choice(rows)
            deeds.others.append(seat.moderator.submit(DecideHeld(row["id"], HATEFUL not in text_of(row["body"]))))
        return
    if what != "say":
        own = await ours.ask(lambda connection: connection.fetch(_OWN, seat.stream, seat.author_user))
        if own:
            target = dice.choice(own)["seq"]
            if what == "edit":
                deeds.edited.append(seat.author.submit(Edit(seat.stream, target, text)))
            else:
                deeds.others.append(seat.author.submit(Delete(seat.stream, target)))
            return
    deeds.said.append(seat.author.submit(Say(seat.stream, text)))


async def listen(seat: Seat, violations: list[str]) -> None:
    """What the moderator's device is shown, as it comes: of nothing hateful a word."""
    seat.moderator.follow(seat.stream)
    async for event in seat.moderator.events(seat.stream):
        body = getattr(event, "body", None)
        if isinstance(body, (Said, Posted, Edited)) and HATEFUL in body.text:
            violations.append(f"stream {seat.stream}: a device was shown what is hateful")


def text_of(body: bytes) -> str:
    """What a held body says."""
    said = codec.decode_body(bytes(body))
    assert isinstance(said, (Said, Posted)), said
    return said.text


async def prepare(connection: asyncpg.Connection, streams: list[int]) -> None:
    """As `SetModeration` and `SetRole` do: everything is checked first, and one of the two moderates."""
    await connection.execute(
        "insert into moderation_policies (space_id, check_first) select space_id, true from streams where id = any($1)", streams
    )
    await connection.execute("update streams set check_first = true where id = any($1)", streams)
    await connection.execute(
        "update members m set role = 2 from (select s.space_id, min(m.user_id) as user_id from streams s join members m"
        " on m.space_id = s.space_id where s.id = any($1) group by s.space_id) q"
        " where m.space_id = q.space_id and m.user_id = q.user_id",
        streams,
    )


async def _taken(pending: Pending) -> bool:
    try:
        await pending.wait()
    except MutationRefused:
        return False
    return True


async def pause(per_s: float) -> None:
    """Between two deeds."""
    await trio.sleep(1 / per_s)
