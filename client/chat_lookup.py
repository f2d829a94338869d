"""What a chat asks the server for, so that the view can name what it shows.

    command ─▶ spaces, people ─┐
    event ───▶ meet_whoever ───┴─▶ session ─▶ view

Invariant: an event waits for a name no longer than `NAME_S`, and nobody is asked about twice in vain.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import trio

from client.chat_view import View
from client.errors import RequestFailed
from client.fold import Message, fact_of
from client.session import Session
from client.subscription import Item
from protocol.events import Invited, SpaceEntered
from protocol.frames import Event, IsTyping, MemberPage, Spaces, SpaceState
from protocol.values import SpaceKind

NAME_S = 2.0
"""An event waits this long for the answer to who it is about; then it is shown with a number."""
MEMBERS_LEARNED = 200
"""Members whose names are learned when a channel is opened: one page. Others are learned when they say something."""
CONVERSATIONS_NAMED = 20
"""Conversations whose people are asked for at once: a request each, so not for hundreds."""
INBOX_LOOKED_BACK = 256
"""The inbox's newest events, looked through for mentions at the start: one page. Invitations stand in the overview, however old."""


class Lookup:
    """Asks for spaces, people and names, and puts them into the view."""

    def __init__(self, session: Session, view: View) -> None:
        self._session = session
        self._view = view

    async def spaces(self) -> None:
        """Spaces, channels and how far they are; at first what waits in the inbox, too."""
        overview = await self._session.overview()
        self._view.spaces = overview.spaces
        for invitation in overview.invitations:
            if invitation.by_name:
                self._view.names.learn(invitation.by, invitation.by_name)
        for space in self._view.unnamed[:CONVERSATIONS_NAMED]:
            await self.people(space)
        if self._view.desk is None:
            await self._desk(overview)

    async def people(self, space: SpaceState) -> MemberPage:
        """A space's first members."""
        page = await self._session.members(space.space, limit=MEMBERS_LEARNED)
        self._view.meet(page.members, space.space if space.kind is SpaceKind.CONVERSATION else 0)
        return page

    async def authors(self, stream: int, messages: Iterable[Message]) -> None:
        """The names of those who wrote these."""
        for author in {message.author for message in messages}:
            await self._name(stream, author)

    async def meet_whoever(self, item: Item) -> None:
        """Before an item is shown: the names of those it is about, if they are new, because they came after one had looked."""
        with trio.move_on_after(NAME_S), suppress(RequestFailed):
            match item:
                case Event(stream, _, author) if stream in self._view.rooms:
                    await self._name(stream, author)
                case IsTyping(stream, user):
                    await self._name(stream, user)
                case Event(body=Invited(by=by)) if self._view.desk is not None and self._view.names.wants(by):
                    await self.spaces()
                case Event(body=SpaceEntered(space)) if self._view.desk is not None and self._view.is_news(space):
                    await self.spaces()
                case _:
                    pass

    async def _name(self, stream: int, user: int) -> None:
        space = self._view.space_of(stream)
        if space is not None and self._view.names.wants(user):
            # The page that begins with them has them as its first; without them, they are a member no longer.
            page = await self._session.members(space.space, after=user - 1, limit=1)
            self._view.meet(page.members)
            self._view.names.give_up(user)

    async def _desk(self, overview: Spaces) -> None:
        """The inbox as the overview has it, and from there on its events."""
        inbox, upto = self._session.inbox, overview.inbox_upto
        newest = (await self._session.history(inbox, before=upto + 1, limit=INBOX_LOOKED_BACK)).events if upto else ()
        if self._view.desk is not None:
            return  # learned meanwhile, for another command
        self._session.unfollow(inbox, forget=True)
        self._view.set_desk(overview, [fact_of(inbox, event) for event in newest])
        self._session.follow(inbox, upto)
