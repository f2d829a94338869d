"""The HTTP application with everything it needs in memory, and a client for it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import trio
from quart import Response
from quart_trio import QuartTrio

from actors.accounts import Accounts, Caller, Claims, Credentials, Declined, Names, Opened, Registration, SessionInfo, SessionState
from actors.cell import Ref
from actors.http_writing import Writing
from actors.limits import UNLIMITED, Limits
from actors.mfa import Challenge, Factors, MultiFactor
from actors.storage import Answered, Decided, Entry, Journal, Query, Store
from actors.storage_port import StorageError
from actors.trust_book import TrustBook
from gateway.hash_orders import AnyDone, AnyOrder, obey
from gateway.metrics import Metric, Metrics
from gateway.options import AuthLimits, Cost, RelyingParty, SyncLimits
from gateway.passkeys import PasskeyReader
from gateway.passwords import Passwords
from gateway.rates import Buckets, Decision, Limit
from gateway.tokens import KeySet, generate_pem
from gateway.web import create_app
from gateway.web_services import Probe, Readiness, Services
from gateway.web_uploads_links import Files
from protocol.codes import Code
from protocol.permissions import Permission
from tests.gateway.identity_world import InMemoryIdentity

NOW = 1_800_000_000.0
PEM = generate_pem()
CHEAP = Cost(memory_kib=8, rounds=1, lanes=1)
PASSWORD = "correct horse battery"
ADDRESS = "203.0.113.9"


class Person(msgspec.Struct):
    """An account in memory."""

    registration: Registration
    inbox: int
    password_hash: str
    disabled: bool = False


class InMemoryAccounts:
    """As `PostgresAccounts` behaves where routes can tell. `failing` is raised by whatever is called next and after."""

    def __init__(self) -> None:
        self.people: dict[int, Person] = {}
        self.sessions: dict[int, SessionInfo] = {}
        self.owners: dict[int, int] = {}
        self.tokens: dict[str, int] = {}
        self.used: set[str] = set()
        self.failed_logins: list[int] = []
        self.callers: list[Caller] = []
        self.failing: StorageError | None = None
        self.challenges: dict[int, Challenge] = {}
        """Put instead of a session, to whose password was right."""
        self._ids = itertools.count(100)

    def _begin(self, caller: Caller | None = None) -> None:
        if caller is not None:
            self.callers.append(caller)
        if self.failing is not None:
            raise self.failing

    def _open(self, user: int, device: int, device_name: str, caller: Caller) -> Opened:
        known = {info.device for session, info in self.sessions.items() if self.owners[session] == user}
        session, device = next(self._ids), device if device in known else next(self._ids)
        self.sessions[session] = SessionInfo(session, device, device_name, caller.software, caller.address, 1, 2, 3)
        self.owners[session] = user
        return self._continue(session)

    def _continue(self, session: int) -> Opened:
        user = self.owners[session]
        person = self.people[user]
        token = f"refresh-{next(self._ids)}"
        self.tokens[token] = session
        registration = person.registration
        device = self.sessions[session].device
        return Opened(user, registration.name, registration.display_name, device, session, person.inbox, token, int(NOW) + 7 * 86400)

    async def register(self, registration: Registration, caller: Caller) -> Opened | Declined:
        self._begin(caller)
        if any(person.registration.name.casefold() == registration.name.casefold() for person in self.people.values()):
            return Declined(Code.CONFLICT, f"the name {registration.name!r} is taken")
        user = next(self._ids)
        self.people[user] = Person(registration, next(self._ids), registration.password_hash)
        return self._open(user, 0, registration.device_name, caller)

    async def find_credentials(self, name: str) -> Credentials | None:
        self._begin()
        for user, person in self.people.items():
            if person.registration.name.casefold() == name.casefold():
                return Credentials(user, person.password_hash)
        return None

    async def find_session(self, session: int) -> SessionState | None:
        self._begin()
        info = self.sessions.get(session)
        return None if info is None else SessionState(session, self.owners[session], info.device, int(NOW) + 7 * 86400)

    async def find_sessions_of(self, user: int) -> tuple[int, ...]:
        self._begin()
        return tuple(session for session, owner in self.owners.items() if owner == user)

    async def find_names(self, user: int) -> Names | None:
        self._begin()
        registration = self.people[user].registration
        return Names(registration.name, registration.display_name)

    async def note_failed_login(self, user: int, caller: Caller) -> None:
        self._begin(caller)
        self.failed_logins.append(user)

    async def begin_log_in(
        self, found: Credentials, device: int, device_name: str, new_hash: str | None, caller: Caller
    ) -> Opened | Challenge | Declined:
        user = found.user
        if user in self.challenges and not self.people[user].disabled:
            return self.challenges[user]
        if new_hash is not None and not self.people[user].disabled:
            self.people[user].password_hash = new_hash
        return await self.log_in(user, device, device_name, None, caller)

    async def log_in(self, user: int, device: int, device_name: str, changed_at_us: int | None, caller: Caller) -> Opened | Declined:
        self._begin(caller)
        person = self.people[user]
        if person.disabled:
            return Declined(Code.FORBIDDEN, "this account is disabled")
        return self._open(user, device, device_name, caller)

    async def add_device(self, claims: Claims, device_name: str, caller: Caller) -> Opened | Declined:
        self._begin(caller)
        if claims.session not in self.sessions:
            return Declined(Code.REVOKED, "ended")
        return self._open(claims.user, 0, device_name, caller)

    async def refresh(self, token: str, caller: Caller) -> Opened | Declined:
        self._begin(caller)
        session = self.tokens.get(token)
        if session is None:
            return Declined(Code.UNAUTHENTICATED, "this refresh token is not known here")
        if session not in self.sessions or token in self.used:
            self.sessions.pop(session, None)
            return Declined(Code.REVOKED, "ended")
        self.used.add(token)
        return self._continue(session)

    async def list_sessions(self, claims: Claims) -> tuple[SessionInfo, ...] | Declined:
        self._begin()
        if claims.session not in self.sessions:
            return Declined(Code.REVOKED, "ended")
        return tuple(info for session, info in self.sessions.items() if self.owners[session] == claims.user)

    async def end_session(self, claims: Claims, session: int, caller: Caller) -> Declined | None:
        self._begin(caller)
        if session != claims.session and claims.session not in self.sessions:
            return Declined(Code.REVOKED, "ended")
        if self.owners.get(session) != claims.user:
            return Declined(Code.NOT_FOUND, "this account has no such session")
        self.sessions.pop(session, None)
        return None

    async def end_other_sessions(self, claims: Claims, caller: Caller) -> Declined | None:
        self._begin(caller)
        if claims.session not in self.sessions:
            return Declined(Code.REVOKED, "ended")
        others = {session for session in self.sessions if self.owners[session] == claims.user and session != claims.session}
        self.sessions = {session: info for session, info in self.sessions.items() if session not in others}
        return None

    async def end_every_session(self, claims: Claims, caller: Caller) -> Declined | None:
        self._begin(caller)
        if claims.session not in self.sessions:
            return Declined(Code.REVOKED, "ended")
        self.sessions = {session: info for session, info in self.sessions.items() if self.owners[session] != claims.user}
        return None


class UncachedSessions:
    """Asks the accounts on every request, so that nothing here is ever old."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def admit(self, claims: Claims, now: float) -> Code:
        state = await self._accounts.find_session(claims.session)
        return Code.REVOKED if state is None or state.ended else Code.OK


