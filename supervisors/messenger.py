"""How people hear of things beside the socket, put together for one process: mail, push, digests, reminders.

    Messenger(bridge, herald, link, held, keys, settings) ─┬ telling ─────▶ the HTTP side, in every gateway
                                                   ├ whereabouts ─▶ answers who asks which devices are here, in every gateway
                                                   ├ kinds, CRONS ▶ jobs
                                                   ╰ serve ───────▶ connections to FCM and APNs, in the role `jobs`

Each job reads what it needs in a transaction, speaks to the world outside of any, and writes what came of it in the transaction that
ends it. Killed in between, it speaks again, under the same message id.

Invariant: nothing is logged here but numbers, kinds and statuses: no address, no link, no words.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Container
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Protocol

import asyncpg
import httpx
import structlog
import trio
from msgspec import Struct

from actors.jobs import Cron, Hopeless, JobKind, Order, Way, Work, pack
from actors.link_port import Link
from actors.mail import MAIL_SEND, Outgoing
from actors.notices import ALWAYS, UNMAILED_ALL, UNMAILED_DIGEST
from actors.push import PUSH_SEND, Parcel, Push, PushSender, Service, Urgency
from actors.storage import Herald
from gateway.mail.envelope import KEY_BYTES, BadAddress, Envelope, MailTokens, Sender, compose
from gateway.mail.folder import MailFolder
from gateway.mail.render import Letter, Line, UnknownTemplate, line_of, pick_language, render
from gateway.mail.sealing import PURPOSE as MAIL_PURPOSE
from gateway.mail.sealing import MailSeals
from gateway.mail.smtp import AddressRefused, MailRefused, Smtp, SmtpOptions
from gateway.options import Reach
from gateway.push.apns import Apns, ApnsKey
from gateway.push.fcm import Fcm, read_account
from gateway.push.sealing import PURPOSE as PUSH_PURPOSE
from gateway.push.sealing import PushSeals
from gateway.push.web_push import Vapid, WebPush
from gateway.push.whereabouts import AskedWhereabouts
from gateway.seals import DERIVED_BYTES, Seals
from gateway.telling import Telling
from gateway.tokens import KeySet
from gateway.web_mail import UNSUBSCRIBE_PATH
from gateway.webhooks.posting import Poster
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.notice_delivery import NOTICE_MAIL, NoticeMail, decide_for, devices_of, gather_digests, tell_reminders
from persistence.notice_desk import PostgresNotices
from persistence.notice_news import (
    NewsLine,
    PushNews,
    Recipient,
    read_news,
    read_push,
    read_recipient,
    refuse_address,
    sweep_notices,
)
from persistence.notice_rows import DECIDE, Decide
from persistence.push_subscriptions import PostgresSubscriptions, forget_ended
from supervisors.settings import Settings

log = structlog.get_logger("messenger")

TOKENS_FOR: Final = b"educonnect mail 1"
READ_S: Final = 5.0
POLITE: Final = Way(first_s=20.0, most_s=3600.0, at_once_max=4)
"""Towards other people's servers: the last of twelve attempts comes after some hours."""
QUICK: Final = Way(first_s=1.0, most_s=300.0, at_once_max=32)
CHORE: Final = Way(first_s=30.0, most_s=600.0, at_once_max=1)
ROUNDS_MAX: Final = 100
"""Of a chore in one job: 10,000 people, then the next tick goes on."""
HTTP_TIMEOUT_S: Final = 15.0


class NotSent(Exception):
    """Not this time. The text is for operators: no address, no words of anybody."""


class Nothing(Struct, frozen=True):
    """The payload of what is done by the clock alone."""


class Carrier(Protocol):
    """Takes mails: a server or a folder."""

    sent: int
    delayed: int
    refused: int

    async def send(self, envelope: Envelope) -> None: ...


CRONS: Final = (
    Cron("digests", "notice.digests", Nothing(), every_s=300.0),
    Cron("reminders", "notice.remind", Nothing(), every_s=20.0),
    Cron("notices", "notice.sweep", Nothing(), every_s=3600.0),
)


