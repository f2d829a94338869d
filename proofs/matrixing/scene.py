"""The places of one world, made through the front door where that is not what is tried, and the sockets of those who keep them.

settle ─▶ owner founds a closed community, a second one to leave, one that is open (or, of a foreign place, not)
       ─▶ mentor, pupil, victim, somebody refused, somebody outside ─▶ Keeping: the place, the owner's and the mentor's sockets
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from msgspec import Struct

from proofs.matrixing.ground import Ground, Place
from proofs.matrixing.speaking import Talker, by_id, talk
from protocol.codes import Code
from protocol.frames import Follow, Followed
from protocol.operations import AnyOperation, CreateChannel, CreateCommunity
from protocol.values import Role, StreamKind


class Keeping(Struct, frozen=True):
    """A place, and the sockets by which it is kept."""

    place: Place
    watcher: Talker
    writer: Talker


async def _do(talker: Talker, operation: AnyOperation) -> int:
    code, value, detail = await talker.do(operation)
    assert code is Code.OK, f"{operation!r}: {code.name} {detail}"
    return value


@contextlib.asynccontextmanager
async def settle(ground: Ground, port: int, source: str, *, foreign: bool) -> AsyncIterator[Keeping]:
    """Makes a place for the length of the block. `foreign`: nothing in it is open to anybody."""
    name = ground.word()
    owner, writer = await ground.account(name), await ground.account()
    pupil, victim, refused, stranger = [await ground.account() for _ in range(4)]
    async with talk(port, source, owner) as watcher, talk(port, source, writer) as mentor:
        space = await _do(watcher, CreateCommunity(f"{name} closed", False))
        exit = await _do(watcher, CreateCommunity(f"{name} exit", False))
        square = await _do(watcher, CreateCommunity(f"{name} square", not foreign))
        for login, role in ((writer, Role.MENTOR), (pupil, Role.LEARNER), (victim, Role.LEARNER), (refused, Role.LEARNER)):
            await ground.admit(space, login.user, role)
        other_channel = await _do(watcher, CreateChannel(space, "other"))
        channel = await ground.stream(space, StreamKind.CHANNEL)
        await ground.message(channel, owner.user)
        message = await ground.message(channel, owner.user)
        id = watcher.next_id()
        await watcher.ask(Follow(id, channel, message), by_id(id, Followed))
        place = Place(
            space=space,
            own=await ground.stream(space, StreamKind.COMMUNITY),
            channel=channel,
            other_channel=other_channel,
            board=await ground.stream(space, StreamKind.BOARD),
            library=await ground.stream(space, StreamKind.LIBRARY),
            exit=exit,
            square=square,
            message=message,
            name=name,
            owner=owner,
            victim=victim,
            pupil=pupil,
            writer=writer,
            refused=refused,
            stranger=stranger,
        )
        yield Keeping(place, watcher, mentor)