class LocalRates:
    """Rates in memory, by a clock that a test moves; remembers what was asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[tuple[str, str | int]] = []
        self._buckets = Buckets(10_000)

    async def take(self, name: str, key: str | int, limit: Limit, cost: int = 1) -> Decision:
        self.asked.append((name, key))
        return self._buckets.take((name, key), limit, self.now, cost)


class SilentStore:
    """Answers nothing."""

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None: ...


class SilentJournal:
    """Takes everything and decides nothing."""

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        return True


async def _up() -> Readiness:
    return Readiness(True)


class HashAtOnce:
    """In the loop itself. A clock that jumps when all tasks wait would jump over the limits of a request whose hash is made by a thread."""

    async def obey(self, order: AnyOrder) -> AnyDone:
        await trio.lowlevel.checkpoint()
        return obey(order)


class Granted:
    """What people were given here, and nothing else."""

    def __init__(self) -> None:
        self.held: set[tuple[int, Permission, int | None]] = set()

    async def allowed(self, user: int, permission: Permission, space: int | None) -> bool:
        return (user, permission, space) in self.held


class NoFactors:
    """Nobody has a second factor, and everybody has just proven themselves. What else is asked of it is a test's mistake."""

    async def proven_s(self, claims: Claims) -> float | None:
        return 0.0

    async def list_factors(self, claims: Claims) -> Factors:
        return Factors((), 0)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name}: this test needs the real second factors; give the world `multi_factor`")


