"""Every setting of the program, as one frozen value, decoded once by the root. Actors and adapters get values, never this.

    educonnect.toml ─┐
                     ├─▶ settings_source.load ─▶ Settings ─▶ the root builds the tree with its parts
    EDUCONNECT_… ────┘    a bad one stops the start

A section has the field names of what it configures, so that the root converts it as it stands:
`msgspec.convert(settings.gates, Gates, from_attributes=True)`. Defaults come from there, too: each figure has one home.
`docs/settings.md` is generated from these types.

Invariant: a `Settings` that exists is one that the program can start with, as far as can be known without the world.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from actors.channel import ChannelLimits
from actors.limits import Quotas as AccountQuotas
from actors.mfa import MfaRules
from actors.session import SessionLimits
from actors.trust_gates import Thresholds
from gateway.admission import Gates as GateBounds
from gateway.connection import Bounds
from gateway.http_link import LinkBounds
from gateway.link import LinkOptions
from gateway.matchmaker import MatchOptions
from gateway.models import ASKING_MAX
from gateway.options import (
    AUDIENCE,
    HASH_WAIT_S,
    HASHES_AT_ONCE,
    HASHES_WAITING_MAX,
    ISSUER,
    LIFETIME_S,
    MAIL_TIMEOUT_S,
    MAILS_AT_ONCE,
    OWASP,
    PASSWORD_LENGTH_MIN,
    PASSWORD_SCORE_MIN,
    AuthLimits,
    DeliveryRules,
    HttpBounds,
    PostBounds,
    Reach,
    RelyingParty,
    SyncLimits,
)
from gateway.web_uploads_links import ALIVE_S as LINK_S
from persistence.analytics.folding import GROUP
from persistence.analytics.passing import KEEP_DAYS as ANALYTICS_DAYS
from persistence.audit import KEEP_DAYS, KEEP_DAYS_MIN
from persistence.bridge import CALLS_MAX, CONNECTIONS_MAX
from persistence.documents.pruning import HORIZON_S as DOCUMENTS_HORIZON_S
from persistence.horizon import HORIZON_S
from persistence.identity.rules import IdentityRules
from persistence.journal import JournalOptions
from persistence.moderation.moderator import ModeratorOptions
from persistence.sessions import SessionRules
from persistence.uploads.rules import UploadRules
from persistence.webhooks import LOG_DAYS
from protocol.codec import MESSAGE_BYTES_MAX
from supervisors.job_foreman import ForemanOptions

KIB: Final = 1024
MIB: Final = 1024 * KIB
DAY_S: Final = 24 * 3600

_AUTH: Final = AuthLimits()
_SYNC: Final = SyncLimits()
_GATES: Final = GateBounds()
_MFA: Final = MfaRules()
_PARTY: Final = RelyingParty()
_BOUNDS: Final = Bounds()
_HTTP: Final = HttpBounds()
_LINKS: Final = LinkBounds()
_SESSION: Final = SessionLimits()
_QUOTAS: Final = AccountQuotas()
_MATCH: Final = MatchOptions()
_CHANNEL: Final = ChannelLimits()
_LINK: Final = LinkOptions()
_JOURNAL: Final = JournalOptions()
_REACH: Final = Reach()
_RULES: Final = SessionRules()
_TRUST: Final = Thresholds()
_MODERATION: Final = ModeratorOptions()
_IDENTITY: Final = IdentityRules()
_FOREMAN: Final = ForemanOptions()
_UPLOADS: Final = UploadRules()


class Secret:
    """A text that no log, traceback or `repr` shows. Whoever needs it says so: `reveal()`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(set)" if self._text else "Secret(empty)"


NOTHING: Final = Secret("")


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """Root of all sections: one table of the TOML file."""


class Listen(Section, frozen=True):
    """The one public port."""

    host: Annotated[str, Meta(min_length=1, description="the address to listen on; `0.0.0.0` or `::` for all of them")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="the port; 0 takes a free one and prints it")] = 8000
    tls_certificate: Annotated[str, Meta(description="a PEM file with the chain; empty: no TLS here, a balancer does it")] = ""
    tls_key: Annotated[str, Meta(description="the PEM file with its key, readable by this user alone")] = ""
    origins: Annotated[
        tuple[str, ...],
        Meta(
            max_length=64,
            description="other origins whose pages may open a socket and ask by HTTP: `https://learn.example`; `*` allows all",
        ),
    ] = ()
    hosts: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9.-]+$")], ...],
        Meta(
            max_length=64,
            description="names by which it is asked, in lower case: `learn.example`; others are refused, addresses and `localhost` are not;"
            " empty: any. Against pages that give their own name to a server of their visitor's network",
        ),
    ] = ()
    site: Annotated[
        str,
        Meta(description="the folder of a web app of your own, as `node web/app/build.mjs FOLDER` writes it; empty: ours"),
    ] = ""


class Proxy(Section, frozen=True):
    """Who may say on whose behalf it connects. Nobody, unless it is named here."""

    networks: Annotated[
        tuple[str, ...],
        Meta(max_length=64, description="balancers' networks, such as `10.0.0.0/8`; only their words about addresses count"),
    ] = ()
    proxy_protocol: Annotated[bool, Meta(description="balancers begin each connection with a PROXY header, version 1 or 2")] = False
    header: Annotated[
        Literal["", "forwarded", "x-forwarded-for"],
        Meta(description="the header that the balancer writes; reading both would let a client fill in the other"),
    ] = ""


