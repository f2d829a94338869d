"""Everybody in a run, made through the front door, and dealt out to the crews.

    users register ─▶ their other devices log in ─▶ communities, joins ─▶ Member, Member, … ─▶ crews

Invariant: every member follows its inbox and every stream of its communities, and may write in their channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import trio
from msgspec import Struct

from proofs.faulting.crew import Member
from proofs.rehearsal.device import Device
from proofs.rehearsal.population import Door, Plan, make_communities, make_devices

SETTING_S = 120.0
USERS_PART = 3
"""Devices a user."""


class Numbers(Struct, frozen=True):
    """How many devices of which kind."""

    real: int
    light: int
    poor: int
    communities: int

    @property
    def devices(self) -> int:
        return self.real + self.light + self.poor


async def make_members(numbers: Numbers, urls: Sequence[str], chance: Random) -> list[Member]:
    """Registers, founds and joins. The first `numbers.real` are to be real clients, and so
    is every second of the last `numbers.poor`, which are to be on the poor link."""
    users = max(2, numbers.devices // USERS_PART)
    plan = Plan(users, numbers.devices, numbers.communities)
    with trio.fail_after(SETTING_S):
        async with Door(lambda: urls, chance) as door, trio.open_nursery() as everything:
            devices = await make_devices(plan, door, lambda: urls, chance)
            people = devices[:users]
            for person in people:
                await everything.start(person.live)
            await make_communities(plan, people, chance)
            everything.cancel_scope.cancel()
    faults = [fault for person in people for fault in person.faults]
    if faults:
        raise AssertionError(f"before anything was broken: {faults[:3]}")
    first_poor = numbers.real + numbers.light
    return [
        _member(device, people[number % users], number < numbers.real or (number >= first_poor and number % 2 == 0))
        for number, device in enumerate(devices)
    ]


def _member(device: Device, person: Device, real: bool) -> Member:
    streams = (*(stream for stream in person.streams if stream != person.badge.inbox), person.badge.inbox)
    return Member(real, device.badge.login, streams, tuple(person.channels))