class World:
    """One application, what it was given, and short words for using it."""

    def __init__(
        self,
        accounts: Accounts | None = None,
        *,
        probes: Mapping[str, Probe] | None = None,
        limits: AuthLimits | None = None,
        passwords: Passwords | None = None,
        registration_open: bool = True,
        store: Store | None = None,
        journal: Journal | None = None,
        sync_limits: SyncLimits | None = None,
        quotas: Limits = UNLIMITED,
        multi_factor: MultiFactor | None = None,
        passkeys: PasskeyReader | None = None,
        trust: TrustBook | None = None,
        files: Files | None = None,
        writing: Writing | None = None,
        origins: tuple[str, ...] = (),
        hosts: tuple[str, ...] = (),
    ) -> None:
        self.memory = InMemoryAccounts()
        # What is in a real database has its clock's times.
        self.now = NOW if accounts is None else time.time()
        self.tokens = KeySet(PEM)
        self.rates = LocalRates()
        self.passwords = passwords or Passwords(CHEAP, hashers=HashAtOnce())
        self.sockets = 3
        self.overtaken: list[tuple[int, int]] = []
        self.authority = Granted()
        self.identity = InMemoryIdentity(self.memory)
        self.services = Services(
            accounts=self.memory if accounts is None else accounts,
            identity=self.identity,
            authority=self.authority,
            tokens=self.tokens,
            sessions=UncachedSessions(self.memory if accounts is None else accounts),
            passwords=self.passwords,
            rates=self.rates,
            metrics=Metrics([Metric("educonnect_sockets", "Sockets that are open.", "gauge", lambda: self.sockets)], process=False),
            probes={"database": Probe(_up)} if probes is None else probes,
            store=store or SilentStore(),
            journal=journal or SilentJournal(),
            overtake=lambda device, generation: self.overtaken.append((device, generation)),
            multi_factor=multi_factor or NoFactors(),
            passkeys=passkeys or PasskeyReader(RelyingParty()),
            limits=limits or AuthLimits(),
            sync_limits=sync_limits or SyncLimits(),
            quotas=quotas,
            trust=trust,
            files=files,
            writing=writing,
            origins=origins,
            hosts=hosts,
            wall=lambda: self.now,
            registration_open=registration_open,
        )
        self.app: QuartTrio = create_app(self.services)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        address: str = ADDRESS,
        scheme: str = "http",
    ) -> Answer:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = raw
        if body is not None:
            data = msgspec.json.encode(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        client: Any = self.app.test_client()
        response = await client.open(path, method=method, headers=sent, data=data, scheme=scheme, scope_base={"client": (address, 4711)})
        return Answer(response.status_code, response, await response.get_data(as_text=False))

    async def auth(self, name: str, body: object = None, *, token: str | None = None, address: str = ADDRESS) -> Answer:
        return await self.ask("POST", f"/api/v1/auth/{name}", body, token=token, address=address)

    async def register(self, name: str = "ada") -> dict[str, Any]:
        answer = await self.auth("register", {"name": name, "password": PASSWORD, "device_name": "phone"})
        assert answer.status == 201, answer.body
        return answer.json


class Answer:
    """What came back."""

    def __init__(self, status: int, response: Response, body: bytes) -> None:
        self.status = status
        self.headers = response.headers
        self.body = body

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found

    def problem(self, status: int, code: Code) -> dict[str, Any]:
        """The problem that this must be; its members are complete and agree with each other and the header fields."""
        assert self.status == status, (self.status, self.body)
        assert self.headers["Content-Type"] == "application/problem+json"
        found = self.json
        assert found["code"] == code, found
        assert found["status"] == status
        assert found["type"] == f"urn:educonnect:problem:{code.name.lower().replace('_', '-')}"
        assert found["title"] and found["detail"]
        assert (str(found["retry_after_s"]) if "retry_after_s" in found else None) == self.headers.get("Retry-After")
        if status == 401:
            assert self.headers["WWW-Authenticate"].startswith("Bearer")
        return found
