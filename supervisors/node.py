"""A node: one process in one role, from its settings to a tree of services.

    Settings ─▶ Node(role) ─spec─▶ Supervisor("gateway", rest_for_one)
                                     ├ bridge          everything below stands on it
                                     ├ redis           commands, link: may be away, and everything goes on
                                     ├ storage         journal, store, control, outbox, moderator, indexer
                                     ├ actors          the pools of `supervisors.cast`
                                     ├ http            quart-trio behind hypercorn's parser
                                     ├ foreman, timetable, webhooks   in the role `jobs`
                                     ╰ listener        the one public port: last up, first down, and drains

What is down in the list may use what is above it, so a service that crashes takes those below along, and they come back in order.
This is the one place where adapters meet: the type checker proves here that they fit their ports.
"""

from __future__ import annotations

import random
import secrets
import ssl
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import msgspec
import structlog
import trio

from actors.accounts import SessionState
from actors.channel import ChannelLimits
from actors.child import Run, Supervisor
from actors.device import DeviceLimits
from actors.exchange import TOPICS, Exchange
from actors.limits import Quotas
from actors.mfa import MfaRules
from actors.neighbourhood import Neighbourhood
from actors.pace import Rate
from actors.session import SessionLimits
from actors.storage_port import StorageError
from actors.tracing import TRACE_TOPIC
from actors.trust_gates import Thresholds
from gateway.admission import Gates
from gateway.client_address import Trust
from gateway.connection import Bounds
from gateway.handshake import Policy
from gateway.hash_processes import HashProcesses
from gateway.http_counts import HttpCounts
from gateway.http_link import LinkBounds
from gateway.http_links import HttpLinks
from gateway.http_serving import HttpServing
from gateway.link import LinkOptions, RedisLink
from gateway.listener import Listener
from gateway.mail.sealing import PURPOSE as MAIL_PURPOSE
from gateway.mail.sealing import MailSeals
from gateway.matchmaker import Matchmaker, MatchOptions
from gateway.metrics import Metrics
from gateway.models import LinedModels
from gateway.options import SITE, AuthLimits, Cost, HttpBounds, PasswordRules, RelyingParty, SyncLimits
from gateway.passkeys import PasskeyReader
from gateway.passwords import Passwords
from gateway.rates import Limit, Rates
from gateway.redis_connection import Way, parse_address
from gateway.resp import Commands
from gateway.rfc6455 import Limits as ReaderLimits
from gateway.seals import DERIVED_BYTES, Seals
from gateway.session_cache import SESSIONS_TOPIC, SessionCache
from gateway.session_gate import SessionGate
from gateway.shared_limits import SharedLimits
from gateway.tokens import KeySet, load_pem
from gateway.totp import PURPOSE as TOTP_PURPOSE
from gateway.totp import TotpReader
from gateway.web import create_app
from gateway.web_services import Probe, Readiness, Services
from persistence.accounts import PostgresAccounts
from persistence.analytics.book import PostgresInsights
from persistence.analytics.jobs import AnalyticsJobs
from persistence.bridge import Bridge, BridgeOptions
from persistence.control import ControlReader
from persistence.epoch import read_epoch
from persistence.followed import Followed
from persistence.http_writing import PostgresWriting
from persistence.identity.own import PostgresIdentity
from persistence.identity.rules import IdentityRules
from persistence.indexer import Indexer
from persistence.jobs.desk import PostgresDesk
from persistence.journal import Journal, JournalOptions
from persistence.learning.book import PostgresLearning
from persistence.mentoring.book import PostgresMatchBook
from persistence.migrate import find_missing, read_migrations
from persistence.model_audits import count_alarms
from persistence.moderation.moderator import Moderator, ModeratorOptions, Overheard
from persistence.multi_factor import PostgresMultiFactor
from persistence.operations.proving import proven_within
from persistence.outbox import Outbox
from persistence.report_queue import open_reports
from persistence.role_book import PostgresRoleBook
from persistence.roles import PostgresAuthority
from persistence.sessions import SessionRules
from persistence.sovereignty.archives import PostgresSovereignty
from persistence.sovereignty.erasures import Erasures
from persistence.sovereignty.ledger import Ledger
from persistence.store import Store
from persistence.trust_book import PostgresTrust
from supervisors.blueprints import node_tree
from supervisors.cast import CastLimits, Ports, assemble
from supervisors.dispatcher import Dispatcher
from supervisors.farewells import log_farewell
from supervisors.files import FileRoom
from supervisors.housekeeping import Housekeeping
from supervisors.job_foreman import Foreman, ForemanOptions, regions_taken
from supervisors.job_kinds import crons, job_kinds
from supervisors.job_timetable import Timetable
from supervisors.job_watch import JobWatch
from supervisors.messenger import Messenger
from supervisors.ml_line import asking_line
from supervisors.outside import Outside
from supervisors.pulse import Pulse
from supervisors.readings import node_metrics
from supervisors.settings import DAY_S, Settings
from supervisors.tracing import OtlpTracer
from supervisors.tree import Tree
from supervisors.troubles import Troubles