class Messenger:
    """The parts above. `held`: the devices with a socket in this process. `wall`: Unix seconds."""

    def __init__(
        self,
        bridge: Bridge,
        herald: Herald,
        link: Link,
        held: Container[int],
        keys: KeySet,
        settings: Settings,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._bridge = bridge
        self._settings = settings
        self._wall = wall
        self.whereabouts = AskedWhereabouts(link, held, random.random)
        self.tokens = MailTokens(keys.derive(TOKENS_FOR, KEY_BYTES))
        self.seal = MailSeals(Seals(keys.derive(MAIL_PURPOSE, DERIVED_BYTES)))
        mail, push = settings.mail, settings.push
        self._sender = Sender(mail.from_address or "educonnect@localhost.localdomain", mail.from_name, mail.bounce_address)
        self.carrier = _carrier(settings)
        self.senders: dict[Service, PushSender] = {}
        vapid = Vapid(Path(push.vapid_key_file).read_bytes(), push.subject, wall) if push.vapid_key_file else None
        self._web_push = WebPush(vapid, Poster(_reach(settings)), loopback_allowed=push.loopback_allowed) if vapid is not None else None
        if self._web_push is not None:
            self.senders[Service.WEB] = self._web_push
        offered = set(self.senders)
        if push.fcm_account_file:
            offered.add(Service.FCM)
        if push.apns_key_file:
            offered.add(Service.APNS)
        self.notices = PostgresNotices(bridge, herald, wall)
        self._push_seals = PushSeals(Seals(keys.derive(PUSH_PURPOSE, DERIVED_BYTES)))
        self.subscriptions = PostgresSubscriptions(bridge, self._push_seals)
        self.pushed = 0
        self.push_gone = 0
        self.push_failed = 0
        self.telling = Telling(
            self.notices,
            self.subscriptions,
            self.notices,
            self.tokens,
            mail.bounce_secret.reveal(),
            "" if vapid is None else vapid.public,
            frozenset(offered),
            push.loopback_allowed,
        )

    def kinds(self) -> tuple[JobKind, ...]:
        """What is done by jobs."""
        return (
            JobKind(MAIL_SEND, Outgoing, self.send_mail, timeout_s=120.0, way=POLITE),
            JobKind(NOTICE_MAIL, NoticeMail, self.send_news, timeout_s=120.0, way=POLITE),
            JobKind(PUSH_SEND, Push, self.send_push, attempts_max=8, way=QUICK),
            JobKind(DECIDE, Decide, self.decide, way=QUICK),
            JobKind("notice.digests", Nothing, self.gather, way=CHORE),
            JobKind("notice.remind", Nothing, self.remind, way=CHORE),
            JobKind("notice.sweep", Nothing, self.sweep, way=CHORE),
        )

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps connections to FCM and APNs, until cancelled."""
        push = self._settings.push
        async with (
            httpx.AsyncClient(timeout=HTTP_TIMEOUT_S, trust_env=False) as plain,
            httpx.AsyncClient(timeout=HTTP_TIMEOUT_S, trust_env=False, http1=False, http2=True) as multiplexed,
        ):
            if push.fcm_account_file:
                account = read_account(await trio.Path(push.fcm_account_file).read_bytes())
                self.senders[Service.FCM] = Fcm(account, plain, self._wall, base_url=push.fcm_url)
            if push.apns_key_file:
                pem = await trio.Path(push.apns_key_file).read_bytes()
                key = ApnsKey(pem, push.apns_key_id, push.apns_team_id, push.apns_topic)
                self.senders[Service.APNS] = Apns(key, multiplexed, self._wall, base_url=push.apns_url)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                for service in (Service.FCM, Service.APNS):
                    self.senders.pop(service, None)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def decide(self, work: Work[Decide]) -> None:
        """How else somebody hears of what is due."""
        user = work.payload.user
        devices = await self._bridge.run(partial(devices_of, user=user), deadline_s=READ_S, readonly=True)
        online = await self.whereabouts.online(devices)
        await work.finish(partial(decide_for, user=user, online=online, now=self._wall()))

    async def send_mail(self, work: Work[Outgoing]) -> None:
        """One mail that somebody's own doing asked for: no unsubscribing from it."""
        mail = work.payload
        to = await self._bridge.run(partial(read_recipient, user=mail.to_user, address=mail.address), deadline_s=READ_S, readonly=True)
        if to is None or not to.address:
            return
        opened = self.seal.open(mail.to_user, mail.sealed) if mail.sealed else {}
        if opened is None:
            raise Hopeless("the key that sealed this mail's link has left the key file; whoever wants one asks again")
        values = {**mail.values, **opened}
        link = values.pop("link", "")
        letter = Letter(mail.template, pick_language(to.language), {**values, "name": to.name}, link=link)
        await self._send(work, to, letter)

    async def send_news(self, work: Work[NoticeMail]) -> None:
        """One mail about notices, or a digest."""
        asked = work.payload
        news = await self._bridge.run(partial(read_news, user=asked.user, seqs=asked.seqs), deadline_s=READ_S, readonly=True)
        if news is None:
            return
        kinds = {line.kind for line in news.lines}
        secure = kinds <= ALWAYS
        kind = UNMAILED_DIGEST if asked.digest else int(next(iter(kinds))) if len(kinds) == 1 else UNMAILED_ALL
        page = self._settings.identity.page_url
        stop = "" if secure else f"{page}{UNSUBSCRIBE_PATH}?t={self.tokens.unsubscribe(asked.user, kind)}"
        letter = Letter(
            "digest" if asked.digest else "security" if secure else "notice",
            pick_language(news.to.language),
            {"name": news.to.name},
            [_line(line) for line in news.lines],
            f"{page}/#/notices",
            stop,
        )
        await self._send(work, news.to, letter)

    async def send_push(self, work: Work[Push]) -> None:
        """One push to one device."""
        push = work.payload
        if self._wall() >= push.until:
            return
        news = await self._bridge.run(partial(read_push, push=push, seals=self._push_seals), deadline_s=READ_S, readonly=True)
        if news is None:
            # Nothing is unread, or the log-in on the device is over; then so is where it is pushed to.
            await work.finish(partial(forget_ended, id=push.subscription, user=push.user))
            return
        if news.to is None:
            raise Hopeless("the key that sealed this subscription has left the key file; its device subscribes again")
        sender = self.senders.get(news.to.service)
        if sender is None:
            return
        pushed = await sender.send(news.to, parcel_of(push, news))
        if pushed.taken:
            self.pushed += 1
            await work.finish(partial(_note_pushed, id=push.subscription))
        elif pushed.gone:
            self.push_gone += 1
            await work.finish(partial(_forget_subscription, id=push.subscription, user=push.user))
        elif pushed.hopeless:
            self.push_failed += 1
            raise Hopeless(f"{news.to.service.name}: {pushed.words}")
        elif pushed.retry_after_s:
            again = Order(PUSH_SEND, pack(push), delay_s=pushed.retry_after_s, deadline_s=max(1.0, push.until - self._wall()))
            await work.finish(partial(_again, order=again))
        else:
            self.push_failed += 1
            raise NotSent(f"{news.to.service.name}: {pushed.words}")

    async def gather(self, work: Work[Any]) -> None:
        """The digests that are due."""
        await self._rounds(work, partial(gather_digests, now=self._wall()), "people")

    async def remind(self, work: Work[Any]) -> None:
        """The reminders that are due."""
        await self._rounds(work, partial(tell_reminders, now=self._wall()), "reminders")

    async def sweep(self, work: Work[Any]) -> None:
        """What is kept no longer."""
        await self._rounds(work, sweep_notices, "rows")
        after, total = -1, 0
        while after:
            after, gone = await self.subscriptions.sweep(max(after, 0))
            total += gone
            work.report(total, 0, "subscriptions")

    async def _rounds(self, work: Work[Any], step: Callable[[asyncpg.Connection], Any], words: str) -> None:
        done = 0
        for _ in range(ROUNDS_MAX):
            count: int = await self._bridge.run(step, deadline_s=30.0)
            done += count
            work.report(done, 0, words)
            if not count:
                return

    async def _send(self, work: Work[Any], to: Recipient, letter: Letter) -> None:
        if self.carrier is None:
            raise Hopeless("no mail server is set (mail.host)")
        try:
            envelope = compose(
                render(letter),
                sender=self._sender,
                address=to.address,
                user=to.user,
                effect_key=work.effect_key,
                now=self._wall(),
                tokens=self.tokens,
                unsubscribe=letter.unsubscribe,
            )
        except (BadAddress, UnknownTemplate) as error:
            raise Hopeless(str(error)) from None
        try:
            await self.carrier.send(envelope)
        except AddressRefused as error:
            log.info("mail_address_refused", user=to.user, status=error.status)
            await work.finish(partial(refuse_address, address=to.address, status=error.status))
        except MailRefused as error:
            raise Hopeless(str(error)) from None


def parcel_of(push: Push, news: PushNews) -> Parcel:
    """What is shown: the newest line, and how many there are. The id is made of what is told, so it is the same in every attempt."""
    last = news.lines[-1]
    language = pick_language(news.language)
    line = line_of(_line(last), language)
    body = f"{line} {news.preview}".strip() if news.preview else line
    if len(news.lines) > 1:
        body = f"{body} (+{len(news.lines) - 1})"
    return Parcel(
        f"{push.subscription}.{push.user}.{push.seqs[-1]}",
        last.place or "EduConnect",
        body,
        last.notice,
        last.stream,
        last.seq,
        len(news.lines),
        f"{push.user}.{last.stream}" if last.stream else "",
        Urgency.HIGH if last.kind in ALWAYS else Urgency.NORMAL,
    )


def _line(line: NewsLine) -> Line:
    return Line(line.kind, line.actor, line.place, line.words)


async def _note_pushed(tx: asyncpg.Connection, id: int) -> None:
    await tx.execute("update push_subscriptions set sent_at = now() where id = $1", id)


async def _forget_subscription(tx: asyncpg.Connection, id: int, user: int) -> None:
    await tx.execute("delete from push_subscriptions where id = $1 and user_id = $2", id, user)


async def _again(tx: asyncpg.Connection, order: Order) -> None:
    await enqueue(tx, order)


def _carrier(settings: Settings) -> Carrier | None:
    mail = settings.mail
    if mail.host:
        options = SmtpOptions(mail.host, mail.port, mail.tls, mail.username, mail.password.reveal(), mail.timeout_s, mail.concurrent_max)
        return Smtp(options, context=ssl.create_default_context())
    return MailFolder(Path(mail.folder)) if mail.folder else None


def _reach(settings: Settings) -> Reach:
    # An endpoint is whatever a member's browser says: what webhooks must not reach, pushes must not either.
    forbidden = tuple(ip_network(network) for network in settings.webhooks.forbidden_networks)
    return Reach(loopback_allowed=settings.push.loopback_allowed, forbidden=forbidden)
