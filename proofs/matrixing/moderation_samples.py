"""A sample of every command of moderation. As `operation_samples`: what a sample names exists and is fresh."""

from __future__ import annotations

from typing import Final

from proofs.matrixing.command_samples import _id
from proofs.matrixing.operation_samples import NO_ACCOUNT
from proofs.matrixing.site import Ask, Site, command, operation
from proofs.matrixing.speaking import by_id
from protocol.codec import encode
from protocol.events import Said
from protocol.frames import HeldItems, HeldPage
from protocol.operations import AnyOperation, Appeal, DecideAppeal, DecideHeld, Level, SetModeration
from protocol.permissions import OWN, Permission, on_platform
from protocol.values import Harm, HeldForm, HeldState

REVIEWING: Final = on_platform(Permission.REVIEW_PLATFORM)
_HELD: Final = (
    "insert into held (space_id, review_id, stream_id, target, author, form, state, body, reasons, told, decided_at, appealed_at)"
    " values ($1, $2, $3, 1, $4, $5, $6, $7, '0:100', true, now(), case when $8 then now() end) returning id"
)


async def held(site: Site, author: int, review: int, *, appealed: bool = False) -> int:
    """Another message that moderation holds, hidden for no harm of anybody's."""
    place, body = site.place, encode(Said("something that was said"))
    return await site.ground.value(_HELD, place.space, review, place.channel, author, HeldForm.MESSAGE, HeldState.HIDDEN, body, appealed)


@operation(DecideHeld)
async def decide_held(site: Site) -> AnyOperation:
    return DecideHeld(await held(site, site.place.pupil.user, site.place.space), False)


@operation(DecideHeld, "of the platform's", foreign=False, needs=REVIEWING)
async def decide_platform_held(site: Site) -> AnyOperation:
    return DecideHeld(await held(site, site.place.pupil.user, 0), False)


@operation(Appeal, mine=True, foreign=False, without=NO_ACCOUNT)
async def appeal(site: Site) -> AnyOperation:
    return Appeal(await held(site, site.user, site.place.space), "it was a quotation")


@operation(DecideAppeal)
async def decide_appeal(site: Site) -> AnyOperation:
    return DecideAppeal(await held(site, site.place.pupil.user, site.place.space, appealed=True), False)


@operation(DecideAppeal, "of the platform's", foreign=False, needs=REVIEWING)
async def decide_platform_appeal(site: Site) -> AnyOperation:
    return DecideAppeal(await held(site, site.place.pupil.user, 0, appealed=True), False)


@operation(SetModeration)
async def set_moderation(site: Site) -> AnyOperation:
    return SetModeration(site.place.space, levels=(Level(Harm.INSULT, 80, 95),))


@command(HeldItems)
async def held_items(site: Site) -> Ask:
    id = _id(site)
    return Ask(HeldItems(id, space=site.place.space), by_id(id, HeldPage))


@command(HeldItems, "of the platform's", foreign=False, needs=REVIEWING)
async def platform_held_items(site: Site) -> Ask:
    id = _id(site)
    return Ask(HeldItems(id, platform=True), by_id(id, HeldPage))


@command(HeldItems, "of one's own", foreign=False, needs=OWN)
async def own_held_items(site: Site) -> Ask:
    id = _id(site)
    return Ask(HeldItems(id), by_id(id, HeldPage))
