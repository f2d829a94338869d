"""A key of a request is a device that says one thing, for a day, and nobody else's."""

from __future__ import annotations

import msgspec

from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.http_writing import PostgresWriting
from persistence.identity.own import PostgresIdentity
from tests.persistence.identity import Listening, claims, query, register

KEY, OTHER = b"k" * 32, b"o" * 32


async def test_a_key_is_the_same_device_each_time_and_another_for_every_account_and_key(bridge: Bridge) -> None:
    accounts, writing = PostgresAccounts(bridge, Listening()), PostgresWriting(bridge)
    ada, juma = await register(accounts), await register(accounts, "juma")
    first, again = await writing.stamp(ada.user, KEY), await writing.stamp(ada.user, KEY)
    assert first == again and first.number == 1
    devices = {first.device, (await writing.stamp(ada.user, OTHER)).device, (await writing.stamp(juma.user, KEY)).device}
    assert len(devices) == 3 and not devices & {ada.device, juma.device, 0}
    keyless = await writing.stamp(ada.user, b"")
    assert (keyless.device, keyless.generation, keyless.number) == (0, 0, 0)


async def test_a_key_is_forgotten_after_a_day_with_what_it_said_and_devices_of_people_stay(bridge: Bridge) -> None:
    accounts, writing = PostgresAccounts(bridge, Listening()), PostgresWriting(bridge)
    ada = await register(accounts)
    old, young = await writing.stamp(ada.user, KEY), await writing.stamp(ada.user, OTHER)
    await query(bridge, "insert into outcomes (device_id, slot, number, digest, code, value) values ($1, 1, 1, 1, 0, 7)", old.device)
    await query(bridge, "update devices set seen_at = now() - interval '25 hours' where id = any($1)", [old.device, ada.device])
    assert await accounts.sweep() == 1
    left = {row["id"] for row in await query(bridge, "select id from devices where user_id = $1", ada.user)}
    assert left == {ada.device, young.device}
    assert not await query(bridge, "select from outcomes where device_id = $1", old.device)
    assert (await writing.stamp(ada.user, KEY)).device != old.device


async def test_a_key_is_no_device_that_its_owner_sees_or_names(bridge: Bridge) -> None:
    accounts, writing = PostgresAccounts(bridge, Listening()), PostgresWriting(bridge)
    ada = await register(accounts)
    hidden = (await writing.stamp(ada.user, KEY)).device
    identity = PostgresIdentity(bridge, Listening())
    listed = msgspec.to_builtins(await identity.list_devices(claims(ada)))
    assert [one["device"] for one in listed] == [ada.device]
    assert await identity.rename_device(claims(ada), hidden, "mine") is not None
