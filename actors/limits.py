"""Limits: how often one account may ask for what is dear, on all its devices and gateways together.

    request ─▶ its quota ─take─▶ allowed ─▶ store                       refused: `RATE`, and how long to wait
    operation ─▶ its quota ─take─▶ allowed ─▶ journal                   refused: its refusal takes its place, with when it may come again

What most people do all day (saying something, following, marking as read) has no quota: the session's own rate holds it, close at hand.
A refused operation consumes its number, or a community founded too many would hold up all that a device said after it for hours.

Invariant: whoever takes never waits. Over any t seconds an account is allowed at most `burst + per_s * t` of a kind, and where gateways
share what they count (`gateway.shared_limits`), besides what each let through before it heard of the others, which is owed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from actors.pace import Rate
from actors.storage import Decided, Entry, Refusal
from protocol.codes import Code
from protocol.frames import AnyCommand, Find, FindMentors, HeldItems, History, Members, Reports, Search
from protocol.operations import (
    Appeal,
    AskQuestions,
    Block,
    CreateCommunity,
    CreateDocument,
    Invite,
    NameVersion,
    OpenConversation,
    ProposeMentorship,
    React,
    Rename,
    ReportMessage,
    ReportPerson,
    RestoreVersion,
    Unblock,
)


class Quota(Enum):
    """Something that an account may ask for so often."""

    SEARCH = "search"
    HISTORY = "history"
    MEMBERS = "members"
    REPORTS = "reports"
    BLOCKS = "blocks"
    INVITATIONS = "invitations"
    CONVERSATIONS = "conversations"
    COMMUNITIES = "communities"
    REACTIONS = "reactions"
    RENAMES = "renames"
    MATCHES = "matches"
    PROPOSALS = "proposals"
    DRAFTS = "drafts"
    DOCUMENTS = "documents"
    FINDS = "finds"


class Quotas(Struct, frozen=True):
    """The rate of each quota, for one account."""

    search: Rate = Rate(20 / 60, 30)
    """Names looked up: whoever looks up more of them collects them."""
    history: Rate = Rate(120 / 60, 120)
    """Pages of earlier messages: somebody who scrolls as fast as they can read."""
    members: Rate = Rate(60 / 60, 60)
    reports: Rate = Rate(2 / 60, 15)
    """Repeats, too; new ones are bounded a day, in the database."""
    blocks: Rate = Rate(6 / 60, 40)
    """Each is told to all of one's devices."""
    invitations: Rate = Rate(30 / 60, 200)
    """A teacher invites a class or five."""
    conversations: Rate = Rate(2 / 60, 20)
    """Each is a space, and a word in somebody's inbox."""
    communities: Rate = Rate(0.5 / 60, 20)
    reactions: Rate = Rate(60 / 60, 60)
    renames: Rate = Rate(0.5 / 60, 10)
    """Each is told in every space that one is in."""
    matches: Rate = Rate(10 / 60, 20)
    """Each looks at every mentor there is; somebody who changes a word and looks again needs a few a minute."""
    proposals: Rate = Rate(2 / 60, 10)
    """Each is a word in a mentor's inbox; those that wait are bounded in the database, too."""

    drafts: Rate = Rate(6 / 60, 20)
    """Each has a model read a lesson, which may take seconds."""
    documents: Rate = Rate(4 / 60, 40)
    """Opened, named or restored: each may copy what a document is, up to 4 MiB. What is written in them has the session's rate alone."""

    finds: Rate = Rate(60 / 60, 60)
    """Searches in messages: one for each pause of somebody who types."""

    def of(self, quota: Quota) -> Rate:
        """The rate of one of them."""
        rates: dict[str, Rate] = msgspec.structs.asdict(self)
        return rates[quota.value]


REQUESTS: Final[Mapping[type[AnyCommand], Quota]] = {
    Search: Quota.SEARCH,
    History: Quota.HISTORY,
    Members: Quota.MEMBERS,
    Reports: Quota.MEMBERS,
    FindMentors: Quota.MATCHES,
    HeldItems: Quota.MEMBERS,
    Find: Quota.FINDS,
}
OPERATIONS: Final[Mapping[type[object], Quota]] = {
    ReportMessage: Quota.REPORTS,
    ReportPerson: Quota.REPORTS,
    Appeal: Quota.REPORTS,
    Block: Quota.BLOCKS,
    Unblock: Quota.BLOCKS,
    Invite: Quota.INVITATIONS,
    OpenConversation: Quota.CONVERSATIONS,
    CreateCommunity: Quota.COMMUNITIES,
    React: Quota.REACTIONS,
    Rename: Quota.RENAMES,
    ProposeMentorship: Quota.PROPOSALS,
    AskQuestions: Quota.DRAFTS,
    CreateDocument: Quota.DOCUMENTS,
    NameVersion: Quota.DOCUMENTS,
    RestoreVersion: Quota.DOCUMENTS,
}


class Limits(Protocol):
    """Who counts; `gateway.shared_limits.SharedLimits`."""

    def take(self, quota: Quota, user: int, address: str = "") -> float:
        """Takes one: 0.0 if there was one, else the seconds until there will be. `address`: where it came from, which is counted, too,
        where it is known. Never waits."""
        ...


class Unlimited:
    """Where nobody counts."""

    def take(self, quota: Quota, user: int, address: str = "") -> float:
        """Always there."""
        return 0.0


UNLIMITED: Final = Unlimited()


def judge(entry: Entry, limits: Limits, wall: float) -> Entry:
    """The entry as it goes to the journal: as it is, or, where its account has had enough of that, as its refusal. The number and digest
    stay, so that whoever asks again for what was decided before is told what was decided. `wall`: Unix time in seconds."""
    quota = OPERATIONS.get(type(entry.operation))
    if quota is None:
        return entry
    wait_s = limits.take(quota, entry.user)
    if wait_s <= 0.0:
        return entry
    detail = f"too many {quota.value} in a while; wait {_words(wait_s)}"
    return msgspec.structs.replace(entry, operation=Refusal(Code.SLOWED, detail, until_ms=int((wall + wait_s) * 1000) + 1))


def wait_ms_of(decided: Decided, wall: float) -> int:
    """How long to wait, in milliseconds, as a `SLOWED` says by when it may come again; 0 for everything else."""
    return max(1, decided.value - int(wall * 1000)) if decided.code is Code.SLOWED else 0


def words_of(decided: Decided, wait_ms: int) -> str:
    """What is said of a decided mutation: its own words; a channel in slow mode has none."""
    if decided.code is Code.SLOWED and not decided.detail:
        return f"one message in a while here; wait {_words(wait_ms / 1000)}"
    return decided.detail


def _words(seconds: float) -> str:
    whole = int(seconds) + 1
    return f"{whole} s" if whole < 120 else f"{whole // 60 + 1} minutes"
