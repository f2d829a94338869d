"""Requests: what a client asks of the store, and the frame that answers it.

    command ─question─▶ Query ─▶ store ─▶ Result ─answer─▶ frame with the command's id
                 ╰ Failed, where nobody need be asked

Pure, so that the socket's session and the request over HTTP give the same answers to the same questions.

Invariant: every question that is asked names the account of the session, never one that the client wrote.
"""

from __future__ import annotations

from typing import Final, get_args

import msgspec
from msgspec import Raw

from actors.casting import cast_answer
from actors.storage import (
    ConflictList,
    Denied,
    Events,
    FindMatches,
    FindMessages,
    FindPerson,
    FoundPlace,
    HeldList,
    HoldingRead,
    InheritDevice,
    InheritedOutcomes,
    ListConflicts,
    ListDocumentVersions,
    ListHeld,
    ListMembers,
    ListMentorships,
    ListReports,
    ListSpaces,
    ListUnapplied,
    LoadState,
    MatchLater,
    MatchList,
    MemberList,
    MentorshipList,
    MessagesFound,
    PersonFound,
    Query,
    ReadAfter,
    ReadBefore,
    ReadHolding,
    ReadRecords,
    ReadVersions,
    RecordsRead,
    ReportList,
    Result,
    SpaceList,
    StatePart,
    UnappliedList,
    VersionList,
    VersionsListed,
)
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.frames import (
    ConflictPage,
    Conflicts,
    DocumentPart,
    DocumentVersionPage,
    DocumentVersions,
    Failed,
    Find,
    FindMentors,
    Found,
    Frame,
    HeldItems,
    HeldPage,
    History,
    Holding,
    Holdings,
    Inherit,
    Inherited,
    LoadDocument,
    MemberPage,
    Members,
    MentorsFound,
    MentorshipPage,
    Mentorships,
    MentorsLater,
    Overview,
    Page,
    PageEvent,
    Person,
    RecordPage,
    ReportPage,
    Reports,
    Search,
    Snapshot,
    Spaces,
    Unapplied,
    UnappliedPage,
    VersionPage,
    Versions,
)

AnyQuestion = (
    Overview
    | History
    | Members
    | Search
    | Snapshot
    | Conflicts
    | Unapplied
    | Versions
    | Inherit
    | Holding
    | Reports
    | HeldItems
    | Mentorships
    | FindMentors
    | LoadDocument
    | DocumentVersions
    | Find
)
QUESTIONS: Final[tuple[type[AnyQuestion], ...]] = get_args(AnyQuestion)
PAGE_BYTES_MAX: Final = 48 * 1024
"""A page of `History`."""
RETRY_MS: Final = 500
"""How long to wait where the database is away or has too much to do."""
_PLACE: Final = msgspec.msgpack.Decoder(FoundPlace)


def question(command: AnyQuestion, user: int, device: int) -> Query | Failed:
    """What to ask the store for this command of this account's device; or why it is not asked."""
    match command:
        case Overview():
            return ListSpaces(user)
        case History(id, stream, before, after, limit):
            if bool(before) == bool(after):
                return Failed(id, Code.INVALID, "give one of before and after")
            if before:
                return ReadBefore(stream, user, before, limit, PAGE_BYTES_MAX)
            return ReadAfter(stream, user, after, limit, PAGE_BYTES_MAX)
        case Members(_, space, after, limit):
            return ListMembers(space, user, after, limit)
        case Search(id, name):
            if "\0" in name:
                return Failed(id, Code.INVALID, "no name contains U+0000")
            return FindPerson(name, user)
        case Snapshot(_, stream, entity, key, bytes_max):
            return ReadRecords(stream, user, entity, key, bytes_max)
        case Conflicts(_, after, open_only, conflict, limit):
            return ListConflicts(user, after, open_only, conflict, limit)
        case Unapplied(_, after, space, limit):
            return ListUnapplied(user, space, after, limit)
        case Versions(_, stream, entity, key, before, limit):
            return ReadVersions(stream, user, entity, key, before, limit)
        case Inherit(id, inherited, sent):
            if inherited == device:
                return Failed(id, Code.INVALID, "a device inherits from another one")
            return InheritDevice(user, device, inherited, tuple((one.number, one.digest) for one in sent))
        case Holding():
            return ReadHolding(user, device)
        case Reports(id, after, space, platform, open_only, limit):
            if space and platform:
                return Failed(id, Code.INVALID, "give one of space and platform")
            return ListReports(user, space, platform, after, open_only, limit)
        case Mentorships(_, after, open_only, limit):
            return ListMentorships(user, after, open_only, limit)
        case FindMentors(id, subjects, level, styles, languages, hours, space, limit):
            if any("\0" in words for words in (*subjects, *languages)):
                return Failed(id, Code.INVALID, "no subject or language contains U+0000")
            return FindMatches(user, subjects, level, styles, languages, hours, space, limit)
        case LoadDocument(_, document, version, generation, upto, offset, bytes_max):
            return LoadState(document, user, version, generation, upto, offset, bytes_max)
        case DocumentVersions(_, document, before, limit):
            return ListDocumentVersions(document, user, before, limit)
        case Find(id, words, space, stream, place, limit):
            if "\0" in words:
                return Failed(id, Code.INVALID, "no message contains U+0000")
            try:
                ended = _PLACE.decode(place) if place else None
            except msgspec.MsgspecError:
                return Failed(id, Code.INVALID, "this is no place that `Found` named")
            return FindMessages(user, words, space, stream, ended, limit)
        case HeldItems(id, after, space, platform, open_only, limit):
            if space and platform:
                return Failed(id, Code.INVALID, "give one of space and platform")
            return ListHeld(user, space, platform, after, open_only, limit)


