"""Notices: what somebody is told that happened, and by which ways.

    a transaction ─notify─▶ outbox ─▶ inbox event (Noticed), on every device by the socket
                                  ╰─▶ job: who is offline and wants it gets a push, a mail, or a line in the digest

A mention, an invitation and a conflict are inbox events of their own, and the notice is that event: nothing is told twice.

Invariant: the inbox event is the notice; mail and push only point to it, and are sent at least once under the notice's own id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntFlag
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

from protocol.values import ID_MAX
from protocol.values import NoticeKind as NoticeKind

RULES_MAX: Final = 200
EVERY_KIND: Final = -1


class Notice(Struct, frozen=True):
    """One thing to tell one person. `stream` and `seq` say where it can be seen (0: nowhere); `subject`: what it is about (a record, a
    report, a session, by kind); `words`: at most a line for people, never a secret."""

    user: int
    kind: NoticeKind
    actor: int = 0
    space: int = 0
    stream: int = 0
    seq: int = 0
    subject: int = 0
    words: str = ""


class Way(IntFlag):
    """How a notice comes. Nothing of them: it does not come."""

    OFF = 0
    INBOX = 1
    """In the inbox, on every device; what each other way implies."""
    PUSH = 2
    """To devices that are not connected."""
    MAIL = 4
    DIGEST = 8
    """With others, in one mail a day or a week."""


DEFAULTS: Final[Mapping[NoticeKind, Way]] = {
    NoticeKind.OTHER: Way.INBOX,
    NoticeKind.MENTION: Way.INBOX | Way.PUSH | Way.DIGEST,
    NoticeKind.REPLY: Way.INBOX | Way.PUSH | Way.DIGEST,
    NoticeKind.INVITATION: Way.INBOX | Way.PUSH | Way.MAIL,
    NoticeKind.CONFLICT: Way.INBOX | Way.DIGEST,
    NoticeKind.MATCH: Way.INBOX | Way.PUSH | Way.MAIL,
    NoticeKind.MODERATION: Way.INBOX | Way.PUSH | Way.MAIL,
    NoticeKind.REMINDER: Way.INBOX | Way.PUSH,
    NoticeKind.ROLE: Way.INBOX,
    NoticeKind.TRUST: Way.INBOX,
    NoticeKind.SECURITY: Way.INBOX | Way.PUSH | Way.MAIL,
}
"""What comes how, to who has said nothing. A test holds that no kind is left out."""
ALWAYS: Final = frozenset({NoticeKind.SECURITY})
"""Told by every way there is, at any hour, whatever is preferred, and also of what one did oneself: it may have been somebody else."""
UNSUBSCRIBABLE: Final = frozenset(NoticeKind) - ALWAYS


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """By which ways a kind (`EVERY_KIND`: all) comes, in a channel, a community, or (both 0) everywhere. `ways` is a sum of `Way`."""

    ways: Annotated[int, Meta(ge=0, le=15)]
    kind: Annotated[int, Meta(ge=EVERY_KIND, le=255)] = EVERY_KIND
    space: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    stream: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0


def ways_of(kind: NoticeKind, space: int, stream: int, rules: Iterable[Rule]) -> Way:
    """How a notice comes: by the narrowest rule that covers it (channel before community before everywhere, a kind before all kinds),
    else by `DEFAULTS`. A way implies the inbox."""
    if kind in ALWAYS:
        return DEFAULTS[kind]
    narrowest: Rule | None = None
    for rule in rules:
        if rule.kind not in (EVERY_KIND, kind) or (rule.stream and rule.stream != stream) or (rule.space and rule.space != space):
            continue
        if narrowest is None or _narrowness(rule) > _narrowness(narrowest):
            narrowest = rule
    ways = DEFAULTS.get(kind, Way.INBOX) if narrowest is None else Way(narrowest.ways)
    return ways | Way.INBOX if ways else Way.OFF


def _narrowness(rule: Rule) -> tuple[bool, bool, bool]:
    return bool(rule.stream), bool(rule.space), rule.kind != EVERY_KIND


class Waiting(Struct, frozen=True):
    """A notice about which it is to be decided how else it comes. `at`: Unix seconds. `read`: on some device, or what it points to was."""

    seq: int
    kind: NoticeKind
    space: int
    stream: int
    at: float
    read: bool = False


class Reach(Struct, frozen=True):
    """How somebody can be reached: whether mail may be sent, and digests are wanted; which of their subscriptions belong to devices that
    are offline now and which to ones that seem to be online; when their quiet hours end (0: it is not quiet); what they do not want
    mailed any more."""

    rules: Sequence[Rule] = ()
    mail: bool = False
    digests: bool = False
    offline: Sequence[int] = ()
    online: Sequence[int] = ()
    quiet_until: float = 0.0
    unmailed: frozenset[int] = frozenset()


UNMAILED_ALL: Final = -1
UNMAILED_DIGEST: Final = -2


class Verdict(Struct, frozen=True):
    """What becomes of notices: `push` are (subscription, notices), `mail` and `digest` notices; `settled` are not looked at again, what is
    not among them is, at `again_at` (Unix seconds; 0: nothing is left)."""

    push: Mapping[int, Sequence[int]]
    mail: Sequence[int]
    digest: Sequence[int]
    settled: Sequence[int]
    again_at: float = 0.0


def decide(waiting: Iterable[Waiting], reach: Reach, now: float, look_again_s: float) -> Verdict:
    """Decides for one person.

    While a device of theirs seems to be online nothing is pushed or mailed: the socket has brought the event, and they may read it there.
    That it is online may be stale (a phone that vanished is held until its heartbeat is missed), so such a notice is looked at once more,
    `look_again_s` after it happened, by when the vanished are known. Then whoever has not read it gets it on the devices that are offline;
    one that is still online has answered a ping that was sent behind the event. So a stale answer costs that delay, and no push.
    """
    push: dict[int, list[int]] = {}
    mail: list[int] = []
    digest: list[int] = []
    settled: list[int] = []
    again_at = 0.0
    for notice in waiting:
        always = notice.kind in ALWAYS
        ways = ways_of(notice.kind, notice.space, notice.stream, reach.rules)
        if notice.read and not always:
            settled.append(notice.seq)
            continue
        if reach.quiet_until > now and not always and ways & (Way.PUSH | Way.MAIL):
            again_at = min(again_at or reach.quiet_until, reach.quiet_until)
            continue
        if ways & (Way.PUSH | Way.MAIL) and reach.online and now < notice.at + look_again_s and not always:
            again_at = min(again_at or notice.at + look_again_s, notice.at + look_again_s)
            continue
        if ways & Way.PUSH:
            for subscription in (*reach.offline, *(reach.online if always else ())):
                push.setdefault(subscription, []).append(notice.seq)
        if ways & Way.MAIL and reach.mail and (always or not reach.unmailed & {UNMAILED_ALL, int(notice.kind)}):
            mail.append(notice.seq)
        elif ways & Way.DIGEST and reach.mail and reach.digests and not reach.unmailed & {UNMAILED_ALL, UNMAILED_DIGEST, int(notice.kind)}:
            digest.append(notice.seq)
        settled.append(notice.seq)
    return Verdict(push, mail, digest, settled, again_at)


class Preferences(Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody prefers. Quiet hours, the time zone and the language stand in their records (`Preferences` and `Profile`).

    `previews`: a push may carry the beginning of the message. `digest`: a `Digest`, at `digest_at` minutes after midnight, a weekly one on
    `digest_day` (0 is Monday). `unmailed`: kinds that are not mailed any more, whatever the rules say, because somebody unsubscribed from
    them in a mail (-1: all, -2: digests).
    """

    rules: Annotated[tuple[Rule, ...], Meta(max_length=RULES_MAX)] = ()
    previews: bool = False
    digest: Annotated[int, Meta(ge=0, le=2)] = 0
    digest_at: Annotated[int, Meta(ge=0, le=1439)] = 480
    digest_day: Annotated[int, Meta(ge=0, le=6)] = 0
    unmailed: Annotated[tuple[Annotated[int, Meta(ge=-2, le=255)], ...], Meta(max_length=32)] = ()


