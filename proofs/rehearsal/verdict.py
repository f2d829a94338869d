"""What became of everything that was said: the one comparison that a rehearsal is made for. Pure: lists in, counts out.

    posts as their devices know them ─┐
    the log as Postgres has it ───────┼─▶ judge ─▶ lost, duplicated, out of order, wrong, differing copies
    each device's copy of each stream ┘

Every post's text is its own (it begins with a number), so that "once" can be counted rather than believed.

Invariant: a post that was acknowledged stands in the log once, where the acknowledgement said, as its author sent it; one without an
outcome stands there once or not at all; one that was refused does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from msgspec import Struct, field

from protocol.codec import UnknownBody
from protocol.events import AnyBody, Said

FAULTS_SHOWN_MAX = 20
"""Described one by one; the others are only counted."""


class Post(Struct):
    """Something said, as its device knows it. Times are trio's clock; `seq` is 0 and `refusal` empty while there is no outcome."""

    number: int
    device: int
    user: int
    stream: int
    text: str
    sent_at: float
    acknowledged_at: float = 0.0
    seq: int = 0
    refusal: str = ""
    unbroken: bool = False
    """Acknowledged on the socket that was open when it was sent."""


class Fact(Struct, frozen=True):
    """An event as a copy and the log both have it."""

    seq: int
    author: int
    at: int
    body: AnyBody | UnknownBody | None


class Copy(Struct, frozen=True):
    """One device's own copy of one stream, in the order in which it came."""

    device: int
    stream: int
    facts: Sequence[Fact]


class Verdict(Struct):
    """Counts; all but the first four are 0 after a good run."""

    sent: int = 0
    acknowledged: int = 0
    without_outcome: int = 0
    copies: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    wrong: int = 0
    """Under another number, stream or author than acknowledged; sent by nobody; or there although it was refused."""
    differing: int = 0
    """Copies that are not, event for event, what Postgres has."""
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.duplicated or self.out_of_order or self.wrong or self.differing or self.refused)

    def note(self, fault: str) -> None:
        if len(self.faults) < FAULTS_SHOWN_MAX:
            self.faults.append(fault)


def judge(posts: Sequence[Post], log: Mapping[int, Sequence[Fact]], copies: Iterable[Copy]) -> Verdict:
    """Compares everything. `posts` in the order of sending; `log` by stream, ascending."""
    verdict = Verdict(sent=len(posts))
    _judge_log(log, verdict)
    _judge_posts(posts, log, verdict)
    _judge_order(posts, verdict)
    for copy in copies:
        _judge_copy(copy, log.get(copy.stream, ()), verdict)
    return verdict


def _judge_log(log: Mapping[int, Sequence[Fact]], verdict: Verdict) -> None:
    for stream, facts in log.items():
        for place, fact in enumerate(facts, 1):
            if fact.seq != place:
                verdict.out_of_order += 1
                verdict.note(f"the log of stream {stream} has event {fact.seq} at place {place}")
                break


def _judge_posts(posts: Sequence[Post], log: Mapping[int, Sequence[Fact]], verdict: Verdict) -> None:
    places: defaultdict[str, list[tuple[int, Fact]]] = defaultdict(list)
    for stream, facts in log.items():
        for fact in facts:
            if isinstance(fact.body, Said):
                places[fact.body.text].append((stream, fact))
    for post in posts:
        found = places.pop(post.text, [])
        if len(found) > 1:
            verdict.duplicated += len(found) - 1
            verdict.note(f"post {post.number} stands in the log {len(found)} times: {[(stream, fact.seq) for stream, fact in found]}")
        if post.refusal:
            verdict.refused += 1
            verdict.note(f"post {post.number} was refused: {post.refusal}")
            verdict.wrong += len(found)
        elif not post.seq:
            verdict.without_outcome += 1
        else:
            verdict.acknowledged += 1
            if not found:
                verdict.lost += 1
                verdict.note(f"post {post.number} was acknowledged as {post.seq} of stream {post.stream}, and is not in the log")
            elif (post.stream, post.seq, post.user) not in [(stream, fact.seq, fact.author) for stream, fact in found]:
                verdict.wrong += 1
                verdict.note(f"post {post.number} by {post.user} was acknowledged as {post.seq} of stream {post.stream}, log: {found}")
    strangers = sum(map(len, places.values()))
    if strangers:
        verdict.wrong += strangers
        verdict.note(f"{strangers} messages that nobody sent, such as {next(iter(places))!r}")


def _judge_order(posts: Sequence[Post], verdict: Verdict) -> None:
    """What one device says in one stream stands there in the order in which it said it."""
    last: dict[tuple[int, int], Post] = {}
    for post in posts:
        if post.seq:
            before = last.get((post.device, post.stream))
            if before is not None and before.seq >= post.seq:
                verdict.out_of_order += 1
                verdict.note(f"device {post.device} said post {before.number} before {post.number}; the log has {before.seq}, {post.seq}")
            last[post.device, post.stream] = post


def _judge_copy(copy: Copy, facts: Sequence[Fact], verdict: Verdict) -> None:
    verdict.copies += 1
    seen: set[int] = set()
    for fact in copy.facts:
        if fact.seq in seen:
            verdict.duplicated += 1
        elif fact.seq != len(seen) + 1:
            verdict.out_of_order += 1
        seen.add(fact.seq)
    if list(copy.facts) != list(facts):
        verdict.differing += 1
        pairs = enumerate(zip_longest(copy.facts, facts), 1)
        place, (ours, theirs) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
        what = f"device {copy.device}, stream {copy.stream}: {len(copy.facts)} of {len(facts)} events"
        verdict.note(f"{what}; at place {place} it has {ours}, Postgres {theirs}")