log = structlog.get_logger("node")

EPOCH_EVERY_S = 5.0
EPOCH_RETRY_S = 0.5


class EpochChanged(Exception):
    """The database continues another history than the one that this process has served."""


class Node:
    """The services of one process. Made inside `trio.run`; `spec(role)` is what to run.

    `on_listening` is told the addresses that were really bound.
    """

    def __init__(self, settings: Settings, *, on_listening: Callable[[tuple[str, ...]], None] = lambda addresses: None) -> None:
        self.settings = settings
        self.number = secrets.randbits(31) or 1
        self.epoch = 0
        self._migrations = read_migrations()
        self._on_listening = on_listening
        self._closing = trio.Event()
        self._epoch_doubted = trio.Event()
        self._history_over = False
        self._port = 0
        """Where it was first bound: a listener that is built anew is where it was, also when the port was a free one."""
        near = Neighbourhood()
        near.farewell = log_farewell
        self.exchange = Exchange(near)
        self.bridge = Bridge(_bridge_options(settings))
        way = Way(parse_address(settings.redis.url.reveal()), f"educonnect-{self.number:08x}")
        self.commands = Commands(way, random=random.random)
        self.link = RedisLink(
            self.commands,
            way,
            self.exchange,
            origin=self.number,
            topics=(*TOPICS, SESSIONS_TOPIC, *((TRACE_TOPIC,) if settings.traces.endpoint else ())),
            random=random.random,
            options=msgspec.convert(settings.redis, LinkOptions, from_attributes=True),
            before_batch=lambda: self.dispatcher.hold(),
            after_batch=lambda: self.dispatcher.release(),
        )
        self.limits = near.limits = SharedLimits(self.commands, account_quotas(settings))
        self.models = LinedModels(asking_line(settings, self.number), asking_max=settings.ml.asking_max)
        judging = msgspec.convert(settings.moderation, ModeratorOptions, from_attributes=True)
        self.moderator = Moderator(self.bridge, self.exchange, self.models, judging)
        self.indexer = Indexer(self.bridge)
        heard = Overheard(self.exchange, self.moderator, self.indexer)
        self.outbox = Outbox(self.bridge, heard)
        self.journal = Journal(
            self.bridge,
            heard,
            self.outbox.filled,
            msgspec.convert(settings.journal, JournalOptions, from_attributes=True),
            prove=proven_within(settings.identity.step_up_s),
        )
        self.journal.held_back = self.moderator.held
        self.journal.space_bytes_max = settings.uploads.space_bytes_max
        self.store = Store(self.bridge, is_current=self._is_current_epoch)
        self.control = ControlReader(self.bridge, self.exchange.controlled)
        self.keys = KeySet(
            load_pem(Path(settings.tokens.key_file)),
            issuer=settings.tokens.issuer,
            audience=settings.tokens.audience,
            lifetime_s=settings.tokens.lifetime_s,
            epoch=lambda: self.epoch,
        )
        identity = msgspec.convert(settings.identity, IdentityRules, from_attributes=True)
        rules = msgspec.convert(settings.tokens, SessionRules, from_attributes=True)
        seal = MailSeals(Seals(self.keys.derive(MAIL_PURPOSE, DERIVED_BYTES)))
        self.accounts = PostgresAccounts(self.bridge, self.exchange, rules, identity, seal=seal)
        self.identity = PostgresIdentity(self.bridge, self.exchange, identity, seal=seal)
        self.passkeys = PasskeyReader(RelyingParty(settings.mfa.rp_id, settings.mfa.rp_name, settings.mfa.origins))
        totp = TotpReader(Seals(self.keys.derive(TOTP_PURPOSE, DERIVED_BYTES)))
        mfa = settings.mfa
        guesses = MfaRules(
            guesses_free=mfa.guesses_free,
            guess_wait_s=mfa.guess_wait_s,
            guess_wait_max_s=mfa.guess_wait_max_s,
            guesses_max=mfa.guesses_max,
        )
        self.multi_factor = PostgresMultiFactor(self.bridge, totp, self.passkeys, guesses)
        self.tracer = OtlpTracer(settings.traces.endpoint, settings.traces.share, self.number) if settings.traces.endpoint else None
        if self.tracer is not None:
            near.tracer = self.bridge.tracer = self.tracer
            self.journal.followed = Followed(self.tracer)
        self.pulse = Pulse()
        self.troubles = Troubles(time.time)
        self.tree: Tree | None = None
        """What runs the spec, where somebody wants to see it."""
        self.dispatcher = Dispatcher(
            clock=trio.current_time,
            wall=time.time,
            random=random.random,
            on_crash=self.troubles.actor_crashed,
            before_round=self._cork,
            after_round=self._uncork,
        )
        self.matchmaker = Matchmaker(
            self.store, PostgresMatchBook(self.bridge), self.models, msgspec.convert(settings.matching, MatchOptions, from_attributes=True)
        )
        ports = Ports(self.number, self.matchmaker, self.journal, self.link, self.keys)
        self.cast = assemble(self.dispatcher, near, self.exchange, ports, cast_limits(settings))
        announce = partial(self.link.announce, SESSIONS_TOPIC)
        self.sessions = SessionGate(
            SessionCache(self.commands, announce, SessionState, self.accounts.find_session), self.accounts.find_sessions_of
        )
        self.exchange.settle(self.link, self.control.poke, self.sessions)
        ledger = settings.sovereignty.ledger_file
        self.erasures = Erasures(self.bridge, self.exchange, Ledger(Path(ledger)) if ledger else None)
        self.file_room = FileRoom(self.bridge, self.keys, settings.uploads)
        self.sovereignty = PostgresSovereignty(self.bridge, self.erasures, self.file_room.objects)
        self.housekeeping = Housekeeping(
            self.bridge,
            self.accounts,
            horizon_s=settings.sync.horizon_days * DAY_S,
            documents_s=settings.sync.documents_days * DAY_S,
            delivery_days=settings.webhooks.log_days,
            audit_days=settings.audit.keep_days,
            analytics_days=settings.analytics.keep_days,
        )
        self.analytics = AnalyticsJobs(self.bridge, self.exchange, self.models, group=settings.analytics.group_min)
        self.desk = PostgresDesk(self.bridge)
        self.outside = Outside(self.bridge, self.exchange, self.keys, settings.webhooks)
        self.messenger = Messenger(self.bridge, self.exchange, self.link, near.held, self.keys, settings)
        self.exchange.asked_where = self.messenger.whereabouts.announced
        self.jobwatch = JobWatch(
            self.desk, partial(open_reports, self.bridge), partial(count_alarms, self.bridge), waiting_warn=settings.jobs.waiting_warn
        )
        self.bridge.on_ordered = self.exchange.jobs_ordered
        passwords = settings.passwords
        self.passwords = Passwords(
            Cost(passwords.memory_kib, passwords.rounds, passwords.lanes),
            hashers=HashProcesses(passwords.concurrent_max),
            concurrent_max=passwords.concurrent_max,
            waiting_max=passwords.waiting_max,
            wait_s=passwords.wait_s,
            rules=PasswordRules(settings.identity.password_length_min, settings.identity.password_score_min, settings.identity.site_words),
        )
        self.http_counts = HttpCounts()
        self.http_links = HttpLinks(self.number, link_bounds(settings))
        self.listener: Listener | None = None
        self._corked: Listener | None = None
        self.http = HttpServing(create_app(self._services()), msgspec.convert(settings.http, HttpBounds, from_attributes=True))
        self.foreman = Foreman(
            self.bridge,
            job_kinds(self),
            name=f"{self.number:08x}",
            random=random.random,
            regions=regions_taken(settings.node.region, settings.jobs.strict_regions),
            options=msgspec.convert(settings.jobs, ForemanOptions, from_attributes=True),
        )
        self.timetable = Timetable(self.bridge, crons())
        self.exchange.poke_jobs = self.foreman.poke

    def spec(self, role: str) -> Supervisor:
        """The tree of this process, in the role."""
        runs: dict[str, Run] = {
            "bridge": self.bridge.serve,
            "commands": self.commands.serve,
            "link": self.link.serve,
            "limits": self.limits.serve,
            "models": self.models.serve,
            "epoch": self._watch_epoch,
            "journal": self.journal.serve,
            "store": self.store.serve,
            "control": self.control.serve,
            "outbox": self.outbox.serve,
            "moderator": self.moderator.serve,
            "indexer": self.indexer.serve,
            "sessions": self.sessions.serve,
            "matchmaker": self.matchmaker.serve,
            "actors": self._run_actors,
            "jobwatch": self.jobwatch.serve,
            "couriers": self.messenger.serve,
            "foreman": self.foreman.serve,
            "timetable": self.timetable.serve,
            "webhooks": self.outside.watch.serve,
            "http": self.http.run,
            "listener": self._listen,
        }
        drain_s = self.settings.drain.grace_s + 2 * self.settings.sockets.close_s
        return node_tree(role, runs, drain=self._drain, drain_s=drain_s)

    def _cork(self) -> None:
        """What the actors send to one socket in one round leaves together: measured 2.7 µs instead of 8.6 µs an event in fours. So does
        what they tell the other gateways."""
        self.commands.cork()
        self._corked = self.listener
        if self._corked is not None:
            self._corked.multiplexer.cork()

    def _uncork(self) -> None:
        # Other gateways first: they have a longer way to go.
        self.commands.uncork()
        if self._corked is not None:
            self._corked.multiplexer.uncork()

    def _drain(self) -> None:
        self._closing.set()

    async def _run_actors(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.cast.wake()
        await self.dispatcher.serve(task_status=task_status)

    async def _listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        settings = self.settings
        self._closing = trio.Event()  # a stop that was for an earlier life of this worker
        listen = settings.listen
        port = self._port or listen.port
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        listener = self.listener = Listener(
            binds=(f"{host}:{port}",),
            accept=self.cast.entrance.accept,
            http=self.http,
            random=random.random,
            policy=Policy(hosts=listen.hosts, origins=listen.origins),
            gates=msgspec.convert(settings.gates, Gates, from_attributes=True),
            bounds=socket_bounds(settings),
            trust=Trust(
                tuple(ip_network(network) for network in settings.proxy.networks),
                settings.proxy.proxy_protocol,
                settings.proxy.header,
            ),
            tls=_tls(listen.tls_certificate, listen.tls_key),
        )
        listener.poller.each_round(self.dispatcher.hold, self.dispatcher.release)
        async with trio.open_nursery() as nursery:
            await nursery.start(self.http_links.serve, self.cast.entrance.accept)
            addresses = await nursery.start(listener.run)
            self._port = int(addresses[0].rpartition(":")[2])
            self._on_listening(addresses)
            log.info("port_opened", addresses=addresses)
            task_status.started()
            await self._closing.wait()
            # A history that is over deserves no grace: every gateway goes through this at once, and none would take anybody for as long.
            grace_s = 0.0 if self._history_over else settings.drain.grace_s
            log.info("drain_began", sockets=len(listener.multiplexer), grace_s=grace_s)
            async with trio.open_nursery() as drain:
                drain.start_soon(listener.drain, grace_s)
                drain.start_soon(self.http_links.drain, grace_s)
            nursery.cancel_scope.cancel()

    async def _watch_epoch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Knows which history the database is before anybody is welcomed. When it becomes another one, what the actors and sockets
        above remember is of a lost future: raises `EpochChanged`, so that they are built anew and every client resumes.
        """
        self.epoch = 0
        self._history_over = False
        awaited = False
        while True:
            self._epoch_doubted = trio.Event()
            try:
                epoch = await self.bridge.run(read_epoch, deadline_s=5.0, readonly=True)
            except StorageError as error:
                if not self.epoch and not awaited:  # once, not once an attempt
                    awaited = True
                    log.warning("database_awaited", error=str(error))
            else:
                if epoch is not None and not self.epoch:
                    self.epoch = epoch.number
                    task_status.started()
                elif epoch is not None and epoch.number != self.epoch:
                    self._history_over = True
                    raise EpochChanged(f"the database was restored: its epoch was {self.epoch} and is {epoch.number}")
            with trio.move_on_after(EPOCH_EVERY_S if self.epoch else EPOCH_RETRY_S):
                await self._epoch_doubted.wait()

    def _is_current_epoch(self, epoch: int) -> bool:
        """Whether it is the history that is served here; if it is not, the worker looks at once."""
        if epoch != self.epoch:
            self._epoch_doubted.set()
        return epoch == self.epoch

    def _services(self) -> Services:
        return Services(
            accounts=self.accounts,
            identity=self.identity,
            sovereignty=self.sovereignty,
            files=self.file_room.files,
            links=self.http_links,
            hosts=self.settings.listen.hosts,
            origins=self.settings.listen.origins,
            site=Path(self.settings.listen.site) if self.settings.listen.site else SITE,
            writing=PostgresWriting(self.bridge),
            integrations=self.outside.integrations,
            multi_factor=self.multi_factor,
            passkeys=self.passkeys,
            step_up_s=self.settings.identity.step_up_s,
            authority=PostgresAuthority(self.bridge),
            roles=PostgresRoleBook(self.bridge),
            tokens=self.keys,
            sessions=self.sessions,
            passwords=self.passwords,
            rates=Rates(self.commands),
            metrics=Metrics(node_metrics(self)),
            probes={
                "database": Probe(self._ask_database),
                "migrations": Probe(self._ask_migrations),
                "redis": Probe(self._ask_redis, required=False),
            },
            store=self.matchmaker,
            matchmaker=self.matchmaker,
            journal=self.journal,
            overtake=self.exchange.overtake,
            limits=auth_limits(self.settings),
            quotas=self.limits,
            sync_limits=sync_limits(self.settings),
            thresholds=thresholds(self.settings),
            trust=PostgresTrust(self.bridge, thresholds(self.settings)),
            desk=self.desk,
            models=self.models.figures,
            telling=self.messenger.telling,
            learning=PostgresLearning(self.bridge),
            insights=PostgresInsights(self.bridge, group=self.settings.analytics.group_min),
            registration_open=self.settings.accounts.registration_open,
            http=self.http_counts,
        )

    async def _ask_database(self) -> Readiness:
        fresh_s = self.control.fresh_s
        if fresh_s is None or fresh_s > 5.0:
            return Readiness(False, "away", "the control stream cannot be read")
        return Readiness(True)

    async def _ask_migrations(self) -> Readiness:
        """Over the connections that there are. One of its own for each question let whoever asked and left keep a thread that nobody
        waited for, and the answer to nobody kept the process from stopping."""
        missing = await self.bridge.run(partial(find_missing, migrations=self._migrations), deadline_s=5.0, readonly=True)
        return Readiness(not missing, "up" if not missing else f"{len(missing)} pending")

    async def _ask_redis(self) -> Readiness:
        return Readiness(self.commands.up, "up" if self.commands.up else "away")


def thresholds(settings: Settings) -> Thresholds:
    """The trust that some of what people ask for needs."""
    return msgspec.convert(settings.trust, Thresholds, from_attributes=True)


def cast_limits(settings: Settings) -> CastLimits:
    """The actors' bounds, from the settings."""
    limits, heartbeat = settings.limits, settings.heartbeat
    return CastLimits(
        session=SessionLimits(
            message_bytes_max=settings.sockets.message_bytes_max,
            hello_s=limits.hello_s,
            asks_max=limits.asks_max,
            follows_max=limits.follows_max,
            watches_max=limits.watches_max,
            in_flight_max=limits.in_flight_max,
            heartbeat_s=heartbeat.heartbeat_s,
            heartbeat_min_s=heartbeat.heartbeat_min_s,
            heartbeat_max_s=heartbeat.heartbeat_max_s,
            stuck_s=settings.sockets.stuck_s,
            commands=Rate(limits.commands_per_s, limits.commands_burst),
            flood=Rate(limits.flood_per_s, limits.flood_burst),
            drain_spread_s=settings.drain.spread_s,
        ),
        device=DeviceLimits(in_flight_max=limits.in_flight_max, thresholds=thresholds(settings)),
        channel=ChannelLimits(typing_every_s=limits.typing_every_s, typists_max=limits.typists_max),
    )


def account_quotas(settings: Settings) -> Quotas:
    """What an account may ask for, from the settings."""
    quotas = settings.quotas
    return Quotas(
        search=Rate(quotas.search_per_minute / 60, quotas.search_burst),
        history=Rate(quotas.history_per_minute / 60, quotas.history_burst),
        members=Rate(quotas.members_per_minute / 60, quotas.members_burst),
        reports=Rate(quotas.reports_per_minute / 60, quotas.reports_burst),
        blocks=Rate(quotas.blocks_per_minute / 60, quotas.blocks_burst),
        invitations=Rate(quotas.invitations_per_minute / 60, quotas.invitations_burst),
        conversations=Rate(quotas.conversations_per_minute / 60, quotas.conversations_burst),
        communities=Rate(quotas.communities_per_minute / 60, quotas.communities_burst),
        reactions=Rate(quotas.reactions_per_minute / 60, quotas.reactions_burst),
        renames=Rate(quotas.renames_per_minute / 60, quotas.renames_burst),
        matches=Rate(quotas.matches_per_minute / 60, quotas.matches_burst),
        proposals=Rate(quotas.proposals_per_minute / 60, quotas.proposals_burst),
        drafts=Rate(quotas.drafts_per_minute / 60, quotas.drafts_burst),
        documents=Rate(quotas.documents_per_minute / 60, quotas.documents_burst),
        finds=Rate(quotas.finds_per_minute / 60, quotas.finds_burst),
    )


def auth_limits(settings: Settings) -> AuthLimits:
    """How often identity may be asked for, from the settings."""
    accounts = settings.accounts
    return AuthLimits(
        register_address=Limit(accounts.register_address_burst, accounts.register_address_per_minute / 60),
        login_address=Limit(accounts.login_address_burst, accounts.login_address_per_minute / 60),
        login_account_address=Limit(accounts.login_account_address_burst, accounts.login_account_address_per_minute / 60),
        login_account=Limit(accounts.login_account_burst, accounts.login_account_per_minute / 60),
        refresh_address=Limit(accounts.refresh_address_burst, accounts.refresh_address_per_minute / 60),
        session_user=Limit(accounts.session_user_burst, accounts.session_user_per_minute / 60),
        password_address=Limit(accounts.password_address_burst, accounts.password_address_per_minute / 60),
        recover_address=Limit(accounts.recover_address_burst, accounts.recover_address_per_minute / 60),
        recover_account=Limit(accounts.recover_account_burst, accounts.recover_account_per_minute / 60),
        mail_address=Limit(accounts.mail_address_burst, accounts.mail_address_per_minute / 60),
        link_address=Limit(accounts.link_address_burst, accounts.link_address_per_minute / 60),
    )


def sync_limits(settings: Settings) -> SyncLimits:
    """How often sync may be asked for over HTTP, from the settings."""
    sync = settings.sync
    return SyncLimits(
        sync_address=Limit(sync.http_address_burst, sync.http_address_per_minute / 60),
        sync_user=Limit(sync.http_user_burst, sync.http_user_per_minute / 60),
        devices_address=Limit(sync.devices_address_burst, sync.devices_address_per_minute / 60),
        devices_user=Limit(sync.devices_user_burst, sync.devices_user_per_minute / 60),
    )


def socket_bounds(settings: Settings) -> Bounds:
    """The transport's bounds, from the settings."""
    sockets = settings.sockets
    return Bounds(
        reader=ReaderLimits(message_bytes_max=sockets.message_bytes_max),
        queue_soft_bytes=sockets.queue_soft_bytes,
        queue_hard_bytes=sockets.queue_hard_bytes,
        heartbeat_s=settings.heartbeat.heartbeat_s,
        pong_s=settings.heartbeat.pong_s,
        close_s=sockets.close_s,
        linger_s=sockets.linger_s,
    )


def link_bounds(settings: Settings) -> LinkBounds:
    """The bounds of links over HTTP: those of sockets, where they have the same."""
    sockets, heartbeat, http = settings.sockets, settings.heartbeat, settings.http
    return LinkBounds(
        links_max=http.links_max or max(1, http.connections_max * 3 // 10),
        per_client_max=http.links_address_max,
        opened=Limit(http.links_address_burst, http.links_address_per_minute / 60),
        poll_s=http.links_poll_s,
        message_bytes_max=sockets.message_bytes_max,
        queue_soft_bytes=sockets.queue_soft_bytes,
        queue_hard_bytes=sockets.queue_hard_bytes,
        heartbeat_s=heartbeat.heartbeat_s,
        pong_s=heartbeat.pong_s,
    )


def _bridge_options(settings: Settings) -> BridgeOptions:
    database = settings.database
    return BridgeOptions(
        dsn=database.dsn.reveal(),
        replica_dsn=database.replica_dsn.reveal() or None,
        pooler=database.pooler,
        connections_max=database.connections_max,
        calls_max=database.calls_max,
    )


def _tls(certificate: str, key: str) -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context