class Database(Section, frozen=True):
    """Postgres: where everything durable is."""

    dsn: Annotated[Secret, Meta(description="where the primary is: `postgresql://user:secret@host:5432/name`; `dev` brings its own")] = (
        NOTHING
    )
    direct_dsn: Annotated[
        Secret, Meta(description="the primary without a pooler, for migrations (their lock belongs to a session); empty: `dsn`")
    ] = NOTHING
    replica_dsn: Annotated[Secret, Meta(description="a replica for reads that may lag; empty: the primary answers them")] = NOTHING
    pooler: Annotated[
        bool, Meta(description="the dsns lead to PgBouncer in transaction mode: no statement stays prepared on a connection")
    ] = False
    connections_max: Annotated[
        int, Meta(ge=1, le=200, description="connections for reads, a process; the journal has one more of its own")
    ] = CONNECTIONS_MAX
    calls_max: Annotated[int, Meta(ge=1, le=100_000, description="calls under way or waiting for a connection; beyond it: BUSY")] = (
        CALLS_MAX
    )


class Journal(Section, frozen=True):
    """The one write path: what waits for a commit."""

    items_max: Annotated[int, Meta(ge=100, le=1_000_000, description="mutations taken and not yet answered; beyond it: BUSY")] = (
        _JOURNAL.items_max
    )
    bytes_max: Annotated[int, Meta(ge=MIB, le=1024 * MIB, description="their size; beyond it: BUSY")] = _JOURNAL.bytes_max
    batch_items_max: Annotated[
        int, Meta(ge=1, le=10_000, description="mutations in one transaction: larger ones hold locks for longer than they save work")
    ] = _JOURNAL.batch_items_max
    batch_bytes_max: Annotated[int, Meta(ge=64 * KIB, le=64 * MIB, description="their size")] = _JOURNAL.batch_bytes_max
    call_s: Annotated[float, Meta(gt=0, le=120, description="the most that one transaction may take")] = _JOURNAL.call_s
    resubmit_s: Annotated[float, Meta(ge=0, le=600, description="how long an unknown outcome is pursued: a failover takes some ten")] = (
        _JOURNAL.resubmit_s
    )


class Redis(Section, frozen=True):
    """Redis or Valkey: the link between gateways, and rate limits. Nothing durable."""

    url: Annotated[Secret, Meta(description="`redis://user:secret@host:6379/0`, `rediss://…` or `unix:///path`; `dev` brings its own")] = (
        NOTHING
    )
    sharded: Annotated[bool, Meta(description="a cluster: SSUBSCRIBE and SPUBLISH, where plain pub/sub would go to every node")] = (
        _LINK.sharded
    )
    publish_bytes_max: Annotated[
        int, Meta(ge=64 * KIB, le=256 * MIB, description="unsent bytes beyond which frames are dropped; receivers repair from Postgres")
    ] = _LINK.publish_bytes_max
    heartbeat_s: Annotated[float, Meta(gt=0, le=60, description="how often a gateway publishes to itself")] = _LINK.heartbeat_s
    deaf_beats: Annotated[
        int, Meta(ge=2, le=100, description="how many of them it may miss before it takes its subscription for deaf and reconnects")
    ] = _LINK.deaf_beats


class Tokens(Section, frozen=True):
    """Access tokens: who may speak, for how long."""

    key_file: Annotated[
        str, Meta(description="a PEM file of Ed25519 keys, mode 0600: the first private one signs, all verify; `dev` makes one")
    ] = ""
    issuer: Annotated[str, Meta(min_length=1, max_length=200, description="the `iss` of our tokens, and of those we take")] = ISSUER
    audience: Annotated[str, Meta(min_length=1, max_length=200, description="their `aud`")] = AUDIENCE
    lifetime_s: Annotated[
        int, Meta(ge=60, le=3600, description="an access token's life: short, for it works without a look into the database")
    ] = LIFETIME_S
    refresh_s: Annotated[int, Meta(ge=3600, le=90 * DAY_S, description="a refresh token's life, and an unused session's")] = (
        _RULES.refresh_s
    )
    session_s: Annotated[
        int,
        Meta(
            ge=0,
            le=3650 * DAY_S,
            description="the most that a session lasts from its log-in on, however much it is used; 0: as long as it is used",
        ),
    ] = _RULES.session_s
    grace_s: Annotated[
        float, Meta(ge=0, le=60, description="how long a used refresh token still answers as before: its reply may have been lost")
    ] = _RULES.grace_s


class Passwords(Section, frozen=True):
    """What hashing a password costs us, and so an attacker."""

    memory_kib: Annotated[int, Meta(ge=8 * KIB, le=MIB, description="argon2id's memory, KiB a hash; OWASP's least is 19 MiB")] = (
        OWASP.memory_kib
    )
    rounds: Annotated[int, Meta(ge=1, le=20, description="argon2id's passes")] = OWASP.rounds
    lanes: Annotated[int, Meta(ge=1, le=8, description="argon2id's lanes")] = OWASP.lanes
    concurrent_max: Annotated[
        int, Meta(ge=1, le=64, description="hashes at a time: each keeps a core busy, and another serves sockets")
    ] = HASHES_AT_ONCE
    waiting_max: Annotated[int, Meta(ge=1, le=10_000, description="log-ins that wait for a hash; beyond it: 503 with Retry-After")] = (
        HASHES_WAITING_MAX
    )
    wait_s: Annotated[float, Meta(gt=0, le=60, description="how long one waits; longer than this nobody looks at a button")] = HASH_WAIT_S


