"""Where devices are pushed to is sealed at rest, stays readable while keys change, and waits while an older version still reads it."""

from __future__ import annotations

from actors.push import SUBSCRIPTIONS_MAX, Push, Service, Subscription
from gateway.push.sealing import PURPOSE, PushSeals
from gateway.seals import DERIVED_BYTES, Seals
from gateway.tokens import KeySet, generate_pem
from persistence.bridge import Bridge
from persistence.notice_news import read_push
from persistence.push_subscriptions import PostgresSubscriptions
from tests.persistence.sovereignty.places import tables_with
from tests.persistence.world import Person, World, world

PHONE = Subscription(Service.WEB, "https://push.example/marigold", b"p" * 65, b"marigold-secret!")
OLD, NEW = generate_pem(), generate_pem()


def seals(*pems: str) -> PushSeals:
    return PushSeals(Seals(KeySet("".join(pems), lifetime_s=900).derive(PURPOSE, DERIVED_BYTES)))


async def of_the_version_before(w: World, person: Person, subscription: Subscription = PHONE) -> None:
    """As a gateway of the version before writes a subscription."""
    await w.rows(
        "insert into push_subscriptions (user_id, device_id, service, address, hash, p256dh, auth)"
        " values ($1, $2, $3, $4::text, sha256($4::text::bytea), $5, $6)"
        " on conflict (service, hash) do update set user_id = excluded.user_id",
        person.user,
        person.device,
        int(subscription.service),
        subscription.address,
        subscription.p256dh,
        subscription.auth,
    )


async def read(w: World, person: Person, with_keys: PushSeals) -> Subscription | None:
    """What a push would be sent to; the notice it is about is made up."""
    await w.rows("insert into sessions (user_id, device_id, expires_at) values ($1, $2, 'infinity')", person.user, person.device)
    await w.rows("insert into notices (user_id, seq, kind, words) values ($1, 1, 0, 'hello') on conflict do nothing", person.user)
    [id] = await w.column("select id from push_subscriptions where user_id = $1", person.user)
    news = await w.bridge.run(lambda tx: read_push(tx, Push(id, person.user, (1,), 2**31), with_keys), deadline_s=9)
    assert news is not None
    return news.to


async def test_no_endpoint_and_no_key_of_a_device_is_in_any_row_and_its_push_finds_them(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        await PostgresSubscriptions(bridge, seals(NEW)).subscribe(ada.user, ada.device, PHONE)
        assert await tables_with(w, "marigold") == {}
        assert await read(w, ada, seals(NEW)) == PHONE


async def test_a_subscription_of_one_account_opens_for_no_other(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, eve = await w.person("ada"), await w.person("eve")
        await PostgresSubscriptions(bridge, seals(NEW)).subscribe(ada.user, ada.device, PHONE)
        await w.rows("update push_subscriptions set user_id = $1, device_id = $2", eve.user, eve.device)
        assert await read(w, eve, seals(NEW)) is None


async def test_the_same_address_again_is_the_same_subscription_however_it_was_written(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = await w.person("ada"), await w.person("ben")
        desk = PostgresSubscriptions(bridge, seals(NEW))
        await of_the_version_before(w, ada)
        first = await desk.subscribe(ada.user, ada.device, PHONE)
        assert await desk.subscribe(ben.user, ben.device, PHONE) == first
        assert await w.column("select user_id from push_subscriptions") == [ben.user]
        assert await read(w, ben, seals(NEW)) == PHONE


async def test_nothing_is_sealed_while_a_worker_is_there_that_cannot_open_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        desk = PostgresSubscriptions(bridge, seals(NEW))
        await w.rows("insert into job_workers (name, leased_until) values ('before', now() + interval '1 minute')")
        await desk.subscribe(ada.user, ada.device, PHONE)
        assert await desk.reseal() == (0, 0)
        assert [row["address"] for row in await w.rows("select address from push_subscriptions")] == [PHONE.address]
        await w.rows("update job_workers set leased_until = now()")
        assert (await desk.reseal())[1] == 1
        assert await tables_with(w, "marigold") == {} and await read(w, ada, seals(NEW)) == PHONE


async def test_what_a_gateway_of_the_version_before_wrote_beside_a_sealed_one_takes_its_place(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, ben = await w.person("ada"), await w.person("ben")
        desk = PostgresSubscriptions(bridge, seals(NEW))
        await desk.subscribe(ada.user, ada.device, PHONE)
        await of_the_version_before(w, ben)
        after, done = await desk.reseal()
        assert (done, await desk.reseal(after)) == (1, (0, 0))
        assert await w.column("select user_id from push_subscriptions") == [ben.user]
        assert await read(w, ben, seals(NEW)) == PHONE


async def test_an_older_key_may_leave_the_file_once_the_job_has_sealed_everything_anew(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        await PostgresSubscriptions(bridge, seals(OLD)).subscribe(ada.user, ada.device, PHONE)
        assert await read(w, ada, seals(NEW)) is None
        desk = PostgresSubscriptions(bridge, seals(NEW, OLD))
        assert (await desk.reseal())[1] == 1 and (await desk.reseal())[1] == 0
        assert await read(w, ada, seals(NEW)) == PHONE


async def test_beyond_the_bound_the_oldest_goes(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada = await w.person("ada")
        desk = PostgresSubscriptions(bridge, seals(NEW))
        first = await desk.subscribe(ada.user, ada.device, PHONE)
        for n in range(SUBSCRIPTIONS_MAX):
            await desk.subscribe(ada.user, ada.device, Subscription(Service.FCM, f"token-{n}"))
        kept = [one.id for one in await desk.subscriptions(ada.user)]
        assert len(kept) == SUBSCRIPTIONS_MAX and first not in kept
