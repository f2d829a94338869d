"""What of the gateway's parts can be set, apart from what does it: whoever reads settings loads none of the libraries behind them.

    supervisors.settings ─▶ these ─ msgspec.convert ─▶ HttpServing, Passwords, KeySet, PasskeyReader, Smtp, Poster …

Every process reads all settings, and each command line does; hypercorn, quart, webauthn, argon2, zxcvbn, jinja2, httpcore and cryptography
took half of what that cost (38 MiB and 0.4 s, in a process that serves models and has no door).

Invariant: nothing is imported here that is more than values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

from gateway.rates import Limit
from gateway.webhooks.addresses import Network
from gateway.webhooks.destination import PORTS

# HTTP

SITE: Final = Path(__file__).with_name("site")
"""The web app as it is built into this package."""


class HttpBounds(Struct, frozen=True):
    """What plain HTTP may take."""

    connections_max: int = 1000
    keep_alive_s: float = 15.0
    """From an answer to the end of the next request's head."""
    stall_s: float = 30.0
    """How long a body may stand still, and a peer may take nothing of an answer."""
    shutdown_s: float = 5.0
    linger_s: float = 2.0


class AuthLimits(Struct, frozen=True):
    """How often identity may be asked for. Schools share one address: what counts by address leaves room for a classroom."""

    register_address: Limit = Limit(burst=40, per_s=1 / 15)
    login_address: Limit = Limit(burst=60, per_s=1.0)
    login_account_address: Limit = Limit(burst=10, per_s=1 / 30)
    """One account from one network: somebody who guesses."""
    login_account: Limit = Limit(burst=100, per_s=1 / 10)
    """One account from everywhere: many who guess. Generous, since it also delays the owner, whose open sessions go on meanwhile."""
    refresh_address: Limit = Limit(burst=600, per_s=20.0)
    session_user: Limit = Limit(burst=60, per_s=1.0)
    password_address: Limit = Limit(burst=120, per_s=2.0)
    """New passwords that are judged: milliseconds each."""
    recover_address: Limit = Limit(burst=40, per_s=1 / 15)
    """Links asked for, of a forgotten password."""
    recover_account: Limit = Limit(burst=3, per_s=1 / 1200)
    """The same, for one name or address, whether there is such an account or not: nobody's mailbox is filled."""
    mail_address: Limit = Limit(burst=3, per_s=1 / 1200)
    """Links to one mailbox that is to be proven."""
    link_address: Limit = Limit(burst=60, per_s=1.0)
    """Links that are opened. Nobody guesses 256 bits; this bounds what trying costs."""


class SyncLimits(Struct, frozen=True):
    """How often sync over HTTP, and devices for it, may be asked for."""

    sync_address: Limit = Limit(burst=600, per_s=20.0)
    """A school that blocks sockets has everybody here: as many as refresh their tokens."""
    sync_user: Limit = Limit(burst=60, per_s=1.0)
    """In requests of 16 frames, or 256 changes; longer ones cost more."""
    devices_address: Limit = Limit(burst=40, per_s=1 / 15)
    devices_user: Limit = Limit(burst=5, per_s=1 / 60)
    """Each is a row for ever, and a session that another one must end for."""


# Identity

ISSUER: Final = "educonnect"
AUDIENCE: Final = "educonnect-gateway"
LIFETIME_S: Final = 15 * 60
"""Of an access token."""
PASSWORD_LENGTH_MIN: Final = 8
PASSWORD_SCORE_MIN: Final = 3
"""10^8 guesses or more: ample against who has to ask us each time, and at 40 ms a guess 46 days of one core for who has the hashes."""
HASHES_AT_ONCE: Final = 1
"""Of two cores, the other one serves sockets: argon2 releases the GIL but not the core."""
HASHES_WAITING_MAX: Final = 64
HASH_WAIT_S: Final = 3.0
"""Longer than this nobody looks at a log-in button; the request itself has 10 s."""


class Cost(Struct, frozen=True):
    """Parameters of argon2id."""

    memory_kib: int
    rounds: int
    lanes: int


OWASP: Final = Cost(memory_kib=19 * 1024, rounds=2, lanes=1)
"""What OWASP recommends where memory is dear: 32–48 ms of one core here; argon2-cffi's own default takes 250 ms."""


class PasswordRules(Struct, frozen=True):
    """What a password that is set must be. Those that were set before are taken as they are."""

    length_min: int = PASSWORD_LENGTH_MIN
    score_min: int = PASSWORD_SCORE_MIN
    """As `gateway.password_strength` measures it; 0: whatever it is."""
    site_words: tuple[str, ...] = ("educonnect",)
    """Names of this place, which everybody thinks of first."""


class RelyingParty(Struct, frozen=True):
    """For whom passkeys are made. `id`: a domain, which every origin must be of; empty: there are no passkeys here."""

    id: str = ""
    name: str = "EduConnect"
    origins: tuple[str, ...] = ()


# Mail and webhooks

MAILS_AT_ONCE: Final = 4
MAIL_TIMEOUT_S: Final = 20.0


class Reach(Struct, frozen=True):
    """How far webhooks may go."""

    ports: tuple[int, ...] = PORTS
    loopback_allowed: bool = False
    """Development: this machine itself, http, and any port on it."""
    forbidden: tuple[Network, ...] = ()


class PostBounds(Struct, frozen=True):
    """How long an attempt may take, and how much of its answer is looked at."""

    total_s: float = 15.0
    """A receiver that does its work before it answers is slow; one that queues it answers in milliseconds."""
    connect_s: float = 5.0
    answer_bytes_max: int = 1024
    kept_bytes: int = 200


class DeliveryRules(Struct, frozen=True):
    """`run_s`: how long one job goes on with the next event; `lease_s`: more than any attempt and its settling take; `give_up_s`: how long
    an event may fail before the subscription is paused."""

    run_s: float = 10.0
    lease_s: float = 60.0
    give_up_s: float = 24 * 3600.0