def answer(command: AnyQuestion, result: Result, schema: int = SCHEMA) -> Frame:
    """The frame that answers the command with what the store said, for a client of this schema."""
    frame = _answer(command, result)
    return frame if schema >= SCHEMA else cast_answer(frame, schema, command.entity if isinstance(command, Versions) else 0)


def _answer(command: AnyQuestion, result: Result) -> Frame:
    id = command.id
    match result:
        case Denied():
            return denied(id, result)
        case SpaceList():
            return Spaces(id, result.inbox_upto, result.spaces, result.invitations, result.blocked, result.slow)
        case MemberList() if isinstance(command, Members):
            return MemberPage(id, command.space, result.members, result.more)
        case PersonFound():
            return Person(id, result.user, result.name, result.display_name)
        case Events() if isinstance(command, History):
            events = tuple(PageEvent(row.seq, row.author, row.at, Raw(row.body)) for row in result.rows)
            return Page(id, command.stream, events, result.more)
        case RecordsRead() if isinstance(command, Snapshot):
            return RecordPage(id, command.stream, result.head, result.records, result.more)
        case ConflictList():
            return ConflictPage(id, result.conflicts, result.more)
        case UnappliedList():
            return UnappliedPage(id, result.items, result.more)
        case VersionList():
            return VersionPage(id, result.versions, result.more)
        case InheritedOutcomes():
            return Inherited(id, result.settled)
        case HoldingRead():
            return Holdings(id, result.streams, result.quota_bytes)
        case ReportList():
            return ReportPage(id, result.reports, result.more)
        case MentorshipList():
            return MentorshipPage(id, result.mentorships, result.more)
        case MatchList():
            return found(id, result)
        case MatchLater():
            return MentorsLater(id, result.ticket)
        case HeldList():
            return HeldPage(id, result.items, result.more)
        case StatePart(generation, upto, size, offset, data) if isinstance(command, LoadDocument):
            return DocumentPart(id, command.document, generation, upto, size, offset, data)
        case MessagesFound(messages, place):
            return Found(id, messages, b"" if place is None else msgspec.msgpack.encode(place))
        case VersionsListed():
            return DocumentVersionPage(id, result.versions, result.more)
        case _:
            raise AssertionError(f"{type(command).__name__} was answered by {type(result).__name__}")


def found(id: int, result: MatchList) -> MentorsFound:
    """The frame of what was found; `id` 0 where it was promised by a ticket."""
    return MentorsFound(id, result.mentors, result.considered, result.fitting, result.by, result.degraded, result.ticket)


def denied(id: int, result: Denied, stream: int = 0) -> Failed:
    """The frame for a refusal. `stream`: the one that was to be followed."""
    return Failed(id, result.code, result.detail, RETRY_MS if result.code in (Code.BUSY, Code.UNAVAILABLE) else 0, stream)
