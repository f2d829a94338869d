"""A community to look at: two people, a few words between them, a small course, made through the front door like anybody's.

Invariant: made once. Whoever starts again finds what is there, and what was said since.
"""

from __future__ import annotations

from typing import Final

import structlog
import trio
from msgspec import Struct

from client import Account, AccountError, connect
from protocol.operations import CreateChannel, CreateCommunity, Invite, Join, Say
from protocol.values import Role
from supervisors.demo_lessons import make_lessons

log = structlog.get_logger("demo")

DEMO_S: Final = 60.0


class Figure(Struct, frozen=True):
    """Somebody in the demonstration. The password is public, and so is everything they say."""

    name: str
    display_name: str
    password: str


AMINA: Final = Figure("amina", "Amina", "a-boat-on-the-lake")
JUMA: Final = Figure("juma", "Juma", "two-goats-and-a-book")

COMMUNITY: Final = "Lakeside school"
WORDS: Final = (
    (AMINA, "Welcome! This channel is for whatever you cannot solve alone."),
    (JUMA, "Then I begin: why is a half divided by a quarter two, and not an eighth?"),
    (AMINA, "Ask it the other way round: how many quarters fit into a half?"),
    (JUMA, "Two. Oh!"),
)


async def make_demo(url: str) -> None:
    """Makes the community, unless it is there. Raises `TooSlowError` if the server does not answer in time."""
    with trio.fail_after(DEMO_S):
        async with Account(url) as account:
            try:
                amina = await account.register(AMINA.name, AMINA.password, AMINA.display_name, "demo")
                juma = await account.register(JUMA.name, JUMA.password, JUMA.display_name, "demo")
            except AccountError as error:
                if error.status == 409:
                    return
                raise
            async with connect(url, amina) as mentor, connect(url, juma) as learner:
                space = await mentor.do(CreateCommunity(COMMUNITY, open_to_all=True))
                await mentor.do(Invite(space, learner.user, Role.LEARNER))
                await learner.do(Join(space))
                overview = await mentor.overview()
                general = next(s.stream for here in overview.spaces if here.space == space for s in here.streams if s.name == "general")
                speakers = {AMINA: mentor, JUMA: learner}
                for figure, text in WORDS:
                    await speakers[figure].do(Say(general, text))
                await mentor.do(CreateChannel(space, "fractions"))
                await make_lessons(mentor, learner, space)
    log.info("demo_made", community=COMMUNITY)
