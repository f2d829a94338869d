"""Webhooks from the log to a real receiver: the streams in the real Postgres, the HTTP over real sockets."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from actors.accounts import Claims, Declined
from actors.webhooks import KINDS, NAMES, Due, Settled, Subscription, WebhookInfo, WebhookState, tag_of
from gateway.options import DeliveryRules, PostBounds, Reach
from gateway.seals import DERIVED_BYTES, Seals
from gateway.webhooks.delivering import Deliverer, about
from gateway.webhooks.payload import payload
from gateway.webhooks.posting import Poster
from gateway.webhooks.signing import make_secret
from persistence.bridge import Bridge
from persistence.notices import NOTICED
from persistence.webhook_deliveries import JOB, PostgresDeliveries
from persistence.webhooks import PostgresWebhooks, sweep_deliveries
from protocol import codec
from protocol.codes import Code
from protocol.events import AnyBody, Body, Changed, Joined, Noticed, Posted, RecordItem, Redacted, Renamed, Said
from protocol.operations import CreateChannel, Delete, Join, Post, Say
from protocol.values import Role
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.gateway.receiver import FAULT, GONE, Receiver, receiving
from tests.persistence.identity import CALLER, query
from tests.persistence.world import Person, World, world

__all__ = ["bridge", "database", "postgres_server", "postgres_template"]

DERIVED = secrets.token_bytes(DERIVED_BYTES)
SEALS = Seals([DERIVED])
NOW = 1_800_000_000.0


class Scene:
    """A community with a subscription to its messages, and whoever delivers."""

    def __init__(self, people: World, receiver: Receiver, owner: Person, space: int, channel: int) -> None:
        self.people, self.receiver, self.owner, self.space, self.channel = people, receiver, owner, space, channel
        self.bridge = people.bridge
        self.webhooks = PostgresWebhooks(people.bridge)
        self.deliveries = PostgresDeliveries(people.bridge)
        self.claims = Claims(owner.user, owner.device, 0, 0, 2**31)
        self.secret = make_secret(secrets.token_bytes)
        self.id = 0

    async def subscribe(self, *events: str, role: Role = Role.LEARNER) -> WebhookInfo:
        kinds = tuple(sorted(tag_of(body) for event in events or ("message.posted",) for body in KINDS[event]))
        wanted = Subscription("timetable", self.receiver.url, kinds, role)
        made = await self.webhooks.make(self.claims, self.space, wanted, SEALS.seal(self.secret.encode(), about(self.space)), CALLER)
        assert isinstance(made, WebhookInfo), made
        self.id = made.id
        return made

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.people.ok(self.owner, Say(self.channel, text))

    def deliverer(self, *, total_s: float = 10.0, reach: Reach = Reach(loopback_allowed=True)) -> Deliverer:  # noqa: B008 (frozen)
        poster = Poster(reach, PostBounds(total_s=total_s))
        return Deliverer(self.deliveries, poster, SEALS, DeliveryRules(run_s=1000.0), wall=lambda: NOW, random=lambda: 0.5)

    async def deliver(self, *, total_s: float = 10.0) -> Deliverer:
        deliverer = self.deliverer(total_s=total_s)
        with trio.fail_after(60):
            await deliverer.deliver(self.id)
        return deliverer

    async def let_time_pass(self) -> None:
        """What was to be tried later is due, and leases are over."""
        await query(self.bridge, "update webhooks set due_at = now(), leased_until = '-infinity'")

    async def info(self) -> WebhookInfo:
        [info] = [one for one in await self.webhooks.list(self.space) if one.id == self.id]
        return info


@asynccontextmanager
async def scene(bridge: Bridge) -> AsyncIterator[Scene]:
    async with world(bridge) as people, receiving() as receiver:
        owner = await people.person("ada")
        space, _, channel = await people.community(owner)
        yield Scene(people, receiver, owner, space, channel)


async def test_each_event_arrives_once_in_order_signed_under_its_own_id(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.say("before")
        await it.subscribe()
        await it.say("one", "two", "three")
        deliverer = await it.deliver()
        assert it.receiver.texts == ["one", "two", "three"] and (deliverer.taken, deliverer.failed) == (3, 0)
        assert all(delivery.verified(it.secret) for delivery in it.receiver.came)
        assert len({delivery.id for delivery in it.receiver.came}) == 3
        first = it.receiver.came[0].event
        assert first["type"] == "message.posted"
        assert first["data"] == {"community": it.space, "stream": it.channel, "seq": 2, "author": it.owner.user, "text": "one"}
        await it.deliver()
        assert len(it.receiver.came) == 3
        info = await it.info()
        assert info.delivered == 3 and all(position.after == position.head for position in info.positions)


async def test_a_fault_holds_back_what_is_behind_it_and_is_tried_again_under_the_same_id(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one", "two")
        it.receiver.answers = [FAULT]
        await it.deliver()
        assert it.receiver.texts == ["one"]
        info = await it.info()
        assert info.attempts == 1 and info.due_at > 0
        await it.deliver()
        assert it.receiver.texts == ["one"], "it is not due yet"
        await it.let_time_pass()
        await it.deliver()
        assert it.receiver.texts == ["one", "one", "two"]
        assert it.receiver.came[0].id == it.receiver.came[1].id != it.receiver.came[2].id
        log = await it.webhooks.deliveries(it.space, it.id, 0, 10)
        assert not isinstance(log, Declined)
        assert [(one.attempt, one.status, one.answer) for one in log] == [(1, 200, ""), (2, 200, ""), (1, 500, "oops")]


async def test_a_receiver_that_hangs_costs_one_deadline_and_is_tried_again(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one")
        it.receiver.answers = [None]
        await it.deliver(total_s=0.3)
        log = await it.webhooks.deliveries(it.space, it.id, 0, 10)
        assert not isinstance(log, Declined) and [(one.status, one.attempt) for one in log] == [(0, 1)]
        await it.let_time_pass()
        await it.deliver()
        assert it.receiver.texts == ["one", "one"]


async def test_waiting_grows_from_seconds_to_hours_and_ends_in_giving_up_of_which_the_owner_is_told(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one")
        waits = []
        for _ in range(9):
            it.receiver.answers = [FAULT]
            await it.deliver()
            [wait] = await it.people.column("select round(extract(epoch from due_at - now())) from webhooks")
            waits.append(int(wait))
            await it.let_time_pass()
        wanted = [5, 30, 120, 600, 1800, 3600, 7200, 14400, 14400]
        assert all(abs(wait - meant) <= 3 for wait, meant in zip(waits, wanted, strict=True)), waits
        await query(bridge, "update webhooks set failing_since = now() - interval '25 hours'")
        it.receiver.answers = [FAULT]
        await it.deliver()
        info = await it.info()
        assert info.state is WebhookState.GIVEN_UP and "25 hours" in info.reason
        await it.let_time_pass()
        await it.deliver()
        assert len(it.receiver.came) == 10
        payloads = await it.people.rows("select user_id, payload from outbox where kind = $1", NOTICED)
        assert [row["user_id"] for row in payloads] == [it.owner.user]
        told = codec.decode_body(payloads[0]["payload"])
        assert isinstance(told, Noticed) and told.subject == it.id and "timetable" in told.words
        assert await it.people.column("select count(*) from audit_log where action = 'webhook_paused' and actor = 0") == [1]
        # Somebody lets it go on: from where it stood.
        assert await it.webhooks.resume(it.claims, it.space, it.id, CALLER) is None
        await it.deliver()
        assert it.receiver.texts == ["one"] * 11 and (await it.info()).state is WebhookState.ACTIVE


async def test_a_receiver_that_is_gone_is_given_up_at_once(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one")
        it.receiver.answers = [GONE]
        await it.deliver()
        assert (await it.info()).state is WebhookState.GIVEN_UP


async def test_a_worker_that_is_killed_between_sending_and_settling_leaves_the_event_to_the_next_under_the_same_id(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one", "two")
        it.receiver.answers = [None]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.deliverer().deliver, it.id)
            await it.receiver.wait(1)
            # While it is at work, nobody else is let at it.
            await it.deliver()
            assert len(it.receiver.came) == 1 and await it.deliveries.order_due() == 0
            nursery.cancel_scope.cancel()
        assert await it.deliveries.order_due() == 0, "its lease goes on"
        await it.let_time_pass()
        assert await it.deliveries.order_due() == 1
        await it.deliver()
        assert it.receiver.texts == ["one", "one", "two"] and it.receiver.came[0].id == it.receiver.came[1].id


async def test_whoever_lost_the_lease_moves_no_cursor(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one")
        slow = await it.deliveries.take(it.id, 60)
        assert isinstance(slow, Due)
        await it.let_time_pass()
        quick = await it.deliveries.take(it.id, 60)
        assert isinstance(quick, Due) and quick.message_id == slow.message_id and quick.lease == slow.lease + 1
        assert not await it.deliveries.settle(slow, Settled(200, 1, ""))
        assert (await it.info()).delivered == 0
        assert await it.deliveries.settle(quick, Settled(200, 1, ""))
        assert (await it.info()).delivered == 1 and await it.deliveries.take(it.id, 60) is False


async def test_a_replay_sends_again_from_a_position_also_while_something_is_under_way(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one", "two", "three")
        await it.deliver()
        under_way = await _next_after(it, "four")
        assert await it.webhooks.replay(it.claims, it.space, it.id, it.channel, 1, CALLER) is None
        # What was under way is settled; the cursor stays where it was set.
        assert await it.deliveries.settle(under_way, Settled(200, 1, ""))
        await it.deliver()
        assert it.receiver.texts == ["one", "two", "three", "two", "three", "four"]
        assert it.receiver.came[1].id == it.receiver.came[3].id
        beyond = await it.webhooks.replay(it.claims, it.space, it.id, it.channel, 10_000, CALLER)
        assert isinstance(beyond, Declined) and beyond.code is Code.INVALID


async def _next_after(it: Scene, text: str) -> Due:
    await it.say(text)
    due = await it.deliveries.take(it.id, 60)
    assert isinstance(due, Due)
    return due


async def test_a_paused_subscription_sends_nothing_and_loses_nothing(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        assert await it.webhooks.pause(it.claims, it.space, it.id, CALLER) is None
        await it.say("one")
        await it.deliver()
        assert it.receiver.came == [] and await it.deliveries.order_due() == 0
        assert await it.webhooks.resume(it.claims, it.space, it.id, CALLER) is None
        await it.deliver()
        assert it.receiver.texts == ["one"]


async def test_while_a_secret_is_changed_both_verify_and_then_only_the_new_one(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        new = make_secret(secrets.token_bytes)
        sealed = SEALS.seal(new.encode(), about(it.space))
        assert await it.webhooks.set_secret(it.claims, it.space, it.id, sealed, 3600, CALLER) is None
        await it.say("one")
        await it.deliver()
        await query(bridge, "update webhooks set former_until = now()")
        await it.say("two")
        await it.deliver()
        both, one = it.receiver.came
        assert both.verified(it.secret) and both.verified(new) and one.verified(new) and not one.verified(it.secret)


def rotated() -> tuple[Seals, Seals]:
    """Seals after a new key was put before the one that sealed so far, and after the old one was taken away."""
    old, new = DERIVED, secrets.token_bytes(DERIVED_BYTES)
    return Seals([new, old]), Seals([new])


@pytest.mark.parametrize("by", ["delivery", "job"])
async def test_a_secret_is_sealed_anew_when_its_key_is_no_longer_the_first_and_lies_readable_nowhere(bridge: Bridge, by: str) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        both, new = rotated()
        poster = Poster(Reach(loopback_allowed=True))
        deliverer = Deliverer(it.deliveries, poster, both, DeliveryRules(), wall=lambda: NOW, random=lambda: 0.5)
        await it.say("one")
        if by == "delivery":
            await deliverer.deliver(it.id)
        else:
            assert await deliverer.reseal() == 1
        assert await deliverer.reseal() == 0
        [row] = await it.people.rows("select secret from webhooks")
        opened = new.open(row["secret"], about(it.space))
        assert opened is not None and opened.data.decode() == it.secret and not opened.stale
        await Deliverer(it.deliveries, poster, new, DeliveryRules(), wall=lambda: NOW, random=lambda: 0.5).deliver(it.id)
        assert it.receiver.texts == ["one"] and it.receiver.came[0].verified(it.secret)
        rows = await it.people.rows(
            "select w::text as text from webhooks w union all select d::text from webhook_deliveries d"
            " union all select a::text from audit_log a"
        )
        assert it.secret not in "\n".join(row["text"] for row in rows)


async def test_a_secret_whose_key_is_gone_pauses_the_subscription_and_says_so(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one")
        strangers = Seals([secrets.token_bytes(DERIVED_BYTES)])
        poster = Poster(Reach(loopback_allowed=True))
        await Deliverer(it.deliveries, poster, strangers, DeliveryRules(), wall=lambda: NOW, random=lambda: 0.5).deliver(it.id)
        info = await it.info()
        assert info.state is WebhookState.GIVEN_UP and "set a new one" in info.reason and it.receiver.came == []


async def test_a_subscription_is_told_what_its_role_may_read_and_of_no_other_community(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        staff = await it.people.ok(it.owner, CreateChannel(it.space, "staff", 3, 3))
        learners = await it.subscribe()
        eve = await it.people.person("eve")
        _, _, elsewhere = await it.people.community(eve)
        await it.people.ok(eve, Say(elsewhere, "elsewhere"))
        await it.people.ok(it.owner, Say(staff, "among staff"))
        await it.say("for all")
        await it.deliver()
        assert it.receiver.texts == ["for all"] and all(position.stream != staff for position in learners.positions)
        refused = await it.webhooks.replay(it.claims, it.space, it.id, staff, 0, CALLER)
        assert isinstance(refused, Declined) and refused.code is Code.NOT_FOUND
        await it.subscribe(role=Role.MODERATOR)
        await it.people.ok(it.owner, Say(staff, "again"))
        await it.deliver()
        assert it.receiver.texts == ["for all", "again"]


async def test_a_channel_that_is_opened_later_is_told_from_its_beginning(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe("message.posted", "channel.opened")
        channel = await it.people.ok(it.owner, CreateChannel(it.space, "later", 15, 15))
        await it.people.ok(it.owner, Say(channel, "first"))
        await it.deliver()
        assert it.receiver.texts == ["channel.opened", "first"]


async def test_what_was_taken_back_before_it_was_told_is_not_told(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe("message.posted", "message.deleted")
        seq = await it.people.ok(it.owner, Post(it.channel, "a mistake"))
        await it.people.ok(it.owner, Delete(it.channel, seq))
        await it.deliver()
        assert [one.event["type"] for one in it.receiver.came] == ["message.deleted"]
        assert all(b"a mistake" not in one.body for one in it.receiver.came)


async def test_events_that_nobody_wanted_are_passed_over_and_never_looked_at_again(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe("member.joined")
        await query(
            bridge,
            "with more as (insert into log (stream_id, seq, kind, author, at, body)"
            " select $1, n, 1, 1, 1, $2 from generate_series(2, 2500) n)"
            " update streams set head = 2500 where id = $1",
            it.channel,
            msgspec.msgpack.encode([1, "x"]),
        )
        bob = await it.people.person("bob")
        await it.people.ok(bob, Join(it.space))
        await it.deliver()
        assert it.receiver.texts == ["member.joined"]
        assert all(position.after == position.head for position in (await it.info()).positions)
        assert await it.deliveries.order_due() == 0


async def test_a_job_is_ordered_for_each_subscription_that_is_behind_and_one_that_waits_stands_for_all(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.subscribe()
        assert await it.deliveries.order_due() == 0
        await it.say("one")
        assert await it.deliveries.order_due() == 2 and await it.deliveries.order_due() == 0
        kinds = await it.people.rows("select kind from jobs")
        assert [row["kind"] for row in kinds] == [JOB, JOB]
        tally = await it.deliveries.tally()
        assert (tally.active, tally.failing, tally.paused) == (2, 0, 0)


async def test_figures_count_what_fails_and_what_was_given_up(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one")
        it.receiver.answers = [FAULT]
        await it.deliver()
        await query(bridge, "update log set at = at - 100")
        tally = await it.deliveries.tally()
        assert (tally.active, tally.failing) == (1, 1) and tally.lag_s >= 100
        await it.let_time_pass()
        it.receiver.answers = [GONE]
        await it.deliver()
        assert (await it.deliveries.tally()).given_up == 1


async def test_another_communitys_subscriptions_are_as_if_there_were_none(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        eve = await it.people.person("eve")
        other, *_ = await it.people.community(eve)
        hers, here = Claims(eve.user, 0, 0, 0, 0), it.webhooks
        wanted = Subscription("x", it.receiver.url, (1,), Role.LEARNER)
        for webhook in (it.id, 10**9):
            for answer in (
                await here.change(hers, other, webhook, wanted, CALLER),
                await here.set_secret(hers, other, webhook, b"x", 0, CALLER),
                await here.pause(hers, other, webhook, CALLER),
                await here.resume(hers, other, webhook, CALLER),
                await here.replay(hers, other, webhook, it.channel, 0, CALLER),
                await here.delete(hers, other, webhook, CALLER),
                await here.deliveries(other, webhook, 0, 10),
            ):
                assert answer == Declined(Code.NOT_FOUND, "there is no such webhook here")
        assert await here.list(other) == () and (await it.info()).state is WebhookState.ACTIVE


async def test_a_role_above_ones_own_is_refused_and_so_is_the_eleventh_subscription(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        bob = await it.people.person("bob")
        await it.people.ok(bob, Join(it.space))
        it.claims = Claims(bob.user, bob.device, 0, 0, 0)
        wanted = Subscription("x", it.receiver.url, (1,), Role.MODERATOR)
        refused = await it.webhooks.make(it.claims, it.space, wanted, b"x", CALLER)
        assert isinstance(refused, Declined) and refused.code is Code.FORBIDDEN
        for _ in range(10):
            await it.subscribe()
        full = await it.webhooks.make(it.claims, it.space, msgspec.structs.replace(wanted, role=Role.LEARNER), b"x", CALLER)
        assert isinstance(full, Declined) and full.code is Code.LIMIT


async def test_in_production_a_subscription_to_loopback_fails_without_a_connection(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one")
        await query(bridge, "update webhooks set url = 'https://localhost.example.org/'")

        async def inside(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        poster = Poster(Reach(), PostBounds(total_s=5.0), resolve=inside)
        deliverer = Deliverer(it.deliveries, poster, SEALS, DeliveryRules(), wall=lambda: NOW, random=lambda: 0.5)
        await deliverer.deliver(it.id)
        log = await it.webhooks.deliveries(it.space, it.id, 0, 10)
        assert not isinstance(log, Declined) and log[0].status == 0 and "nothing is sent" in log[0].answer
        assert it.receiver.came == []


async def test_attempts_are_forgotten_after_their_days_and_a_deleted_subscription_leaves_nothing(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        await it.say("one", "two")
        await it.deliver()
        await query(bridge, "update webhook_deliveries set at = now() - interval '31 days' where seq = 2")
        assert await bridge.run(sweep_deliveries, deadline_s=9) == 1
        assert await it.webhooks.delete(it.claims, it.space, it.id, CALLER) is None
        for table in ("webhooks", "webhook_cursors", "webhook_deliveries"):
            assert await it.people.column(f"select count(*) from {table}") == [0]


async def test_a_subscription_deleted_while_it_is_sent_to_is_settled_quietly(bridge: Bridge) -> None:
    async with scene(bridge) as it:
        await it.subscribe()
        due = await _next_after(it, "one")
        assert await it.webhooks.delete(it.claims, it.space, it.id, CALLER) is None
        assert not await it.deliveries.settle(due, Settled(200, 1, ""))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_that_can_be_subscribed_to_is_an_event_of_the_protocol(name: str) -> None:
    for body in KINDS[name]:
        assert body in AnyBody.__args__ and NAMES[tag_of(body)] == name


def due(body: Body) -> Due:
    return Due(
        webhook=3, lease=1, space=7, url="", secret=b"", former_secret=None, attempts=0, failing_s=0,
        stream=40, seq=12, kind=tag_of(type(body)), author=19, at=1_800_000_000, body=codec.encode(body), replays=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "event", "data"),
    [
        (Said("hello"), "message.posted", {"text": "hello"}),
        (
            Posted("hi", 4, (5, 6), True),
            "message.posted",
            {"text": "hi", "reply_to": 4, "mentions": [5, 6], "edited": True, "attachments": []},
        ),
        (Redacted(), "message.redacted", {}),
        (Joined(5, Role.MENTOR, "Ada"), "member.joined", {"user": 5, "role": "mentor", "display_name": "Ada"}),
        (Renamed(5, "Ada L."), "member.renamed", {"user": 5, "display_name": "Ada L."}),
        (
            Changed((RecordItem(3, 8, 2, msgspec.Raw(b"\x81\x01\xa6secret")),)),
            "records.changed",
            {"records": [{"entity": 3, "key": 8, "version": 2, "gone": False}]},
        ),
    ],
)
def test_a_receiver_is_told_of_an_event_with_the_fields_of_the_protocol(body: Body, event: str, data: dict[str, object]) -> None:
    told = msgspec.json.decode(payload(due(body)))
    assert told["type"] == event and told["timestamp"] == "2027-01-15T08:00:00Z"
    assert told["data"] == {"community": 7, "stream": 40, "seq": 12, "author": 19, **data}
    assert due(body).message_id == "evt_3_40_12"