class Identity(Section, frozen=True):
    """What proves somebody: which passwords may be set, how long links in mails are good, when a proof is asked for again."""

    password_length_min: Annotated[int, Meta(ge=8, le=64, description="the fewest characters of a password that is set")] = (
        PASSWORD_LENGTH_MIN
    )
    password_score_min: Annotated[
        int,
        Meta(
            ge=0,
            le=4,
            description="how hard to guess it must be, as zxcvbn scores it with the person's own words: 0 takes all, 3 needs 10^8 guesses",
        ),
    ] = PASSWORD_SCORE_MIN
    site_words: Annotated[
        tuple[str, ...], Meta(max_length=16, description="names of this place; passwords made of them are easy to guess")
    ] = ("educonnect",)
    page_url: Annotated[
        str,
        Meta(
            min_length=8,
            max_length=200,
            pattern=r"^https?://[^\s/?#]+(/[^\s?#]*[^\s?#/])?$",
            description="where people open the web app; links in mails lead there, never to what a request says",
        ),
    ] = _IDENTITY.page_url
    address_link_s: Annotated[int, Meta(ge=600, le=7 * DAY_S, description="how long a link that proves a mail address is good")] = (
        _IDENTITY.address_link_s
    )
    reset_link_s: Annotated[int, Meta(ge=300, le=DAY_S, description="how long a link that sets another password is good")] = (
        _IDENTITY.reset_link_s
    )
    step_up_s: Annotated[
        int, Meta(ge=60, le=DAY_S, description="how long ago somebody may have proven who they are before something dangerous")
    ] = _IDENTITY.step_up_s


