"""What the HTTP side is given by the composition root, as one value.

Invariant: the application keeps nothing of its own; two of them may share services, and a test gives it what it likes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from actors.accounts import Accounts, Claims
from actors.authority import Authority, RoleBook
from actors.http_writing import Writing
from actors.identity import Identity
from actors.insight_book import InsightBook
from actors.job_desk import Desk
from actors.learning_book import LearningBook
from actors.limits import UNLIMITED, Limits
from actors.mfa import MultiFactor
from actors.sovereignty import Sovereignty
from actors.storage import Journal, Store
from actors.trust_book import TrustBook
from actors.trust_gates import Thresholds
from gateway.http_counts import HttpCounts
from gateway.http_links import HttpLinks
from gateway.integrations import Integrations
from gateway.matchmaker import Matchmaker
from gateway.metrics import Metrics
from gateway.models import ModelFigures
from gateway.options import SITE, AuthLimits, SyncLimits
from gateway.passkeys import PasskeyReader
from gateway.passwords import Passwords
from gateway.rates import Decision, Limit
from gateway.telling import Telling
from gateway.web_uploads_links import Files
from protocol.codes import Code


class Signer(Protocol):
    """Issues and verifies access tokens; `gateway.tokens.KeySet`."""

    def issue(self, user: int, device: int, session: int, now: float, until: float = ...) -> tuple[str, int]: ...

    def verify(self, token: str, now: float) -> Claims | Code: ...

    def jwks(self) -> dict[str, list[dict[str, str]]]: ...


class RateLimits(Protocol):
    """Counts who asks how often; `gateway.rates.Rates`."""

    async def take(self, name: str, key: str | int, limit: Limit, cost: int = 1) -> Decision: ...


class Sessions(Protocol):
    """Whether the session behind an access token goes on; `gateway.session_gate.SessionGate`."""

    async def admit(self, claims: Claims, now: float) -> Code:
        """`OK` or `REVOKED`. May raise `StorageError`."""
        ...


class Readiness(Struct, frozen=True):
    """How one thing is doing. `state` is `up`, or in a word or two what it is; `detail` is for operators, and public: no addresses."""

    up: bool
    state: str = "up"
    detail: str = ""


class Probe(Struct, frozen=True):
    """Asks one thing that this process depends on. `ask` may raise `StorageError`, `RedisError` or `OSError`, which mean that it is down.

    `required`: without it nothing can be served. Otherwise the process is only slower, and says so.
    """

    ask: Callable[[], Awaitable[Readiness]]
    required: bool = True


class Services(Struct, frozen=True):
    """The ports of `gateway.web.create_app`."""

    accounts: Accounts
    identity: Identity
    authority: Authority
    tokens: Signer
    sessions: Sessions
    passwords: Passwords
    rates: RateLimits
    metrics: Metrics
    probes: Mapping[str, Probe]
    store: Store
    journal: Journal
    overtake: Callable[[int, int], None]
    """Tells every gateway that a device's generation was raised; `actors.exchange.Exchange.overtake`."""
    multi_factor: MultiFactor
    passkeys: PasskeyReader
    limits: AuthLimits = AuthLimits()
    quotas: Limits = UNLIMITED
    """What accounts may ask for on all their devices; the sockets' own."""
    sync_limits: SyncLimits = SyncLimits()
    thresholds: Thresholds = Thresholds()
    """The trust that some operations need: the same as on the socket."""
    trust: TrustBook | None = None
    """None: there are no routes about it."""
    roles: RoleBook | None = None
    """None: there are no routes about them."""
    desk: Desk | None = None
    """The jobs'; None: there are no routes about them."""
    models: Callable[[], list[ModelFigures]] = list
    """What operators see of them; `gateway.models.LinedModels.figures`."""
    sovereignty: Sovereignty | None = None
    """Archives and erasure; None: there are no routes about them."""
    integrations: Integrations | None = None
    """Audit, keys and webhooks; None: there are no routes about them."""
    telling: Telling | None = None
    """Notices, mail and push; None: there are no routes about them."""
    matchmaker: Matchmaker | None = None
    """Searches for a mentor; None: there are no routes about them."""
    learning: LearningBook | None = None
    insights: InsightBook | None = None
    """Courses, grades and learners; None: there are no routes about them."""
    files: Files | None = None
    """Uploads, and links to what came with messages; None: there are no routes about them."""
    links: HttpLinks | None = None
    """Links over HTTP; None: there are no routes about them."""
    writing: Writing | None = None
    """Operations that come as requests; None: there are no routes about communities and messages."""
    hosts: tuple[str, ...] = ()
    """Names by which it may be asked (`gateway.hosts`); none: any."""
    origins: tuple[str, ...] = ()
    """Of pages that may ask from elsewhere (`gateway.web_cors`)."""
    site: Path = SITE
    """Where the web app's built files are."""
    step_up_s: float = 600.0
    """How long ago somebody may have proven themselves before something dangerous; `IdentityRules.step_up_s`."""
    wall: Callable[[], float] = time.time
    registration_open: bool = True
    http: HttpCounts = field(default_factory=HttpCounts)
