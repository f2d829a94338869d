"""Requests: what a client asks of the store, and the frame that answers it.

    command ─question─▶ Query ─▶ store ─▶ Result ─answer─▶ frame with the command's id
                 ╰ Failed, where nobody need be asked

Pure, so that the socket's session and the request over HTTP give the same answers to the same questions.

Invariant: every question that is asked names the account of the session, never one that the client wrote.
"""

from __future__ import annotations

from typing import Final, get_args

from msgspec import Raw

from actors.storage import (
    Denied,
    Events,
    FindPerson,
    ListMembers,
    ListSpaces,
    MemberList,
    PersonFound,
    Query,
    ReadAfter,
    ReadBefore,
    Result,
    SpaceList,
)
from protocol.codes import Code
from protocol.frames import Failed, Frame, History, MemberPage, Members, Overview, Page, PageEvent, Person, Search, Spaces

AnyQuestion = Overview | History | Members | Search
QUESTIONS: Final[tuple[type[AnyQuestion], ...]] = get_args(AnyQuestion)
PAGE_BYTES_MAX: Final = 48 * 1024
"""A page of `History`."""
RETRY_MS: Final = 500
"""How long to wait where the database is away or has too much to do."""


def question(command: AnyQuestion, user: int) -> Query | Failed:
    """What to ask the store for this command of this account; or why it is not asked."""
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
            return FindPerson(name)


def answer(command: AnyQuestion, result: Result) -> Frame:
    """The frame that answers the command with what the store said."""
    id = command.id
    match result:
        case Denied():
            return denied(id, result)
        case SpaceList():
            return Spaces(id, result.inbox_upto, result.spaces, result.invitations)
        case MemberList() if isinstance(command, Members):
            return MemberPage(id, command.space, result.members, result.more)
        case PersonFound():
            return Person(id, result.user, result.name, result.display_name)
        case Events() if isinstance(command, History):
            events = tuple(PageEvent(row.seq, row.author, row.at, Raw(row.body)) for row in result.rows)
            return Page(id, command.stream, events, result.more)
        case _:
            raise AssertionError(f"{type(command).__name__} was answered by {type(result).__name__}")


def denied(id: int, result: Denied, stream: int = 0) -> Failed:
    """The frame for a refusal. `stream`: the one that was to be followed."""
    return Failed(id, result.code, result.detail, RETRY_MS if result.code in (Code.BUSY, Code.UNAVAILABLE) else 0, stream)