class Accounts(Section, frozen=True):
    """Who may have an account, and how often identity may be asked for, all gateways together. Beyond it: 429 with Retry-After."""

    registration_open: Annotated[bool, Meta(description="whether anybody may make an account; otherwise that is refused with 403")] = True
    register_address_burst: Annotated[
        int, Meta(ge=1, le=10_000, description="accounts made at once from one address (IPv6: /64): a class signs up together behind one")
    ] = _AUTH.register_address.burst
    register_address_per_minute: Annotated[float, Meta(gt=0, le=10_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.register_address.per_s
    )
    login_address_burst: Annotated[int, Meta(ge=1, le=100_000, description="log-ins at once from one address")] = _AUTH.login_address.burst
    login_address_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.login_address.per_s
    )
    login_account_address_burst: Annotated[
        int, Meta(ge=1, le=10_000, description="log-ins at once into one account from one address: somebody who guesses")
    ] = _AUTH.login_account_address.burst
    login_account_address_per_minute: Annotated[float, Meta(gt=0, le=10_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.login_account_address.per_s
    )
    login_account_burst: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="log-ins at once into one account from everywhere: many who guess; the owner waits, too",
        ),
    ] = _AUTH.login_account.burst
    login_account_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.login_account.per_s
    )
    refresh_address_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="tokens renewed at once from one address: all of a school's devices, after an outage")
    ] = _AUTH.refresh_address.burst
    refresh_address_per_minute: Annotated[float, Meta(gt=0, le=1_000_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.refresh_address.per_s
    )
    session_user_burst: Annotated[
        int, Meta(ge=1, le=10_000, description="other questions of one account at once: passwords, sessions, logging out")
    ] = _AUTH.session_user.burst
    session_user_per_minute: Annotated[float, Meta(gt=0, le=10_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.session_user.per_s
    )
    password_address_burst: Annotated[
        int, Meta(ge=1, le=100_000, description="new passwords judged at once from one address: milliseconds each")
    ] = _AUTH.password_address.burst
    password_address_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.password_address.per_s
    )
    recover_address_burst: Annotated[
        int, Meta(ge=1, le=10_000, description="links asked for at once from one address, for passwords that were forgotten")
    ] = _AUTH.recover_address.burst
    recover_address_per_minute: Annotated[float, Meta(gt=0, le=10_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.recover_address.per_s
    )
    recover_account_burst: Annotated[
        int, Meta(ge=1, le=1_000, description="the same for one name or address, whether there is such an account or not")
    ] = _AUTH.recover_account.burst
    recover_account_per_minute: Annotated[float, Meta(gt=0, le=1_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.recover_account.per_s
    )
    mail_address_burst: Annotated[
        int, Meta(ge=1, le=1_000, description="links at once to one mailbox that is to be proven: nobody's is filled by strangers")
    ] = _AUTH.mail_address.burst
    mail_address_per_minute: Annotated[float, Meta(gt=0, le=1_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.mail_address.per_s
    )
    link_address_burst: Annotated[int, Meta(ge=1, le=10_000, description="links opened at once from one address")] = (
        _AUTH.link_address.burst
    )
    link_address_per_minute: Annotated[float, Meta(gt=0, le=10_000, description="the same, a minute, from then on")] = (
        60 * _AUTH.link_address.per_s
    )


class Mfa(Section, frozen=True):
    """Second factors: passkeys, codes of an authenticator app, and how often one may guess at them."""

    rp_id: Annotated[
        str, Meta(max_length=253, description="the domain that passkeys are made for, such as `learn.example`; empty: there are none")
    ] = _PARTY.id
    rp_name: Annotated[
        str, Meta(min_length=1, max_length=64, description="what this installation is called in authenticator apps and passkeys' dialogs")
    ] = _PARTY.name
    origins: Annotated[
        tuple[str, ...],
        Meta(max_length=16, description="pages that may ask for passkeys, such as `https://learn.example`: of that domain, or below it"),
    ] = _PARTY.origins
    guesses_free: Annotated[int, Meta(ge=1, le=20, description="wrong codes in a row, an account, that cost no wait")] = _MFA.guesses_free
    guess_wait_s: Annotated[
        float, Meta(gt=0, le=3600, description="the wait after the next wrong one; twice as long after each further one")
    ] = _MFA.guess_wait_s
    guess_wait_max_s: Annotated[float, Meta(gt=0, le=86_400, description="the longest such wait")] = _MFA.guess_wait_max_s
    guesses_max: Annotated[
        int, Meta(ge=5, le=1000, description="wrong codes in a row until only a passkey or a recovery code opens the account")
    ] = _MFA.guesses_max


class Gates(Section, frozen=True):
    """Bounds at the door: before anybody is known."""

    head_bytes_max: Annotated[int, Meta(ge=KIB, le=256 * KIB, description="a request's head")] = _GATES.head_bytes_max
    head_s: Annotated[float, Meta(gt=0, le=60, description="from accepting to a complete head, TLS included")] = _GATES.head_s
    half_open_max: Annotated[
        int, Meta(ge=16, le=100_000, description="connections without a complete head; at the bound the oldest goes")
    ] = _GATES.half_open_max
    half_open_per_client_max: Annotated[int, Meta(ge=1, le=100_000, description="the same, from one address")] = (
        _GATES.half_open_per_client_max
    )
    sockets_max: Annotated[
        int, Meta(ge=16, le=1_000_000, description="open sockets in this process; the limit on file descriptors must be above it")
    ] = _GATES.sockets_max
    per_client_max: Annotated[
        int, Meta(ge=1, le=1_000_000, description="connections from one address (IPv6: /64); a school may share one behind a carrier's NAT")
    ] = _GATES.per_client_max
    handshakes_per_s: Annotated[
        float, Meta(gt=0, le=100_000, description="handshakes a second; in a reconnect storm the others wait or are told when to return")
    ] = _GATES.handshakes_per_s
    handshakes_burst: Annotated[int, Meta(ge=1, le=1_000_000, description="handshakes at once")] = _GATES.handshakes_burst
    waiting_max: Annotated[int, Meta(ge=0, le=1_000_000, description="handshakes that wait for their turn")] = _GATES.waiting_max
    waiting_s: Annotated[float, Meta(ge=0, le=60, description="how long one waits at most")] = _GATES.waiting_s
    retry_after_s: Annotated[
        int, Meta(ge=1, le=3600, description="the least that a refused one is told to wait; the most is three times")
    ] = _GATES.retry_after_s


class Http(Section, frozen=True):
    """Bounds of plain HTTP on the same port."""

    connections_max: Annotated[int, Meta(ge=1, le=100_000, description="connections at a time")] = _HTTP.connections_max
    keep_alive_s: Annotated[float, Meta(gt=0, le=600, description="from an answer to the end of the next request's head")] = (
        _HTTP.keep_alive_s
    )
    stall_s: Annotated[
        float, Meta(gt=0, le=600, description="how long a body may stand still, and a peer may take nothing of an answer")
    ] = _HTTP.stall_s
    links_max: Annotated[
        int,
        Meta(
            ge=0,
            le=50_000,
            description="links over HTTP at a time, for whom sockets are blocked: below half of `connections_max`, since each may hold two"
            " of those; 0: three in ten of them",
        ),
    ] = 0
    links_address_max: Annotated[
        int, Meta(ge=1, le=50_000, description="links from one address: all devices of a school that blocks sockets")
    ] = _LINKS.per_client_max
    links_address_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="links opened at once from one address: a class comes back together after an outage")
    ] = _LINKS.opened.burst
    links_address_per_minute: Annotated[float, Meta(gt=0, le=1_000_000, description="the same, a minute, from then on")] = (
        60 * _LINKS.opened.per_s
    )
    links_poll_s: Annotated[
        float,
        Meta(
            ge=1,
            le=35,
            description="how long a poll waits for something to say: less where a proxy gives up earlier, and each poll that brings nothing"
            " costs a request; clients wait 40 s at most",
        ),
    ] = _LINKS.poll_s


class Sockets(Section, frozen=True):
    """What one open socket may take, in bytes and in patience."""

    message_bytes_max: Annotated[
        int, Meta(ge=4 * KIB, le=MESSAGE_BYTES_MAX, description="a message from a client; decoding costs up to 20 times its size")
    ] = MESSAGE_BYTES_MAX
    queue_soft_bytes: Annotated[
        int, Meta(ge=4 * KIB, le=16 * MIB, description="unsent bytes from which fan-out is dropped, and the client told that it lags")
    ] = _BOUNDS.queue_soft_bytes
    queue_hard_bytes: Annotated[
        int, Meta(ge=16 * KIB, le=64 * MIB, description="unsent bytes, answers included, at which the socket ends as SLOW")
    ] = _BOUNDS.queue_hard_bytes
    stuck_s: Annotated[float, Meta(gt=0, le=600, description="how long a socket may take nothing before it ends as SLOW")] = (
        _SESSION.stuck_s
    )
    close_s: Annotated[float, Meta(gt=0, le=60, description="how long the other side may take to answer a close")] = _BOUNDS.close_s
    linger_s: Annotated[float, Meta(ge=0, le=60, description="how long the last bytes get before the line is cut")] = _BOUNDS.linger_s


class Heartbeat(Section, frozen=True):
    """How a dead link is found. Each beat wakes a phone's radio."""

    heartbeat_s: Annotated[
        float, Meta(gt=0, le=3600, description="silence after which the server pings, unless the client asks for another")
    ] = _SESSION.heartbeat_s
    heartbeat_min_s: Annotated[float, Meta(gt=0, le=3600, description="the shortest that a client may ask for")] = _SESSION.heartbeat_min_s
    heartbeat_max_s: Annotated[
        float, Meta(gt=0, le=3600, description="the longest; carriers forget an idle connection after some minutes")
    ] = _SESSION.heartbeat_max_s
    pong_s: Annotated[
        float,
        Meta(gt=0, le=300, description="how long a ping may stay without any sign of life; a 2G link that changes cells is silent for ten"),
    ] = _BOUNDS.pong_s


class Limits(Section, frozen=True):
    """What one session may have and do."""

    hello_s: Annotated[float, Meta(gt=0, le=60, description="from the handshake to a legal Hello")] = _SESSION.hello_s
    in_flight_max: Annotated[int, Meta(ge=1, le=256, description="mutations sent and not yet answered; 256 outcomes are kept a device")] = (
        _SESSION.in_flight_max
    )
    follows_max: Annotated[int, Meta(ge=1, le=10_000, description="streams followed at once")] = _SESSION.follows_max
    watches_max: Annotated[int, Meta(ge=0, le=1000, description="spaces whose presence is watched at once")] = _SESSION.watches_max
    asks_max: Annotated[int, Meta(ge=1, le=1000, description="requests that wait for Postgres at once")] = _SESSION.asks_max
    commands_per_s: Annotated[float, Meta(gt=0, le=100_000, description="commands a second, on average")] = _SESSION.commands.per_s
    commands_burst: Annotated[
        float, Meta(ge=1, le=1_000_000, description="commands at once: a device that returns after days sends its whole queue")
    ] = _SESSION.commands.burst
    flood_per_s: Annotated[float, Meta(gt=0, le=100_000, description="refused commands a second that are forgiven, on average")] = (
        _SESSION.flood.per_s
    )
    flood_burst: Annotated[
        float, Meta(ge=1, le=100_000, description="commands refused, for their rate or their form, before the socket ends with FLOOD")
    ] = _SESSION.flood.burst
    typing_every_s: Annotated[
        float, Meta(ge=0, le=60, description="one user's typing in a channel is passed on at most this often; 0: each time")
    ] = _CHANNEL.typing_every_s
    typists_max: Annotated[
        int, Meta(ge=1, le=20_000, description="users whose typing is passed on in a channel within that time; that of more is dropped")
    ] = _CHANNEL.typists_max


class Trust(Section, frozen=True):
    """How far somebody must be trusted, from 0 to 1, for what can hurt or annoy others. Everybody begins at 0.20 (docs/trust.md)."""

    links: Annotated[float, Meta(ge=0, le=1, description="for writing links where others read them; 0: everybody may")] = _TRUST.links
    mentions: Annotated[float, Meta(ge=0, le=1, description="for mentioning many people in one message")] = _TRUST.mentions
    mentions_many: Annotated[int, Meta(ge=1, le=100, description="from how many on that asks for trust")] = _TRUST.mentions_many
    communities: Annotated[float, Meta(ge=0, le=1, description="for founding a community")] = _TRUST.communities
    mentoring: Annotated[float, Meta(ge=0, le=1, description="for being proposed as a mentor")] = _TRUST.mentoring


class Moderation(Section, frozen=True):
    """How what people write is looked at. How a community is moderated is its own business (docs/moderation.md)."""

    flooding: Annotated[bool, Meta(description="the same again and again, by one person or by many, is held and then hidden")] = True
    per_s: Annotated[
        float, Meta(ge=1, le=10_000, description="texts that a process looks at in a second, at some 0.2 ms each; more wait for their turn")
    ] = _MODERATION.per_s
    answer_s: Annotated[
        float, Meta(gt=0, le=60, description="seconds that the model has for what stands already; then the lexicon looks at it")
    ] = _MODERATION.answer_s
    first_s: Annotated[
        float, Meta(gt=0, le=60, description="seconds that it has for what nobody reads before; then it waits, and is tried again")
    ] = _MODERATION.first_s
    lexicon: Annotated[
        bool, Meta(description="without a model a lexicon of a few dozen words looks at what stands already; false: nobody does")
    ] = _MODERATION.lexicon
    call_s: Annotated[
        float,
        Meta(gt=0, le=60, description="seconds that a call to Postgres has while texts are judged; a lease has time for three such calls"),
    ] = _MODERATION.call_s
    lease_min_s: Annotated[
        float,
        Meta(gt=0, le=600, description="seconds that a lease on what is being judged lasts at the least: who is killed holds it so long"),
    ] = _MODERATION.lease_min_s


class Quotas(Section, frozen=True):
    """What one account may ask for on all its devices and gateways together. Beyond it: how long to wait. One address may ask for names,
    pages and members as often as thirty accounts."""

    search_burst: Annotated[int, Meta(ge=1, le=100_000, description="names looked up, at once")] = int(_QUOTAS.search.burst)
    search_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = 60 * _QUOTAS.search.per_s
    history_burst: Annotated[int, Meta(ge=1, le=100_000, description="pages of earlier messages read, at once")] = int(
        _QUOTAS.history.burst
    )
    history_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.history.per_s
    )
    members_burst: Annotated[int, Meta(ge=1, le=100_000, description="pages of members, or of reports, read, at once")] = int(
        _QUOTAS.members.burst
    )
    members_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.members.per_s
    )
    reports_burst: Annotated[int, Meta(ge=1, le=100_000, description="reports made, repeats included; new ones also 20 a day; at once")] = (
        int(_QUOTAS.reports.burst)
    )
    reports_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.reports.per_s
    )
    blocks_burst: Annotated[int, Meta(ge=1, le=100_000, description="people blocked and unblocked, at once")] = int(_QUOTAS.blocks.burst)
    blocks_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = 60 * _QUOTAS.blocks.per_s
    invitations_burst: Annotated[int, Meta(ge=1, le=100_000, description="people invited, at once")] = int(_QUOTAS.invitations.burst)
    invitations_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.invitations.per_s
    )
    conversations_burst: Annotated[int, Meta(ge=1, le=100_000, description="conversations opened, at once")] = int(
        _QUOTAS.conversations.burst
    )
    conversations_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.conversations.per_s
    )
    communities_burst: Annotated[int, Meta(ge=1, le=100_000, description="communities founded, at once")] = int(_QUOTAS.communities.burst)
    communities_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.communities.per_s
    )
    reactions_burst: Annotated[int, Meta(ge=1, le=100_000, description="reactions given and taken back, at once")] = int(
        _QUOTAS.reactions.burst
    )
    reactions_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.reactions.per_s
    )
    renames_burst: Annotated[
        int, Meta(ge=1, le=100_000, description="changes of one's name: each is told in every space that one is in, at once")
    ] = int(_QUOTAS.renames.burst)
    renames_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.renames.per_s
    )
    matches_burst: Annotated[int, Meta(ge=1, le=100_000, description="searches for a mentor, at once")] = int(_QUOTAS.matches.burst)
    matches_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.matches.per_s
    )
    proposals_burst: Annotated[int, Meta(ge=1, le=100_000, description="mentors asked, at once")] = int(_QUOTAS.proposals.burst)
    proposals_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.proposals.per_s
    )
    drafts_burst: Annotated[int, Meta(ge=1, le=100_000, description="lessons that a model is to draft questions about, at once")] = int(
        _QUOTAS.drafts.burst
    )
    drafts_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = 60 * _QUOTAS.drafts.per_s
    documents_burst: Annotated[int, Meta(ge=1, le=100_000, description="documents opened, versions named and restored, at once")] = int(
        _QUOTAS.documents.burst
    )
    documents_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _QUOTAS.documents.per_s
    )
    finds_burst: Annotated[int, Meta(ge=1, le=100_000, description="searches in messages, at once")] = int(_QUOTAS.finds.burst)
    finds_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = 60 * _QUOTAS.finds.per_s


