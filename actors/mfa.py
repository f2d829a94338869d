"""Multi-factor: what proves a person beside the password, the step between the two, and proving oneself anew.

    password right ─▶ Challenge (of this account, five minutes, five tries) ─▶ TOTP │ recovery code │ passkey ─▶ Proven ─▶ session
    nothing yet    ─▶ Challenge (nobody's) ─▶ a passkey that knew its person ─────────────────────────────────▶ Proven ─▶ session
    a session      ─▶ step-up: the password, or a factor where there is one ─▶ the session's `proven_at`

A code of six digits can be guessed, so guesses are counted where they cannot be lost: in the account's own row, over all challenges,
gateways and addresses. Recovery codes (80 bits) and passkeys cannot be, and stay open while guesses are closed: whoever guesses at an
account delays its owner's codes, and nothing else.

Invariant: a challenge is answered once, by whom it was put to, for what it was put; what a person shows is never good twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from actors.accounts import Caller, Claims, Declined

CHALLENGE_BYTES: Final = 32
HANDLE_BYTES: Final = 16
RECOVERY_CODES: Final = 10
RECOVERY_BITS: Final = 80
PASSKEYS_MAX: Final = 20
"""Per account: a person has a handful of devices and security keys, and every one is listed in each log-in's question."""
CHALLENGES_MAX: Final = 10
"""Unanswered ones of an account; one more and the oldest is over."""
PASSKEY_NAME_LENGTH_MAX: Final = 80


class Method(Enum):
    """What proves a person. The password is a method of step-up alone, and only where there is no other."""

    PASSKEY = "passkey"
    TOTP = "totp"
    RECOVERY = "recovery"
    PASSWORD = "password"


class Purpose(IntEnum):
    """What a challenge was put for; it is good for nothing else."""

    LOG_IN = 1
    """The second step of a log-in."""
    PASSWORDLESS = 2
    """A log-in by passkey alone."""
    STEP_UP = 3
    ADD_PASSKEY = 4


class MfaRules(Struct, frozen=True):
    """How long things last, and how often one may be wrong."""

    challenge_s: int = 300
    """Long enough to find the phone, unlock it and type; a code lives for 30 s."""
    challenge_tries: int = 5
    enrol_s: int = 900
    """From the offer of a TOTP secret to its first code."""
    guesses_free: int = 5
    """Wrong codes in a row that cost no wait: the clock is off, a digit is mistyped."""
    guess_wait_s: float = 30.0
    """The wait after the next wrong one; twice as long after each further one."""
    guess_wait_max_s: float = 3600.0
    guesses_max: int = 100
    """In a row; then codes are closed until a passkey or a recovery code was shown (NIST SP 800-63B, 5.2.2). With three codes good at a
    time, all of them together are right with a probability of 0.0003."""


class Standing(Struct, frozen=True):
    """What was guessed at an account: wrong codes in a row, and until when no code is looked at. Unix seconds."""

    failures: int = 0
    blocked_until: float = 0.0


def wait_of(standing: Standing, now: float, rules: MfaRules) -> float:
    """How long until a code of this account is looked at again; 0: now. Infinite once there were too many in a row."""
    if standing.failures >= rules.guesses_max:
        return float("inf")
    return max(0.0, standing.blocked_until - now)


def after_wrong(standing: Standing, now: float, rules: MfaRules) -> Standing:
    """After one more wrong code."""
    failures = min(standing.failures + 1, rules.guesses_max)
    beyond = failures - rules.guesses_free
    if beyond < 0:
        return Standing(failures, 0.0)
    # The exponent is bounded before the power is taken: of a hundred failures it would be no number of seconds any more.
    return Standing(failures, now + min(rules.guess_wait_s * 2.0 ** min(beyond, 32), rules.guess_wait_max_s))


class Descriptor(Struct, frozen=True):
    """A passkey, as a browser is asked for it."""

    credential_id: bytes
    transports: tuple[str, ...] = ()


class Challenge(Struct, frozen=True):
    """A question to a person. `token` is a secret: it is shown once, to whom it is put, and is what an authenticator signs."""

    token: bytes
    methods: tuple[Method, ...]
    passkeys: tuple[Descriptor, ...]
    expires_at: int
    """Unix seconds."""

    def __repr__(self) -> str:
        return f"Challenge(methods={self.methods}, expires_at={self.expires_at})"