class Preferred(Preferences, frozen=True):
    """What somebody prefers, and what holds where they have said nothing. `defaults`: for each kind a sum of `Way`; `always`: kinds that
    come so whatever is preferred."""

    defaults: dict[int, int] = {}
    always: tuple[int, ...] = ()


def with_defaults(preferences: Preferences) -> Preferred:
    """The same, with `DEFAULTS` beside it."""
    said = {name: getattr(preferences, name) for name in Preferences.__struct_fields__}
    defaults = {int(kind): int(ways) for kind, ways in DEFAULTS.items()}
    return Preferred(**said, defaults=defaults, always=tuple(sorted(int(kind) for kind in ALWAYS)))


class Listed(Struct, frozen=True):
    """A notice in a list. `at`: Unix seconds."""

    notice: int
    kind: int
    actor: int
    space: int
    stream: int
    seq: int
    subject: int
    words: str
    at: int
    read: bool


class Reminder(Struct, frozen=True):
    """Something that somebody wants to be told of at a time of their own choice. `at`: Unix seconds."""

    id: int
    at: int
    stream: int = 0
    seq: int = 0
    words: str = ""


class NoticeDesk(Protocol):
    """A person's notices, preferences and reminders; `persistence.notice_desk`. All may raise `StorageError`."""

    async def list_notices(self, user: int, before: int, limit: int) -> tuple[Listed, ...]:
        """Those below number `before` (0: the newest), newest first."""
        ...

    async def read(self, user: int, notices: Sequence[int]) -> None:
        """Marks these as read, and tells the other devices through the inbox. What is none of theirs, or read already, is passed over."""
        ...

    async def preferences(self, user: int) -> Preferences: ...

    async def prefer(self, user: int, preferences: Preferences) -> None:
        """Replaces them."""
        ...

    async def unsubscribe_mail(self, user: int, kind: int) -> None:
        """No more mail of this kind (-1: of none but security, -2: no digests)."""
        ...

    async def remind(self, user: int, reminder: Reminder) -> int:
        """The new reminder's id; 0 where there are `REMINDERS_MAX` already, or its stream is not theirs to read."""
        ...

    async def reminders(self, user: int) -> tuple[Reminder, ...]: ...

    async def forget_reminder(self, user: int, id: int) -> bool: ...


REMINDERS_MAX: Final = 100