class Matching(Section, frozen=True):
    """The search for a mentor."""

    answer_s: Annotated[
        float, Meta(gt=0, le=8, description="after this a search is answered by a ticket, and its result comes later, by an event")
    ] = _MATCH.answer_s
    give_up_s: Annotated[
        float, Meta(gt=0, le=60, description="how long the model may take at all; then fixed weights compare a few mentors, and say so")
    ] = _MATCH.give_up_s
    waiting_max: Annotated[int, Meta(ge=1, le=10_000, description="searches that wait in one process; more are refused as BUSY")] = (
        _MATCH.waiting_max
    )
    at_once_max: Annotated[int, Meta(ge=1, le=256, description="searches under way in one process")] = _MATCH.at_once_max
    write_every_s: Annotated[float, Meta(gt=0, le=600, description="how often it is written who was shown to whom")] = _MATCH.write_every_s


class Log(Section, frozen=True):
    """What is written to standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="the least that is written; `error` wakes someone")] = (
        "info"
    )
    format: Annotated[Literal["console", "json"], Meta(description="for people, or one JSON object a line")] = "console"


class Traces(Section, frozen=True):
    """Following single commands over all processes, with OpenTelemetry. Off where no endpoint is named."""

    endpoint: Annotated[
        str,
        Meta(
            description="the collector's base, an `http://` or `https://` URL like `http://collector:4318` (OTLP over HTTP); empty: none. "
            "Needs more packages: `pip install --require-hashes -r requirements/traces.lock`"
        ),
    ] = ""
    share: Annotated[
        float, Meta(ge=0, le=1, description="of all commands, those that are followed; a gateway also follows what another one began")
    ] = 0.001


class Drain(Section, frozen=True):
    """Going away politely."""

    spread_s: Annotated[
        float,
        Meta(ge=0, le=600, description="clients are told to return within this time, each at a moment of its own: no storm elsewhere"),
    ] = _SESSION.drain_spread_s
    grace_s: Annotated[
        float, Meta(ge=0, le=600, description="how long sessions may go on after they were told; what is left is closed with DRAIN")
    ] = 25.0


class Sync(Section, frozen=True):
    """What devices keep and change offline."""

    horizon_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3650,
            description="how long what was deleted, and each single write of a record, is remembered; a device that was away for longer"
            " takes a snapshot. Nothing that stands is ever forgotten",
        ),
    ] = int(HORIZON_S // DAY_S)
    documents_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3650,
            description="how long each single update of a document, and who wrote it when, is kept once its state has it; a device that was"
            " away for longer loads the state. Documents and their versions are never forgotten",
        ),
    ] = int(DOCUMENTS_HORIZON_S // DAY_S)
    http_address_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="syncs over HTTP at once from one address: all devices of a school that blocks sockets")
    ] = _SYNC.sync_address.burst
    http_address_per_minute: Annotated[float, Meta(gt=0, le=1_000_000, description="the same, a minute, from then on")] = (
        60 * _SYNC.sync_address.per_s
    )
    http_user_burst: Annotated[
        int, Meta(ge=1, le=100_000, description="syncs over HTTP of one account at once, in requests of 16 frames or 256 changes")
    ] = _SYNC.sync_user.burst
    http_user_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _SYNC.sync_user.per_s
    )
    devices_address_burst: Annotated[
        int, Meta(ge=1, le=100_000, description="devices made for copied stores at once, from one address")
    ] = _SYNC.devices_address.burst
    devices_address_per_minute: Annotated[float, Meta(gt=0, le=100_000, description="the same, a minute, from then on")] = (
        60 * _SYNC.devices_address.per_s
    )
    devices_user_burst: Annotated[int, Meta(ge=1, le=10_000, description="the same, for one account")] = _SYNC.devices_user.burst
    devices_user_per_minute: Annotated[float, Meta(gt=0, le=10_000, description="the same, a minute, from then on")] = (
        60 * _SYNC.devices_user.per_s
    )


class Sovereignty(Section, frozen=True):
    """Whose data it is, and where it may be."""

    ledger_file: Annotated[
        str,
        Meta(
            description="a file, on another disk than the database's backups, in which every erasure is written down, so that a backup that"
            " is put back can be erased by it (`educonnect erasures again`); empty: none"
        ),
    ] = ""
    regions: Annotated[
        tuple[str, ...], Meta(max_length=40, description="labels of the regions in which this installation keeps data; empty: any")
    ] = ()


class Jobs(Section, frozen=True):
    """Processes that run jobs."""

    at_once_max: Annotated[
        int, Meta(ge=1, le=10_000, description="jobs under way in one process, of all kinds; each kind has a bound of its own")
    ] = _FOREMAN.at_once_max
    poll_s: Annotated[
        float, Meta(gt=0, le=60, description="how often it is looked for what is due; what is ordered is told over Redis at once")
    ] = _FOREMAN.poll_s
    lease_s: Annotated[
        float,
        Meta(ge=2, le=600, description="how long jobs of a process that was killed, or cannot reach the database, wait for another one"),
    ] = _FOREMAN.lease_s
    waiting_warn: Annotated[
        int, Meta(ge=1, le=10_000_000, description="ready jobs of one kind from which a warning is written: a queue that piles up")
    ] = 10_000
    strict_regions: Annotated[
        bool,
        Meta(description="a process without `node.region` takes no job of a community that has a region; otherwise it takes every job"),
    ] = False


class Node(Section, frozen=True):
    """This process, as others have to tell it from theirs."""

    region: Annotated[
        str,
        Meta(
            max_length=40,
            description="where this process runs: of communities with a region it takes jobs of this one alone; empty: see"
            " `jobs.strict_regions`",
        ),
    ] = ""


class Ml(Section, frozen=True):
    """Models: who asks them by which way, and how processes of the role `ml` serve them (docs/models.md)."""

    line: Annotated[
        str,
        Meta(
            description="how gateways and jobs reach ML processes: `redis`; `pipe:` and the path of a socket, on one machine; or `off`: no"
            " model is asked, and what there is without one is done"
        ),
    ] = "redis"
    models: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16, description="what an ML process serves")] = (
        "moderation",
        "matching",
        "questions",
        "tracing",
    )
    device: Annotated[
        Literal["cpu", "cuda"], Meta(description="where models run; one that cannot run there is not served at all, and says so")
    ] = "cpu"
    moderation_model: Annotated[
        str,
        Meta(
            max_length=300,
            description="a text-classification model for transformers, by folder or name, in the place of the one that ships; needs more"
            " packages: `pip install --require-hashes -r requirements/transformers.lock`",
        ),
    ] = ""
    moderation_labels: Annotated[
        str,
        Meta(
            max_length=1000,
            description="what that model's labels mean, as in `LABEL_1=TOXIC,LABEL_2=HATE`; empty: labels with common names are known",
        ),
    ] = ""
    questions_model: Annotated[
        str, Meta(max_length=300, description="the same for questions from lessons: a sequence-to-sequence model")
    ] = ""
    threads: Annotated[int, Meta(ge=1, le=256, description="that each model may use, where its library can use several")] = 1
    transformers_memory_mib_max: Annotated[
        int, Meta(ge=256, le=1_048_576, description="memory of one process with a transformers model; above it, it is started again")
    ] = 6144
    queue_max: Annotated[
        int, Meta(ge=1, le=100_000, description="questions that may wait for one model in Redis; more are refused at once")
    ] = 512
    asking_max: Annotated[int, Meta(ge=1, le=100_000, description="questions that one process may have under way")] = ASKING_MAX
    cache_folder: Annotated[
        str, Meta(description="where models that were trained here are kept between starts; empty: in the system's temporary folder")
    ] = ""
    port: Annotated[
        int,
        Meta(ge=0, le=65_535, description="where an ML process answers `/metrics`, `/health` and `/ready`, and nothing else; 0: nowhere"),
    ] = 0
    host: Annotated[str, Meta(description="the address that this port is opened on")] = "127.0.0.1"


class Webhooks(Section, frozen=True):
    """What is told to other systems, and how far that may go. Never to private addresses."""

    ports: Annotated[tuple[int, ...], Meta(min_length=1, max_length=64, description="the ports that a destination may have")] = _REACH.ports
    loopback_allowed: Annotated[
        bool, Meta(description="development only: destinations on this machine, with http and any port, are sent to")
    ] = _REACH.loopback_allowed
    forbidden_networks: Annotated[
        tuple[str, ...], Meta(max_length=64, description="public networks of your own that nothing is sent to, such as `198.51.0.0/16`")
    ] = ()
    certificates: Annotated[str, Meta(description="a PEM file of authorities that are trusted beside the system's own")] = ""
    total_s: Annotated[float, Meta(gt=0, le=60, description="one attempt, from looking the name up to the end of the answer")] = (
        PostBounds().total_s
    )
    give_up_hours: Annotated[
        float, Meta(ge=0.1, le=168, description="how long one event may fail before its subscription is paused and the owners are told")
    ] = DeliveryRules().give_up_s / 3600
    log_days: Annotated[int, Meta(ge=1, le=366, description="how long attempts are kept in the log of deliveries")] = LOG_DAYS


class Mail(Section, frozen=True):
    """Mail to people. Without a server (or a folder) none is sent: what asks for one is a dead letter, and notices come by other ways."""

    host: Annotated[str, Meta(max_length=253, description="the SMTP server that takes our mail; empty: none")] = ""
    port: Annotated[int, Meta(ge=1, le=65_535, description="its port")] = 587
    tls: Annotated[
        Literal["starttls", "implicit", "none"],
        Meta(description="by STARTTLS, from the first byte, or none: for a server on this machine. Never less than is set"),
    ] = "starttls"
    username: Annotated[str, Meta(max_length=254, description="whom to log in as; empty: nobody")] = ""
    password: Annotated[Secret, Meta(description="with which password; it leaves over TLS only")] = NOTHING
    folder: Annotated[str, Meta(description="development: a folder where mails are written, in place of a server; `dev` has one")] = ""
    from_address: Annotated[str, Meta(max_length=254, description="from whom mails come, such as `hello@learn.example`")] = ""
    from_name: Annotated[str, Meta(max_length=80, description="the name beside it")] = "EduConnect"
    bounce_address: Annotated[
        str, Meta(max_length=200, description="where reports of failures go; a token is added behind a plus: `bounces+…@learn.example`")
    ] = ""
    bounce_secret: Annotated[
        Secret, Meta(description="what the mail server shows when it posts such a report to `/api/v1/mail/bounces`; empty: none are taken")
    ] = NOTHING
    timeout_s: Annotated[float, Meta(gt=0, le=300, description="how long the server may take for each answer")] = MAIL_TIMEOUT_S
    concurrent_max: Annotated[int, Meta(ge=1, le=64, description="mails that one process sends at a time")] = MAILS_AT_ONCE


class Push(Section, frozen=True):
    """Waking devices that are not connected. Each service is offered where its key is set."""

    vapid_key_file: Annotated[
        str, Meta(description="web push: a PEM file with an EC key on P-256. With another one every subscription is void; `dev` makes one")
    ] = ""
    subject: Annotated[str, Meta(max_length=254, description="web push: by what a push service finds you, a `mailto:` or `https:` URL")] = (
        "mailto:operator@localhost"
    )
    loopback_allowed: Annotated[bool, Meta(description="development only: endpoints of web push on this machine are pushed to")] = False
    fcm_account_file: Annotated[str, Meta(description="FCM: the key file of a service account, in JSON")] = ""
    fcm_url: Annotated[str, Meta(max_length=200, description="FCM: where its API is")] = "https://fcm.googleapis.com"
    apns_key_file: Annotated[str, Meta(description="APNs: the team's key, a .p8 file")] = ""
    apns_key_id: Annotated[str, Meta(max_length=20, description="APNs: the key's identifier")] = ""
    apns_team_id: Annotated[str, Meta(max_length=20, description="APNs: the team's identifier")] = ""
    apns_topic: Annotated[str, Meta(max_length=200, description="APNs: the app's bundle identifier")] = ""
    apns_url: Annotated[str, Meta(max_length=200, description="APNs: where its API is")] = "https://api.push.apple.com"


class Audit(Section, frozen=True):
    """Who did what to whom."""

    keep_days: Annotated[
        int, Meta(ge=KEEP_DAYS_MIN, le=3660, description="how long it is kept; whole months go when their last day is older")
    ] = KEEP_DAYS


class Analytics(Section, frozen=True):
    """What is reckoned from answers. A community that wants none of it says so in its own settings (docs/analytics.md)."""

    group_min: Annotated[int, Meta(ge=2, le=100, description="learners of whom something is told together; of fewer nothing is")] = GROUP
    keep_days: Annotated[
        int, Meta(ge=62, le=3660, description="how long days and sums are kept; whole months go when their last day is older")
    ] = ANALYTICS_DAYS


class Uploads(Section, frozen=True):
    """Files that people send with messages: where their bytes are, and how many there may be (docs/uploads.md)."""

    store: Annotated[
        str,
        Meta(
            max_length=500,
            description="where files are: `folder:/path`, which gateways and jobs share, or `s3://bucket/prefix`; empty: none are"
            " taken; `dev` has a folder",
        ),
    ] = ""
    s3_endpoint: Annotated[
        str, Meta(max_length=300, description="another S3 than Amazon's, such as `https://minio.example`; empty: Amazon's")
    ] = ""
    s3_region: Annotated[str, Meta(max_length=60, description="its region")] = "us-east-1"
    s3_key_id: Annotated[str, Meta(max_length=200, description="by which key; empty: as this machine's role or environment says")] = ""
    s3_secret: Annotated[Secret, Meta(description="and its secret")] = NOTHING
    bytes_max: Annotated[int, Meta(ge=KIB, le=16 * 1024 * MIB, description="one file")] = _UPLOADS.bytes_max
    person_bytes_max: Annotated[int, Meta(ge=KIB, le=2**50, description="all files of one person, those on their way included")] = (
        _UPLOADS.person_bytes_max
    )
    space_bytes_max: Annotated[int, Meta(ge=KIB, le=2**50, description="all files of one community or conversation")] = (
        _UPLOADS.space_bytes_max
    )
    wait_hours: Annotated[
        float, Meta(ge=0.1, le=720, description="how long an upload waits for its next byte, and to be sent with a message; then it goes")
    ] = _UPLOADS.wait_hours
    link_s: Annotated[float, Meta(ge=10, le=86_400, description="how long a link to a file is good, at least; at most twice that")] = LINK_S
    scanner: Annotated[
        str,
        Meta(
            max_length=500,
            description="who says whether a file may be here: a command that reads it (0: yes, 1: no), or an `http://` address that it is"
            " posted to (200, 204: yes; 403, 406: no); empty: nobody is asked",
        ),
    ] = ""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings."""

    listen: Listen = Listen()
    proxy: Proxy = Proxy()
    database: Database = Database()
    journal: Journal = Journal()
    redis: Redis = Redis()
    tokens: Tokens = Tokens()
    passwords: Passwords = Passwords()
    identity: Identity = Identity()
    accounts: Accounts = Accounts()
    mfa: Mfa = Mfa()
    gates: Gates = Gates()
    http: Http = Http()
    sockets: Sockets = Sockets()
    heartbeat: Heartbeat = Heartbeat()
    limits: Limits = Limits()
    quotas: Quotas = Quotas()
    matching: Matching = Matching()
    log: Log = Log()
    traces: Traces = Traces()
    drain: Drain = Drain()
    sync: Sync = Sync()
    trust: Trust = Trust()
    moderation: Moderation = Moderation()
    node: Node = Node()
    jobs: Jobs = Jobs()
    ml: Ml = Ml()
    mail: Mail = Mail()
    push: Push = Push()
    webhooks: Webhooks = Webhooks()
    audit: Audit = Audit()
    analytics: Analytics = Analytics()
    sovereignty: Sovereignty = Sovereignty()
    uploads: Uploads = Uploads()