class TotpProof(Struct, frozen=True):
    """Six digits."""

    code: str

    def __repr__(self) -> str:
        return "TotpProof()"


class RecoveryProof(Struct, frozen=True):
    """A recovery code, as typed."""

    code: str

    def __repr__(self) -> str:
        return "RecoveryProof()"


class PasskeyProof(Struct, frozen=True):
    """What a browser's `navigator.credentials.get` gave, as JSON."""

    credential: bytes

    def __repr__(self) -> str:
        return "PasskeyProof()"


Proof: TypeAlias = TotpProof | RecoveryProof | PasskeyProof


class Refusal(Enum):
    """Why a proof was not taken."""

    OVER = "over"
    """No such challenge: never put, answered, too late, too many tries, put to somebody else or for something else. All alike."""
    WRONG = "wrong"
    WAIT = "wait"
    """Codes are not looked at now: too many were wrong."""
    NOT_SET = "not set"
    """The account has no such method."""


class Refused(Struct, frozen=True):
    """A proof was not taken. `wait_s` comes with `WAIT`: infinite where only another method helps; `tries_left` of the challenge with
    `WRONG`."""

    refusal: Refusal
    wait_s: float = 0.0
    tries_left: int = 0


class Proven(Struct, frozen=True):
    """Somebody answered: whose session may be opened now, on which device, and by what."""

    user: int
    method: Method
    purpose: Purpose
    device: int = 0
    device_name: str = ""
    changed_at_us: int = 0
    """When the account's password was set, as `Credentials` has it: with another one this proof is worth nothing."""


class Listed(Struct, frozen=True):
    """One method that is set, as its owner sees it. `number` is a passkey's own. Times are Unix seconds; 0: never."""

    method: Method
    number: int = 0
    name: str = ""
    created_at: int = 0
    last_used_at: int = 0
    backed_up: bool = False


class Factors(Struct, frozen=True):
    """What an account has set, and how many recovery codes are left."""

    methods: tuple[Listed, ...]
    recovery_left: int


class TotpOffer(Struct, frozen=True):
    """A new secret. It is shown to its owner once, and proves nothing before a first code confirmed it."""

    secret: str
    """Base32, as authenticator apps take it."""
    name: str
    """The account's name, for the app."""
    expires_at: int

    def __repr__(self) -> str:
        return f"TotpOffer(expires_at={self.expires_at})"


class PasskeyOffer(Struct, frozen=True):
    """Asks a browser to make a passkey."""

    challenge: Challenge
    handle: bytes
    name: str
    display_name: str


class Enrolled(Struct, frozen=True):
    """A method was added. `recovery_codes` are shown once: with the account's first method, else none."""

    listed: Listed
    recovery_codes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Enrolled({self.listed})"


class Matched(Struct, frozen=True):
    """A code was right: of which time step, and the secret sealed anew where the key is not the newest."""

    step: int
    resealed: bytes | None = None


class Authenticators(Protocol):
    """Reads what TOTP codes say. Pure but for randomness; raises nothing, whatever the input."""

    def make(self, user: int) -> tuple[str, bytes]:
        """A new secret: in Base32, and sealed."""
        ...

    def match(self, user: int, sealed: bytes, code: str, now: float, after: int) -> Matched | None:
        """Whether `code` is that of the present time step, the one before or the one after, and of a step later than `after`."""
        ...

    @property
    def key_name(self) -> str:
        """Of the key that seals now."""
        ...

    @property
    def older_keys(self) -> tuple[str, ...]:
        """Of the keys that open what they sealed before."""
        ...

    def reseal(self, user: int, sealed: bytes) -> bytes | None:
        """The same secret, sealed with the key that seals now; None where it cannot be opened: its key has gone."""
        ...


class PasskeyHeld(Struct, frozen=True):
    """A passkey as stored, to compare an assertion with. `handle` is its account's."""

    public_key: bytes
    sign_count: int
    handle: bytes
    backup_eligible: bool


class PasskeyUse(Struct, frozen=True):
    """A good assertion's news. `copied`: its count is not above the last one, so two authenticators hold this passkey, or an answer came
    twice; it proves nothing then."""

    sign_count: int
    backed_up: bool
    copied: bool = False


