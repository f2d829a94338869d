"""Two devices of one person, and people of one community, against the running system: offline, merged, decided, left, copied."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from client import Account, Credentials, MemoryStore, MutationRefused, Session, connect
from client.connecting import REAL_WORLD
from client.http_door import sync_once
from client.sync_streams import NoStream
from protocol.codes import Code
from protocol.entities import Entity
from protocol.merge import Outcome
from protocol.operations import Leave, Say
from protocol.values import Choice, Role
from tests.system.running import PASSWORD, Dev, community, register

pytestmark = pytest.mark.xdist_group("system")

ABOUT, ZONE = 1, 4
PERCENT = 1
TEXT = 2


@asynccontextmanager
async def online(url: str, credentials: Credentials, store: MemoryStore) -> AsyncIterator[Session]:
    """A session that is in step with the server."""
    async with connect(url, credentials, store=store) as session:
        await in_step(session)
        yield session


async def in_step(session: Session) -> None:
    with trio.fail_after(20):
        await session.synced()


async def seen(session: Session, library: int, text: str) -> None:
    """Waits until a section of content reads so."""
    with trio.fail_after(20), session.records.changes() as changes:
        while session.records.view(library, Entity.CONTENT, 1).fields.get(TEXT) != text:
            await anext(changes)


@asynccontextmanager
async def offline(credentials: Credentials, store: MemoryStore) -> AsyncIterator[Session]:
    """A session of a device without a network: nothing listens on this port."""
    async with connect("http://127.0.0.1:9", credentials, store=store) as session:
        yield session


async def second_device(url: str, account: Account, credentials: Credentials) -> Credentials:
    """The same person on another device."""
    return await account.login(credentials.login.name, PASSWORD)


async def test_what_two_devices_wrote_offline_is_merged_field_by_field_and_nothing_is_lost(dev: Dev) -> None:
    here, there = dev.urls
    async with Account(here) as account:
        phone = await register(here)
        laptop = await second_device(here, account, phone)
        on_phone, on_laptop = MemoryStore(), MemoryStore()
        async with online(here, phone, on_phone) as session:
            own = session.sync_streams.find(Entity.PROFILE)
            await session.put(own, Entity.PROFILE, 1, {ABOUT: "a gardener", ZONE: "Africa/Nairobi"}).outcome()
        async with online(there, laptop, on_laptop) as session:
            assert session.records.view(own, Entity.PROFILE, 1).fields[ABOUT] == "a gardener"
        async with offline(phone, on_phone) as session:
            session.put(own, Entity.PROFILE, 1, {ABOUT: "a gardener of herbs"})
        async with offline(laptop, on_laptop) as session:
            session.put(own, Entity.PROFILE, 1, {ABOUT: "a gardener of trees", ZONE: "Europe/Berlin"})
            assert session.sync_status.pending == 1
        async with online(here, phone, on_phone):
            pass
        async with online(there, laptop, on_laptop) as session, online(here, phone, on_phone) as other:
            for device in (session, other):
                await in_step(device)
            views = [device.records.view(own, Entity.PROFILE, 1) for device in (session, other)]
            assert views[0].fields == views[1].fields and views[0].fields[ZONE] == "Europe/Berlin"
            lost = {"a gardener of herbs", "a gardener of trees"} - {views[0].fields[ABOUT]}
            kept = (await session.versions(own, Entity.PROFILE, 1)).versions
            (version,) = [version for version in kept if any(text.encode() in bytes(version.fields) for text in lost)]
            # And the losing value can be brought back.
            await session.restore(own, Entity.PROFILE, 1, version).outcome()
            assert {session.records.view(own, Entity.PROFILE, 1).fields[ABOUT]} == lost


async def test_a_conflict_about_content_waits_for_a_person_and_can_be_undone(dev: Dev) -> None:
    here, there = dev.urls
    store = MemoryStore()
    mentor = await register(there)
    async with connect(there, mentor, store=store) as session, community(here, (session, Role.MENTOR)) as (owner, space, _):
        await in_step(session)
        await in_step(owner)
        library = owner.sync_streams.find(Entity.CONTENT, space)
        await owner.put(library, Entity.CONTENT, 1, {TEXT: "Water the roots."}).outcome()
        await seen(session, library, "Water the roots.")
        await owner.put(library, Entity.CONTENT, 1, {TEXT: "Water the roots at dusk."}).outcome()
        # Written without having seen that.
        base_one = session.records.change(library, Entity.CONTENT, 1, {TEXT: "Water the roots at dawn."}, at=int(REAL_WORLD.wall()))
        behind = type(base_one)(base_one.stream, base_one.entity, base_one.key, base_one.at, base_one.fields, 1)
        outcome, number = await session.submit(behind).outcome()
        assert outcome is Outcome.REVIEW
        await in_step(session)
        (conflict,) = session.conflicts()
        assert conflict.conflict == number and session.sync_status.conflicts == 1
        await session.claim(number).wait()
        fresh = await session.conflict(number)
        assert fresh is not None
        outcome, _ = await session.resolve(fresh, Choice.MERGED, {TEXT: "Water the roots at dawn and dusk."}).outcome()
        assert outcome is Outcome.APPLIED
        await in_step(session)
        assert session.conflicts() == ()
        await session.reopen(number).wait()
        again = await session.conflict(number)
        assert again is not None
        assert b"at dusk" in bytes(again.theirs) and b"at dawn" in bytes(again.mine)
        await session.resolve(again, Choice.THEIRS).outcome()
        await seen(owner, library, "Water the roots at dusk.")


async def test_leaving_takes_the_records_from_the_device_and_sets_aside_what_was_written(dev: Dev) -> None:
    here, there = dev.urls
    store = MemoryStore()
    learner = await register(there)
    async with connect(there, learner, store=store) as session, community(here, (session, Role.LEARNER)) as (owner, space, _):
        await in_step(session)
        progress = session.sync_streams.find(Entity.PROGRESS, space)
        await session.put(progress, Entity.PROGRESS, 5, {PERCENT: 40}).outcome()
        await in_step(session)
        assert progress in {size.stream for size in store.sizes()}
        late = session.records.change(progress, Entity.PROGRESS, 5, {PERCENT: 80}, at=int(REAL_WORLD.wall()))
        await session.do(Leave(space))
        with pytest.raises(MutationRefused) as refused:
            await session.submit(late).wait()
        assert refused.value.code == Code.NOT_FOUND
        await in_step(session)
        assert progress not in {size.stream for size in store.sizes()}
        with pytest.raises(NoStream):
            session.sync_streams.find(Entity.PROGRESS, space)
        assert [kept.code for kept in session.unapplied()] == [Code.NOT_FOUND]
        (item,) = (await owner.kept_unapplied(space=space)).items
        assert item.quarantined and item.user == session.user


async def test_two_copies_of_a_store_both_keep_what_they_wrote(dev: Dev) -> None:
    here, there = dev.urls
    async with Account(here) as account:
        registered = await register(here)
        original = Credentials(account, registered.login)
        store = MemoryStore()
        async with connect(here, await register(here)) as friend, online(here, original, store) as session:
            own = session.sync_streams.find(Entity.BOOKMARK)
            await session.put(own, Entity.BOOKMARK, 1, {3: "before"}).outcome()
            copy = store.copy()
            await session.put(own, Entity.BOOKMARK, 2, {3: "by the original"}).outcome()
            assert friend.device != session.device
        copied = Credentials(account, registered.login)
        async with connect(there, copied, store=copy) as session:
            with trio.fail_after(20):
                assert (await session.put(own, Entity.BOOKMARK, 3, {3: "by the copy"}).outcome())[0] is Outcome.APPLIED
            await in_step(session)
            assert session.device == copied.device != original.device
            notes = [view.fields[3] for view in session.records.list(own, Entity.BOOKMARK)]
            assert notes == ["before", "by the original", "by the copy"]


async def test_sync_goes_over_http_and_over_a_socket_for_the_same_store(dev: Dev) -> None:
    here, there = dev.urls
    async with Account(here) as account:
        credentials = Credentials(account, (await register(here)).login)
        store = MemoryStore()
        status = await sync_once(credentials, store, REAL_WORLD)
        assert status.settled
        async with offline(credentials, store) as session:
            own = session.sync_streams.find(Entity.BOOKMARK)
            for key in range(1, 201):
                session.put(own, Entity.BOOKMARK, key, {3: f"place {key}"})
        status = await sync_once(credentials, store, REAL_WORLD)
        assert (status.pending, status.refused) == (0, ())
        assert len(store.records(own, Entity.BOOKMARK)) == 200
        async with online(there, credentials, store) as session:
            assert await session.put(own, Entity.BOOKMARK, 7, {}, gone=True).outcome() == (Outcome.APPLIED, 2)
            with pytest.raises(MutationRefused):
                await session.submit(Say(own, "a stream of records takes no words")).wait()
        fresh = MemoryStore()
        async with online(there, await second_device(here, account, credentials), fresh) as session:
            assert len(session.records.list(own, Entity.BOOKMARK)) == 199


async def test_a_store_of_another_epoch_asks_what_the_server_knows_of_it_and_stays_the_same_device(dev: Dev) -> None:
    """As after a restore to a time at which everything was decided: nothing is another's, and nothing is asked for twice."""
    here, there = dev.urls
    async with Account(here) as account:
        credentials = Credentials(account, (await register(here)).login)
        store = MemoryStore()
        async with online(here, credentials, store) as session:
            own = session.sync_streams.find(Entity.BOOKMARK)
            for key in range(1, 21):
                await session.put(own, Entity.BOOKMARK, key, {3: f"place {key}"}).outcome()
            device, epoch = session.device, store.load().epoch
        for visit in range(2):
            store.begin(epoch % 1000 + 1 + visit)
            if visit:
                await sync_once(credentials, store, REAL_WORLD)
            else:
                async with online(there, credentials, store) as session:
                    assert session.device == device
            saved = store.load()
            assert (saved.device, saved.epoch, saved.mutations) == (device, epoch, ())
            assert [one.version for one in store.records(own, Entity.BOOKMARK)] == [1] * 20
