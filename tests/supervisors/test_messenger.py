"""From what happens to what is in a mailbox or on a phone: real Postgres, a real SMTP server, a push service that decrypts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import trio

from actors.jobs import Order, pack
from actors.mail import Outgoing, order_mail
from actors.notices import Notice, NoticeKind, Preferences, Reminder, Rule, Way
from actors.push import PUSH_SEND, Service, Subscription
from actors.push import Push as Errand
from gateway.push.web_push import generate_key
from gateway.tokens import KeySet, generate_pem
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.notice_delivery import WAITING_MAX, decide_for
from persistence.notices import notify
from persistence.outbox import Outbox
from protocol.entities import Entity
from protocol.operations import MarkRead, Post, Say
from protocol.values import StreamKind
from supervisors.job_foreman import Foreman, ForemanOptions
from supervisors.messenger import Messenger, Nothing
from supervisors.settings import Mail, Push, Settings, Webhooks
from tests.gateway.mail_server import Post as Box
from tests.gateway.mail_server import mail_server, part
from tests.gateway.push_services import WebPushService, serving_http
from tests.persistence.sync import change, own_stream
from tests.persistence.world import Herald, Person, World, world

SOON = "(state in (0, 2) or due_at < now() + interval '20 s')"


HERALD = Herald()


class Silence:
    """A link to nobody."""

    def announce(self, topic: str, payload: bytes) -> None: ...

    def publish(self, stream: int, seq: int, audience_version: int, frame: bytes) -> None: ...

    def subscribe(self, stream: int) -> None: ...

    def unsubscribe(self, stream: int) -> None: ...


class Stage:
    """People, a messenger with a clock of the test's, a mailbox and a push service."""

    def __init__(self, w: World, messenger: Messenger, box: Box, service: WebPushService, held: set[int]) -> None:
        self.w, self.messenger, self.box, self.service, self.held = w, messenger, box, service, held
        self.now = time.time()
        self.dated: set[tuple[int, int]] = set()
        self.outbox = Outbox(w.bridge, w.herald)

    def clock(self) -> float:
        return self.now

    async def reachable(self, person: Person, *, mail: str = "", push: bool = True, language: str = "") -> None:
        """Gives them an address that they proved, and a browser with a session."""
        await self.w.rows("insert into sessions (user_id, device_id, expires_at) values ($1, $2, 'infinity')", person.user, person.device)
        if mail:
            await self.w.rows(
                "update accounts set email = $2, email_verified_at = now(), language = $3 where id = $1", person.user, mail, language
            )
        if push:
            browser = self.service.browser
            to = Subscription(Service.WEB, f"{self.service.url}/push/1", browser.p256dh, browser.auth)
            await self.messenger.subscriptions.subscribe(person.user, person.device, to)

    async def tell(self, *notices: Notice) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await notify(tx, *notices)

        await self.w.bridge.run(work, deadline_s=10)

    async def order(self, *orders: Order) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await enqueue(tx, *orders)

        await self.w.bridge.run(work, deadline_s=10)

    async def settle(self) -> None:
        """Delivers, and works until nothing is left that is due within seconds by the database's clock."""
        await self.outbox.drain()
        # What the database dated by its own clock happened now, by the test's.
        self.dated |= {
            (row["user_id"], row["seq"])
            for row in await self.w.rows(
                "update notices set at = to_timestamp($1) where (user_id, seq) not in (select * from unnest($2::bigint[], $3::bigint[]))"
                " returning user_id, seq",
                self.now,
                [user for user, _ in self.dated],
                [seq for _, seq in self.dated],
            )
        }
        foreman = Foreman(
            self.w.bridge, self.messenger.kinds(), name="w", random=lambda: 0.0, options=ForemanOptions(poll_s=0.02, pace_s=0.0)
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(foreman.serve)
            with trio.fail_after(60):
                while await self.w.value(f"select count(*) from jobs where {SOON}"):
                    await self.w.rows(f"update jobs set state = 0, due_at = now() where state = 1 and {SOON}")
                    foreman.poke()
                    await trio.sleep(0.02)
            nursery.cancel_scope.cancel()

    async def left(self) -> list[tuple[str, bool]]:
        """What waits: kinds, and whether for hours."""
        rows = await self.w.rows("select kind, due_at > now() + interval '1 hour' as later from jobs order by id")
        return [(row["kind"], row["later"]) for row in rows]

    async def dead(self) -> list[str]:
        return [row["error"] for row in await self.w.rows("select error from dead_jobs order by id")]


@asynccontextmanager
async def stage(bridge: Bridge, folder: Path, *, forbidden: tuple[str, ...] = (), **mail: Any) -> AsyncIterator[Stage]:
    with ExitStack() as stack:
        box, port = stack.enter_context(mail_server(folder))
        key_file = folder / "push.pem"
        key_file.write_bytes(generate_key())
        settings = Settings(
            mail=Mail(
                host="127.0.0.1", port=port, tls="none", from_address="hello@learn.example", bounce_address="bounces@learn.example", **mail
            ),
            push=Push(vapid_key_file=str(key_file), subject="mailto:us@learn.example", loopback_allowed=True),
            webhooks=Webhooks(forbidden_networks=forbidden),
        )
        held: set[int] = set()
        here: list[Stage] = []
        keys = KeySet(generate_pem(), lifetime_s=900)
        messenger = Messenger(bridge, HERALD, Silence(), held, keys, settings, lambda: here[0].now)
        service = WebPushService(lambda: here[0].now, messenger.telling.vapid_public)
        stack.enter_context(serving_http(service))
        async with world(bridge) as w:
            here.append(Stage(w, messenger, box, service, held))
            yield here[0]


async def test_what_happens_to_somebody_who_is_away_is_on_their_phone_and_in_their_mailbox_once(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        space, _, channel = await s.w.community(ann, bob)
        await s.reachable(bob, mail="bob@example.org", language="fr")
        seq = await s.w.ok(ann, Post(channel, "do not carry this text", mentions=(bob.user,)))
        await s.tell(Notice(bob.user, NoticeKind.MODERATION, space=space, words="a report was upheld"))
        await s.settle()
        [pushed] = s.service.taken
        assert (pushed["count"], pushed["title"]) == (2, "ann's") and "do not carry" not in str(pushed)
        [mail] = s.box.mails()
        assert mail["Subject"] == "Du nouveau pour vous sur EduConnect : 1" and mail["X-RcptTo"] == "bob@example.org"
        assert "a report was upheld" in part(mail, "plain") and "ann's" in part(mail, "plain")
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert s.box.senders[0].startswith("bounces+")
        await s.settle()
        assert len(s.service.taken) == len(s.box.mails()) == 1 and await s.dead() == [] and await s.left() == []
        await s.w.ok(bob, MarkRead(channel, seq))
        assert [told.read for told in await s.messenger.notices.list_notices(bob.user, 0, 10)] == [False, True]


async def test_what_was_read_on_any_device_is_neither_pushed_nor_mailed(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        _, _, channel = await s.w.community(ann, bob)
        await s.reachable(bob, mail="bob@example.org")
        seq = await s.w.ok(ann, Post(channel, "hello", mentions=(bob.user,)))
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
        await s.outbox.drain()
        await s.w.ok(bob, MarkRead(channel, seq))
        await s.w.ok(bob, MarkRead(bob.inbox, await s.w.value("select head from streams where id = $1", bob.inbox)))  # type: ignore[arg-type]
        await s.settle()
        assert s.service.taken == [] and s.box.mails() == []


async def test_a_mail_whose_answer_was_lost_comes_again_under_the_same_message_id(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        s.box.lost = 1
        values = {"link": "https://learn.example/#k", "code": "c0de", "hours": "24"}
        await s.order(
            order_mail(Outgoing("verify", 0, "ada@example.org", values)), order_mail(Outgoing("verify", 0, "bob@example.org", values))
        )
        await s.settle()
        ids = [mail["Message-ID"] for mail in s.box.mails()]
        assert len(ids) == 3 and len(set(ids)) == 2
        assert await s.left() == [] and await s.dead() == []


async def test_a_link_is_sealed_until_its_mail_is_written_or_is_a_dead_letter_without_its_key(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        secret = {"link": "https://learn.example/#k", "code": "c0de"}
        good, lost = s.messenger.seal.seal(0, secret), s.messenger.seal.seal(1, secret)
        await s.order(*(order_mail(Outgoing("verify", 0, "ada@example.org", {"hours": "24"}, one)) for one in (good, lost)))
        await s.settle()
        [mail] = s.box.mails()
        assert "https://learn.example/#k" in part(mail, "plain")
        assert len(await s.dead()) == 1


async def test_a_decision_that_was_not_committed_is_made_once_when_it_is_made_again(bridge: Bridge, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        await s.reachable(bob, mail="bob@example.org")
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
        await s.outbox.drain()

        async def killed(tx: asyncpg.Connection) -> None:
            assert await decide_for(tx, bob.user, frozenset(), s.now) is not None
            raise Killed

        with pytest.raises(Killed):
            await bridge.run(killed, deadline_s=10)
        assert await s.left() == [("notice.decide", False)]
        for _ in range(2):
            await bridge.run(partial(decide_for, user=bob.user, online=frozenset(), now=s.now), deadline_s=10)
        assert await s.left() == [("notice.decide", False), ("push.send", False), ("notice.mail", False)]


async def test_a_device_that_is_online_is_not_pushed_to_and_one_that_had_vanished_is_after_a_second_look(
    bridge: Bridge, tmp_path: Path
) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        await s.reachable(bob)
        s.held.add(bob.device)
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
        await s.settle()
        assert s.service.taken == [] and await s.left() == [("notice.decide", False)], "looked at again, beyond seconds"
        s.now += 91
        await s.w.rows("update jobs set due_at = now()")
        await s.settle()
        assert s.service.taken == [] and await s.left() == [], "who is still there has the event"
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
        await s.settle()
        s.held.clear()
        s.now += 91
        await s.w.rows("update jobs set due_at = now()")
        await s.settle()
        assert len(s.service.taken) == 1, "its gateway had not noticed yet that the phone was gone"


async def test_no_push_goes_into_a_network_that_the_operator_keeps_out(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path, forbidden=("127.0.0.0/8",)) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        await s.reachable(bob)
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
        await s.settle()
        assert s.service.taken == [] and await s.left() == [] and await s.dead() == []
        assert await s.messenger.subscriptions.subscriptions(bob.user) == ()


async def test_quiet_hours_hold_back_what_can_wait_and_nothing_that_is_about_security(bridge: Bridge, tmp_path: Path) -> None:
    zone = ZoneInfo("Africa/Nairobi")
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        await s.reachable(bob, mail="bob@example.org")
        own = await own_stream(s.w, bob, StreamKind.OWN)
        await s.w.ok(bob, change(own, Entity.PROFILE, 1, {4: "Africa/Nairobi"}))
        await s.w.ok(bob, change(own, Entity.PREFERENCES, 1, {4: 22 * 60, 5: 7 * 60}))
        s.now = datetime(2027, 1, 10, 23, 30, tzinfo=zone).timestamp()
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user), Notice(bob.user, NoticeKind.SECURITY, words="the password was changed"))
        await s.settle()
        [mail] = s.box.mails()
        assert mail["Subject"] == "Something changed in how you log in" and mail["List-Unsubscribe"] is None
        assert len(s.service.taken) == 1 and "the password was changed" in s.service.taken[0]["body"]
        assert await s.left() == [("notice.decide", True)]
        wait_s = await s.w.value("select extract(epoch from due_at - now())::float8 from jobs")
        assert isinstance(wait_s, float) and abs(wait_s - 7.5 * 3600) < 60
        s.now = datetime(2027, 1, 11, 7, 0, tzinfo=zone).timestamp()
        await s.w.rows("update jobs set due_at = now()")
        await s.settle()
        assert len(s.box.mails()) == 2 and len(s.service.taken) == 2


async def test_what_waits_for_the_end_of_the_night_holds_back_no_security_that_comes_behind_it(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        await s.reachable(bob, mail="bob@example.org")
        own = await own_stream(s.w, bob, StreamKind.OWN)
        await s.w.ok(bob, change(own, Entity.PREFERENCES, 1, {4: 22 * 60, 5: 7 * 60}))
        s.now = datetime(2027, 1, 10, 23, 30, tzinfo=ZoneInfo("UTC")).timestamp()
        await s.tell(*(Notice(bob.user, NoticeKind.MATCH, ann.user) for _ in range(WAITING_MAX)))
        await s.settle()
        assert s.box.mails() == [] and s.service.taken == []
        await s.tell(Notice(bob.user, NoticeKind.SECURITY, words="the password was changed"))
        await s.settle()
        assert [mail["Subject"] for mail in s.box.mails()] == ["Something changed in how you log in"]
        assert len(s.service.taken) == 1
        assert await s.left() == [("notice.decide", True)]


async def test_a_digest_is_one_mail_a_day_by_the_wall_clock_about_what_is_unread(bridge: Bridge, tmp_path: Path) -> None:
    zone = ZoneInfo("Europe/Berlin")
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        _, _, channel = await s.w.community(ann, bob)
        await s.reachable(bob, mail="bob@example.org", push=False)
        own = await own_stream(s.w, bob, StreamKind.OWN)
        await s.w.ok(bob, change(own, Entity.PROFILE, 1, {4: "Europe/Berlin"}))
        s.now = datetime(2027, 3, 27, 12, 0, tzinfo=zone).timestamp()
        await s.messenger.notices.prefer(bob.user, Preferences(digest=1, digest_at=8 * 60))
        read = await s.w.ok(ann, Post(channel, "one", mentions=(bob.user,)))
        await s.w.ok(ann, Post(channel, "two", mentions=(bob.user,)))
        await s.settle()
        await s.w.ok(bob, MarkRead(channel, read))
        assert s.box.mails() == []
        for now, mails in (("2027-03-28T07:59", 0), ("2027-03-28T08:00", 1), ("2027-03-28T23:00", 1), ("2027-03-29T08:00", 1)):
            s.now = datetime.fromisoformat(now).replace(tzinfo=zone).timestamp()
            await s.order(Order("notice.digests", pack(Nothing())))
            await s.settle()
            assert len(s.box.mails()) == mails, now
        [mail] = s.box.mails()
        assert mail["Subject"] == "What you have not read yet: 1"
        assert await s.dead() == []


async def test_whoever_unsubscribed_in_a_mail_gets_no_more_of_that_kind_and_others_still(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        await s.reachable(bob, mail="bob@example.org", push=False)
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
        await s.settle()
        [mail] = s.box.mails()
        token = str(mail["List-Unsubscribe"]).strip("<>").partition("?t=")[2]
        read = s.messenger.tokens.read_unsubscribe(token)
        assert read == (bob.user, NoticeKind.MATCH)
        for _ in range(2):
            await s.messenger.notices.unsubscribe_mail(*read)
        assert (await s.messenger.notices.preferences(bob.user)).unmailed == (NoticeKind.MATCH,)
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user), Notice(bob.user, NoticeKind.MODERATION, words="decided"))
        await s.settle()
        assert len(s.box.mails()) == 2
        await s.messenger.notices.unsubscribe_mail(bob.user, -1)
        await s.tell(Notice(bob.user, NoticeKind.MODERATION), Notice(bob.user, NoticeKind.SECURITY, words="x"))
        await s.settle()
        assert (
            sorted(str(mail["Subject"]) for mail in s.box.mails())[-1] == "Something changed in how you log in" and len(s.box.mails()) == 3
        )


async def test_an_address_that_refuses_mail_gets_no_more(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        await s.reachable(bob, mail="Bob@example.org", push=False)
        s.box.refusals["Bob@example.org"] = ["550 5.1.1 no such user"]
        for _ in range(2):
            await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
            await s.settle()
        assert s.box.mails() == [] and await s.dead() == [] and s.box.refusals["Bob@example.org"] == []
        assert [tuple(row) for row in await s.w.rows("select address::text, status from mail_refusals")] == [("Bob@example.org", "5.1.1")]
        await s.order(
            order_mail(Outgoing("address_changed", bob.user)), order_mail(Outgoing("address_changed", bob.user, "bob@EXAMPLE.org"))
        )
        await s.settle()
        assert s.box.mails() == []


async def test_a_subscription_that_is_gone_is_forgotten_and_one_that_is_told_to_wait_waits(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        await s.reachable(bob)
        s.service.answers = [(429, {"Retry-After": "7200"}, b"")]
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
        await s.settle()
        assert await s.left() == [("push.send", True)]
        s.now += 7200
        await s.w.rows("update jobs set due_at = now()")
        await s.settle()
        assert len(s.service.taken) == 1
        s.service.answers = [(410, {}, b"")]
        await s.tell(Notice(bob.user, NoticeKind.MATCH, ann.user))
        await s.settle()
        assert await s.messenger.subscriptions.subscriptions(bob.user) == () and await s.left() == [] and await s.dead() == []


async def test_a_device_whose_session_ended_and_an_account_that_is_suspended_hear_nothing(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob, cid = [await s.w.person(name) for name in ("ann", "bob", "cid")]
        await s.reachable(bob)
        await s.w.rows("update sessions set revoked_at = now() where user_id = $1", bob.user)
        await s.reachable(cid, mail="cid@example.org", push=False)
        await s.tell(Notice(bob.user, NoticeKind.SECURITY, ann.user), Notice(cid.user, NoticeKind.SECURITY, ann.user))
        await s.outbox.drain()
        await s.w.rows("update accounts set disabled_at = now() where id = $1", cid.user)
        await s.settle()
        assert s.service.taken == [] and s.box.mails() == []


async def test_where_a_device_is_pushed_to_goes_at_the_push_that_the_end_of_its_session_met(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        bob = await s.w.person("bob")
        await s.reachable(bob)
        [id] = await s.w.column("select id from push_subscriptions")
        on_its_way = Order(PUSH_SEND, pack(Errand(id, bob.user, (1,), 2**31)))
        # Nothing is unread: that is no reason.
        await s.order(on_its_way)
        await s.settle()
        assert len(await s.messenger.subscriptions.subscriptions(bob.user)) == 1
        await s.w.rows("update sessions set revoked_at = now() where user_id = $1", bob.user)
        await s.order(on_its_way)
        await s.settle()
        assert s.service.taken == [] and await s.messenger.subscriptions.subscriptions(bob.user) == ()
        assert await s.left() == [] and await s.dead() == []


async def test_where_nobody_is_logged_in_any_more_no_subscription_stays(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob, cid = [await s.w.person(name) for name in ("ann", "bob", "cid")]
        for number, person in enumerate((ann, bob, cid)):
            await s.w.rows("insert into sessions (user_id, device_id, expires_at) values ($1, $2, 'infinity')", person.user, person.device)
            await s.messenger.subscriptions.subscribe(person.user, person.device, Subscription(Service.FCM, f"token-{number}"))
        await s.w.rows("update sessions set revoked_at = now() where user_id = $1", ann.user)
        await s.w.rows("update sessions set expires_at = now() - interval '1 s' where user_id = $1", bob.user)
        # Logged in again, on the same device.
        await s.w.rows("insert into sessions (user_id, device_id, expires_at) values ($1, $2, 'infinity')", cid.user, cid.device)
        await s.w.rows("update sessions set revoked_at = now() where id = (select min(id) from sessions where user_id = $1)", cid.user)
        await s.order(Order("notice.sweep", pack(Nothing())))
        await s.settle()
        assert await s.w.column("select user_id from push_subscriptions") == [cid.user]


@pytest.mark.parametrize("previews", [False, True])
async def test_the_text_of_a_message_is_pushed_to_who_allows_it_alone(bridge: Bridge, tmp_path: Path, previews: bool) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        _, _, channel = await s.w.community(ann, bob)
        await s.reachable(bob)
        await s.messenger.notices.prefer(bob.user, Preferences(previews=previews))
        question = await s.w.ok(bob, Say(channel, "who knows?"))
        await s.w.ok(ann, Post(channel, "the answer is 42", question))
        await s.settle()
        [pushed] = s.service.taken
        assert ("the answer is 42" in pushed["body"]) is previews
        assert pushed["body"].startswith("Ann answered you in ann's.")


async def test_preferences_are_kept_as_they_were_said_and_decide_by_which_ways(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, bob = await s.w.person("ann"), await s.w.person("bob")
        space, _, channel = await s.w.community(ann, bob)
        await s.reachable(bob, mail="bob@example.org")
        rules: Sequence[Rule] = (Rule(Way.INBOX), Rule(Way.MAIL, NoticeKind.MENTION, space), Rule(Way.INBOX | Way.PUSH, stream=channel))
        wanted = Preferences(tuple(rules), True, 2, 600, 6, (5,))
        await s.messenger.notices.prefer(bob.user, wanted)
        assert (await s.messenger.notices.preferences(bob.user)) == Preferences((rules[0], rules[2], rules[1]), True, 2, 600, 6, (5,))
        await s.w.ok(ann, Post(channel, "in the channel", mentions=(bob.user,)))
        await s.tell(Notice(bob.user, NoticeKind.MODERATION, space=space), Notice(bob.user, NoticeKind.MENTION, ann.user, space))
        await s.settle()
        assert len(s.service.taken) == 1 and s.service.taken[0]["stream"] == channel
        [mail] = s.box.mails()
        assert "Ann mentioned you" in part(mail, "plain")


async def test_a_reminder_comes_when_it_is_due_once(bridge: Bridge, tmp_path: Path) -> None:
    async with stage(bridge, tmp_path) as s:
        ann, eve = await s.w.person("ann"), await s.w.person("eve")
        _, _, channel = await s.w.community(ann)
        await s.reachable(ann)
        desk = s.messenger.notices
        id = await desk.remind(ann.user, Reminder(0, int(s.now) + 3600, channel, 1, "read this"))
        assert id and not await desk.remind(eve.user, Reminder(0, int(s.now) + 3600, channel, 1))
        assert not await desk.forget_reminder(eve.user, id) and [one.id for one in await desk.reminders(ann.user)] == [id]
        began = s.now
        for after, count in ((3590, 0), (3600, 1), (3700, 1)):
            s.now = began + after
            await s.order(Order("notice.remind", pack(Nothing())))
            await s.settle()
            await s.settle()
            assert len(s.service.taken) == count, after
        assert "read this" in s.service.taken[0]["body"] and await desk.reminders(ann.user) == ()