class PasskeyMade(Struct, frozen=True):
    """A good attestation."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    backup_eligible: bool
    backed_up: bool


class Passkeys(Protocol):
    """Reads what browsers say of passkeys. Pure; raises nothing, whatever the input."""

    def credential_id(self, credential: bytes) -> bytes | None:
        """Which passkey an assertion claims to be of."""
        ...

    def check(self, credential: bytes, challenge: bytes, held: PasskeyHeld, *, alone: bool) -> PasskeyUse | None:
        """Whether it is a good assertion over this challenge. `alone`: nothing else proves the person, so the authenticator must have
        verified them, and must say whose passkey it is."""
        ...

    def read_new(self, credential: bytes, challenge: bytes) -> PasskeyMade | None:
        """A new passkey, made over this challenge."""
        ...


class MultiFactor(Protocol):
    """Second factors in storage. Every method may raise `StorageError`, as `actors.accounts.Accounts` does."""

    async def begin_passwordless(self, device: int, device_name: str, caller: Caller) -> Challenge:
        """A challenge that any passkey may answer."""
        ...

    async def answer(self, token: bytes, proof: Proof, caller: Caller) -> Proven | Refused:
        """Answers a log-in's challenge. A right proof uses the challenge up, and what was shown with it; a wrong one is counted."""
        ...

    async def begin_step_up(self, claims: Claims, caller: Caller) -> Challenge | Declined:
        """A challenge for this session's owner's passkeys. Declined: `MFA`, there are none; `REVOKED`."""
        ...

    async def step_up(self, claims: Claims, proof: Proof, token: bytes | None, caller: Caller) -> Method | Refused | Declined:
        """Proves the owner of a session anew, from now on. `token`: of the challenge that a passkey answers. Declined: `REVOKED`."""
        ...

    async def may_step_up_by_password(self, claims: Claims) -> Refused | Declined | None:
        """Whether the password is enough for this account and may be tried now; `NOT_SET` where there is a factor, which is asked for."""
        ...

    async def step_up_by_password(self, claims: Claims, right: bool, caller: Caller) -> Refused | Declined | None:
        """Writes down what comparing the password said: the session is proven, or a guess is counted."""
        ...

    async def proven_s(self, claims: Claims) -> float | None:
        """How many seconds ago the owner of this session proved themselves; None: never, or the session has ended."""
        ...

    async def list_factors(self, claims: Claims) -> Factors:
        """What is set."""
        ...

    async def offer_totp(self, claims: Claims, caller: Caller) -> TotpOffer | Declined:
        """A new secret, instead of one that was offered and not confirmed. Declined: `CONFLICT`, one is set."""
        ...

    async def confirm_totp(self, claims: Claims, code: str, caller: Caller) -> Enrolled | Refused | Declined:
        """Sets what was offered, by its first code. Refused: `NOT_SET` (none was offered in time), `WRONG`, `WAIT`. Declined: `REVOKED`,
        as by everything that a session asks for."""
        ...

    async def offer_passkey(self, claims: Claims, caller: Caller) -> PasskeyOffer | Declined:
        """Asks for a new passkey. Declined: `LIMIT`."""
        ...

    async def add_passkey(
        self, claims: Claims, token: bytes, credential: bytes, name: str, caller: Caller
    ) -> Enrolled | Refused | Declined:
        """Keeps the passkey that was made. Refused: `OVER`, `WRONG`. Declined: `CONFLICT`, it is somebody's already; `LIMIT`."""
        ...

    async def remove(self, claims: Claims, method: Method, number: int, caller: Caller) -> Declined | None:
        """Takes a method away; with the last one its recovery codes go. Declined: `NOT_FOUND`."""
        ...

    async def rename_passkey(self, claims: Claims, number: int, name: str) -> Declined | None:
        """Gives a passkey another name. Declined: `NOT_FOUND`, `REVOKED`."""
        ...

    async def renew_recovery_codes(self, claims: Claims, caller: Caller) -> Sequence[str] | Declined:
        """Ten new codes instead of all earlier ones. Declined: `NOT_FOUND`, there is no method that they would stand in for."""
        ...
